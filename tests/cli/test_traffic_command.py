"""`nel traffic`: sessions of a run, and a conversation as it was held."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from runs import NEL, ROOT


def nel(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*NEL, *words], capture_output=True, text=True, check=False, cwd=ROOT)


@pytest.fixture(scope="module")
def run_directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("traffic")
    for name, level in (("full", "full"), ("brief", "summary"), ("none", "off")):
        done = nel(
            *("eval", "run", "-b", "sample", "--model-url", "simulated", "--max-problems", "5"),
            *("-o", str(folder / name), "--no-progress"),
            *("-O", f"services.model.proxy.model_traffic.level={level}"),
        )
        assert done.returncode == 0, done.stderr
    return folder


def first_rollout(table: str) -> str:
    return next(line.split()[0] for line in table.splitlines()[2:])


def test_sessions_and_a_conversation(run_directory: Path) -> None:
    table = nel("traffic", str(run_directory / "full")).stdout
    assert table.startswith("sample: 5 sessions, 5 calls, 0 failed,")
    key = first_rollout(table)
    talk = nel("traffic", str(run_directory / "full"), "--rollout", key).stdout
    assert talk.startswith(f"sample {key}, attempt 1: 1 calls, 0 failed,")
    assert "── call 1: " in talk and "\nuser:\n" in talk and "\nassistant:\n" in talk
    assert nel("traffic", str(run_directory / "full/sample"), "-r", key).stdout == talk


def test_summaries_take_their_texts_from_the_results(run_directory: Path) -> None:
    key = first_rollout(nel("traffic", str(run_directory / "brief")).stdout)
    talk = nel("traffic", str(run_directory / "brief"), "--rollout", key).stdout
    assert "texts from results.jsonl" in talk and "\nassistant:\n" in talk


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["none"], "no model_traffic.jsonl here — give a run directory; proxy.model_traffic.level"),
        (["full", "-b", "other"], "no model_traffic.jsonl here"),
        (
            ["full", "-r", "999/0"],
            "no call of rollout 999/0 — `nel traffic DIRECTORY` lists the sessions",
        ),
        (["full", "-r", "x"], "'x' is not IDX/REPEAT"),
    ],
)
def test_what_is_not_there(run_directory: Path, words: list[str], message: str) -> None:
    done = nel("traffic", str(run_directory / words[0]), *words[1:])
    assert done.returncode == 2 and message in done.stderr
    assert "Traceback" not in done.stderr
