"""A run's answers are verified again: nobody is asked, the old run stays, changes are shown."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest
from loopback import FAULTS, Loopback, answer
from runs import BENCH, NEL, rows

from nemo_evaluator import ConfigError, evaluate_async
from nemo_evaluator.results.lock import directory_lock
from nemo_evaluator.tasks.rescore import rescore

pytestmark = pytest.mark.usefixtures("quick_retries")

LENIENT = """
def ends_with(sample):
    return {"correct": str(sample.target) in sample.response, "extracted": sample.response[-4:]}


def broken(sample):
    raise ZeroDivisionError("no")
"""
SOMETIMES = """
def sometimes(sample):
    if sample.target == "3":
        raise ValueError("three")
    return {"correct": False}
"""


async def run(tmp_path: Path, url: str, text: str = BENCH, **service: Any) -> Path:
    path = tmp_path / "sums.py"
    path.write_text(text % {"size": 20})
    document = {
        "services": {
            "model": {
                "type": "api",
                "url": url,
                "protocol": "chat_completions",
                "model": "m",
                "api_key": "${RESCORE_TEST_KEY}",
                **service,
            }
        },
        "benchmarks": [{"name": str(path), "repeats": 2, "max_system_retries": 1}],
        "output": {"dir": str(tmp_path / "run"), "report": []},
    }
    config = tmp_path / "config.yaml"
    config.write_text(json.dumps(document))
    await evaluate_async(config)
    return tmp_path / "run"


@pytest.fixture
def key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RESCORE_TEST_KEY", "key-123456")


async def test_the_same_scorer_gives_the_same_verdicts(
    tmp_path: Path, loopback: Loopback, key: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    directory = await run(tmp_path, loopback.url)
    asked = len(loopback.calls)
    await loopback.stop()
    monkeypatch.delenv("RESCORE_TEST_KEY")
    before = (directory / "sums/results.jsonl").read_bytes()
    result = await rescore(directory)
    [flips] = result.flips
    assert (flips.same, flips.up, flips.down, flips.gained, flips.lost) == (40, 0, 0, 0, 0)
    assert (result.directory / "sums/results.jsonl").read_bytes() == before
    assert (directory / "sums/results.jsonl").read_bytes() == before
    assert len(loopback.calls) == asked
    info = json.loads((result.directory / "run.json").read_text())
    assert info["rescored_from"] == result.before.run.run_id != info["run_id"]


async def test_another_scorer_shows_what_changes(
    tmp_path: Path, loopback: Loopback, key: None
) -> None:
    directory = await run(tmp_path, loopback.url)
    (tmp_path / "other.py").write_text(LENIENT)
    scorer = f"{tmp_path}/other.py:ends_with"
    result = await rescore(directory, scorer=scorer, output=tmp_path / "new")
    [flips] = result.flips
    old, new = rows(directory / "sums"), rows(tmp_path / "new/sums")
    changed = [(a, b) for a, b in zip(old, new, strict=True) if a["reward"] != b["reward"]]
    assert len(flips.flips) == flips.up + flips.down == len(changed)
    assert all(b["extracted_answer"] == b["model_response"][-4:] for b in new)
    plans = [
        json.loads((d / "plan.lock").read_text())["benchmarks"][0]
        for d in (directory, tmp_path / "new")
    ]
    assert plans[0]["digest"] != plans[1]["digest"]
    assert plans[1]["identity"]["environment.scorer"].startswith("ends_with:")
    with pytest.raises(ConfigError, match="is not empty"):
        await rescore(directory, output=tmp_path / "new")


async def test_what_was_never_answered_stays_open(
    tmp_path: Path, loopback: Loopback, key: None
) -> None:
    def script(call: Any) -> Any:
        return FAULTS["server_error"](call) if "How much is 3 " in call.prompt else answer(call)

    loopback.script(script)
    directory = await run(tmp_path, loopback.url, proxy={"max_retries": 0})
    result = await rescore(directory)
    assert result.after.benchmarks[0].n_scored == result.before.benchmarks[0].n_scored == 38
    assert not any("/" in failure for failure in result.messages)


async def test_a_broken_scorer_loses_nothing(tmp_path: Path, loopback: Loopback, key: None) -> None:
    directory = await run(tmp_path, loopback.url)
    (tmp_path / "other.py").write_text(LENIENT)
    result = await rescore(directory, scorer=f"{tmp_path}/other.py:broken")
    assert "ZeroDivisionError" in result.messages[0]
    assert result.flips[0].lost == 40
    assert result.before.benchmarks[0].n_scored == 40


async def test_a_changed_prompt_is_refused(tmp_path: Path, loopback: Loopback, key: None) -> None:
    directory = await run(tmp_path, loopback.url)
    changed = BENCH.replace("How much is", "What is")
    (tmp_path / "sums.py").write_text(changed % {"size": 20})
    result = await rescore(directory)
    assert "is not the one this run was started with" in result.messages[0]


async def test_as_a_command(tmp_path: Path, loopback: Loopback, key: None) -> None:
    directory = await run(tmp_path, loopback.url)
    (tmp_path / "other.py").write_text(LENIENT)

    def nel(*words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run([*NEL, *words], capture_output=True, text=True, check=False)

    scorer = f"{tmp_path}/other.py:ends_with"
    done = nel("eval", "rescore", str(directory), "--scorer", scorer, "--limit", "2")
    assert done.returncode == 0, done.stderr
    assert "before:" in done.stdout and "verdicts the same" in done.stdout
    assert (tmp_path / "run-rescored/flips.json").exists()
    for words, message in (
        (["--scorer", "no_module:x"], "cannot be loaded: ModuleNotFoundError"),
        (["--scorer", f"{tmp_path}/other.py:nothing"], "has no 'nothing'"),
        (["-O", "benchmarks[0].name=gone.py"], "there is no such file"),
    ):
        failed = nel("eval", "rescore", str(directory), *words)
        assert failed.returncode == 2 and message in failed.stderr, failed.stderr
    nothing = nel("eval", "rescore", str(tmp_path))
    assert nothing.returncode == 2 and "holds no run" in nothing.stderr


async def test_verdicts_that_are_missing_are_told(
    tmp_path: Path, loopback: Loopback, key: None
) -> None:
    """As a run with the same scorer would: exit code 3, incomplete, and accounts."""
    directory = await run(tmp_path, loopback.url)
    (tmp_path / "other.py").write_text(SOMETIMES)
    scorer = ["--scorer", "other.py:sometimes", "-o", "new"]
    done = subprocess.run(
        [*NEL, "eval", "rescore", str(directory), *scorer],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 3, done.stderr
    assert "2 of 40 rollouts have no verdict" in done.stderr and "other.py:4" in done.stderr
    info = json.loads((tmp_path / "new/run.json").read_text())
    assert info["status"] == "incomplete" and info["accounts"]["prompt_tokens"] > 0


async def test_the_old_run_is_only_read(tmp_path: Path, loopback: Loopback, key: None) -> None:
    directory = await run(tmp_path, loopback.url)

    def seen() -> dict[str, tuple[int, int]]:
        files = [directory, *directory.rglob("*")]
        return {str(f): (f.stat().st_mtime_ns, f.stat().st_ino) for f in files}

    before = seen()
    result = await rescore(directory)
    assert seen() == before and result.exit_code == 0
    (directory / ".lock").unlink()  # as in an archive
    before = seen()
    await rescore(directory)
    assert seen() == before


async def test_a_run_in_progress_is_not_rescored(
    tmp_path: Path, loopback: Loopback, key: None
) -> None:
    directory = await run(tmp_path, loopback.url)
    with directory_lock(directory), pytest.raises(ConfigError, match="in use by pid"):
        await rescore(directory)
