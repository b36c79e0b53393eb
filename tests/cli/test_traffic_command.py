"""`nel traffic`: sessions of a run, and a conversation as it was held."""

from __future__ import annotations

from pathlib import Path

import pytest
from commands import Nel

from nemo_evaluator import evaluate


@pytest.fixture(scope="module")
def run_directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("traffic")
    for name, level in (("full", "full"), ("brief", "summary"), ("none", "off")):
        evaluate(
            bench="sample",
            model_url="simulated",
            max_problems=5,
            output_dir=folder / name,
            overrides=[f"services.model.proxy.model_traffic.level={level}"],
        )
    return folder


def first_rollout(table: str) -> str:
    return next(line.split()[0] for line in table.splitlines()[2:])


def test_sessions_and_a_conversation(run_directory: Path, nel: Nel) -> None:
    _, table, _ = nel("traffic", run_directory / "full")
    assert table.startswith("sample: 5 sessions, 5 calls, 0 failed,")
    key = first_rollout(table)
    _, talk, _ = nel("traffic", run_directory / "full", "--rollout", key)
    assert talk.startswith(f"sample {key}, attempt 1: 1 calls, 0 failed,")
    assert "── call 1: " in talk and "\nuser:\n" in talk and "\nassistant:\n" in talk
    assert nel("traffic", run_directory / "full/sample", "-r", key)[1] == talk


def test_summaries_take_their_texts_from_the_results(
    run_directory: Path,
    nel: Nel,
) -> None:
    key = first_rollout(nel("traffic", run_directory / "brief")[1])
    _, talk, _ = nel("traffic", run_directory / "brief", "--rollout", key)
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
def test_what_is_not_there(
    run_directory: Path,
    words: list[str],
    message: str,
    nel: Nel,
) -> None:
    code, _, err = nel("traffic", run_directory / words[0], *words[1:])
    assert code == 2 and message in err
