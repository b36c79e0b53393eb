"""A run split into shards and merged is the run that was never split."""

from __future__ import annotations

import json
import shutil
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from nemo_evaluator import evaluate_async, load_run
from nemo_evaluator.cli.main import cli
from nemo_evaluator.config.services import FaultsConfig, LatencyConfig, SimulatedService
from nemo_evaluator.engine.shards import Shard, parse_shard, shard_from_env
from nemo_evaluator.errors import ConfigError
from nemo_evaluator.services.simulated.model import SimulatedModel
from nemo_evaluator.services.simulated.server import serving
from nemo_evaluator.tasks.merge import merge

TIMES = {
    "elapsed_seconds",
    "tokens_per_second",
    "output_tokens_per_second",
    "steps_per_second",
}


def document(output: Path, url: str, step: dict[str, Any], **benchmark: Any) -> dict[str, Any]:
    service = {
        "type": "api",
        "url": url,
        "protocol": "chat_completions",
        "model": "simulated",
        "proxy": {"max_retries": 1, "interceptors": [step]},
    }
    return {
        "services": {"model": service},
        "benchmarks": [{"name": "sample", "repeats": 2, **benchmark}],
        "output": {"dir": str(output), "report": []},
    }


@pytest.fixture
async def whole(tmp_path: Path) -> Path:
    """An unsharded run with some failures, recorded."""
    faults = FaultsConfig(server_error=0.02, empty=0.05, length=0.05)
    upstream = SimulatedService(faults=faults, latency=LatencyConfig(mean_ms=1))
    record = {"name": "record", "config": {"path": str(tmp_path / "traffic.rec")}}
    async with serving(SimulatedModel(upstream, vary_repeats=True)) as url:
        await evaluate_async(document(tmp_path / "whole", url, record))
    (tmp_path / "url").write_text(url)
    return tmp_path / "whole"


async def sharded(whole: Path, total: int, **changed: Any) -> Path:
    """The same run from the recording, in parts."""
    parent = whole.parent / f"parts_{total}"
    for index in range(total):
        await shard(whole, parent, index, total, **changed)
    return parent


async def shard(whole: Path, parent: Path, index: int, total: int, **changed: Any) -> None:
    replay = {"name": "replay", "config": {"path": str(whole.parent / "traffic.rec")}}
    url = (whole.parent / "url").read_text()
    await evaluate_async(document(parent, url, replay, **changed), shard=f"{index}/{total}")


def bundle(folder: Path) -> dict[str, Any]:
    """A bundle without what differs from run to run."""
    (path,) = folder.glob("eval-*.json")
    found: dict[str, Any] = json.loads(path.read_text())
    for key in ("run_id", "timestamp"):
        del found[key]
    for key in TIMES:
        del found["benchmark"]["scores"]["runtime"][key]
    return found


@pytest.mark.parametrize("total", [1, 2, 7, 16])
async def test_a_merge_is_the_unsharded_run(whole: Path, total: int) -> None:
    parent = await sharded(whole, total)
    done = merge(parent)
    one, other = whole / "sample", parent / "sample"
    assert (other / "results.jsonl").read_bytes() == (one / "results.jsonl").read_bytes()
    assert bundle(other) == bundle(one)
    before, after = load_run(whole).benchmarks[0], done.summary.benchmarks[0]
    assert before.metrics == after.metrics and before.categories == after.categories
    assert before.runtime.latency_percentiles_ms == after.runtime.latency_percentiles_ms
    failures = [(path / "failure_analysis.json").read_text() for path in (one, other)]
    assert failures[0] == failures[1]
    assert done.exit_code == (3 if before.n_scored < before.n_rollouts else 0)


async def test_a_merge_may_be_repeated(whole: Path) -> None:
    parent = await sharded(whole, 3)
    first = merge(parent).summary.run.run_id
    results = (parent / "sample/results.jsonl").read_bytes()
    assert merge(parent).summary.run.run_id == first
    assert (parent / "sample/results.jsonl").read_bytes() == results
    assert len(list((parent / "sample").glob("eval-*.json"))) == 1


async def test_a_missing_shard_is_named(whole: Path) -> None:
    parent = await sharded(whole, 4)
    shutil.rmtree(parent / "shard_3")
    with pytest.raises(ConfigError, match=r"shard 3 of 4 missing .* --shard 3/4.*--partial"):
        merge(parent)
    done = merge(parent, partial=True)
    assert done.exit_code == 3
    assert done.summary.benchmarks[0].n_rollouts == 240
    assert done.summary.benchmarks[0].n_scored <= 180
    assert "rollouts have no verdict" in done.messages[0]
    assert done.messages[1] == (
        "partial: shard 3 of 4 missing; the others were to do 180 of 240 rollouts (75.0%)"
    )


async def test_a_duplicate_shard_is_named(whole: Path) -> None:
    parent = await sharded(whole, 2)
    shutil.copytree(parent / "shard_1", parent / "shard_2")
    with pytest.raises(ConfigError, match=r"shard_2: is shard 1 like .*shard_1"):
        merge(parent)


async def test_a_foreign_shard_is_named(whole: Path) -> None:
    parent = await sharded(whole, 2)
    shutil.rmtree(parent / "shard_1")
    await shard(whole, parent, 1, 2, repeats=1)
    with pytest.raises(ConfigError, match=r"another run than .*\n  sample: repeats: 2 → 1"):
        merge(parent)


async def test_a_journal_with_problems_of_another_shard_is_refused(whole: Path) -> None:
    parent = await sharded(whole, 2)
    shutil.copy(parent / "shard_0/sample/journal.jsonl", parent / "shard_1/sample/journal.jsonl")
    with pytest.raises(ConfigError, match=r"holds problem \d+, which is not of shard 1"):
        merge(parent)


async def test_what_is_no_shard_is_refused(whole: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="holds no shards"):
        merge(whole)
    parent = tmp_path / "mixed"
    shutil.copytree(whole, parent / "shard_0")
    with pytest.raises(ConfigError, match="holds a run that is not a shard"):
        merge(parent)
    (tmp_path / "empty/shard_0").mkdir(parents=True)
    with pytest.raises(ConfigError, match="holds no run"):
        merge(tmp_path / "empty")


async def test_an_ordinary_run_is_not_overwritten(whole: Path) -> None:
    parent = await sharded(whole, 2)
    shutil.copytree(whole, parent, dirs_exist_ok=True)
    with pytest.raises(ConfigError, match="holds a run of its own"):
        merge(parent)


async def test_other_repeats_than_expected_are_refused(whole: Path) -> None:
    parent = await sharded(whole, 2)
    with pytest.raises(ConfigError, match="did 2 repeats of sample, not 4"):
        merge(parent, repeats=4)


async def test_a_shard_is_not_resumed_as_another(whole: Path) -> None:
    parent = await sharded(whole, 2)
    (parent / "shard_0").rename(parent / "shard_1_")
    shutil.rmtree(parent / "shard_1")
    (parent / "shard_1_").rename(parent / "shard_1")
    replay = {"name": "replay", "config": {"path": str(whole.parent / "traffic.rec")}}
    url = (whole.parent / "url").read_text()
    with pytest.raises(ConfigError, match=r"shard: \[0, 2\] → \[1, 2\]"):
        await evaluate_async(document(parent, url, replay), shard="1/2", resume=True)


async def test_more_shards_than_problems(whole: Path) -> None:
    parent = await sharded(whole, 5, max_problems=3)
    done = merge(parent)
    assert done.summary.benchmarks[0].n_problems == 3 and done.shards == 5


def test_from_the_command_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    run = ["eval", "run", "--bench", "sample", "--model-url", "simulated", "--max-problems", "8"]
    flags = ["-o", "out", "--no-progress"]
    monkeypatch.setenv("NEL_TOTAL_SHARDS", "2")
    for index in ("0", "1"):
        monkeypatch.setenv("NEL_SHARD_IDX", index)
        result = CliRunner().invoke(cli, [*run, *flags], standalone_mode=True)
        assert result.exit_code == 0 and f"shard {index} of 2" in result.output
    result = CliRunner().invoke(cli, ["eval", "merge", "out"])
    assert result.exit_code == 0, result.output
    assert "Merging sample: 2 shards -> out" in result.output
    assert Path("out/sample/results.jsonl").read_text().count("\n") == 8


@given(size=st.integers(0, 20_000), total=st.integers(1, 64))
def test_parts_cover_everything_once(size: int, total: int) -> None:
    ranges = [Shard(index=i, total=total).range(size) for i in range(total)]
    assert ranges[0][0] == 0 and ranges[-1][1] == size
    assert all(a[1] == b[0] for a, b in pairwise(ranges))
    sizes = [end - start for start, end in ranges]
    assert max(sizes) - min(sizes) <= 1


def test_known_ranges() -> None:
    assert [Shard(index=i, total=3).range(10) for i in range(3)] == [(0, 4), (4, 7), (7, 10)]
    assert Shard(index=3, total=10).range(3) == (3, 3)
    assert Shard(index=0, total=16).range(14001) == (0, 876)


@pytest.mark.parametrize(
    ("env", "expected"),
    [
        ({}, None),
        ({"NEL_SHARD_IDX": "2", "NEL_TOTAL_SHARDS": "8"}, (2, 8)),
        ({"SLURM_ARRAY_TASK_ID": "3", "SLURM_ARRAY_TASK_COUNT": "4"}, (3, 4)),
        (
            {
                "SLURM_ARRAY_TASK_ID": "3",
                "SLURM_ARRAY_TASK_COUNT": "4",
                "SLURM_ARRAY_TASK_MIN": "1",
            },
            (2, 4),
        ),
        (
            {
                "SLURM_ARRAY_TASK_ID": "9",
                "SLURM_ARRAY_TASK_COUNT": "4",
                "SLURM_ARRAY_TASK_MIN": "1",
                "SLURM_ARRAY_TASK_STEP": "4",
            },
            (2, 4),
        ),
        ({"SLURM_ARRAY_TASK_ID": "3"}, None),
        (
            {
                "SLURM_ARRAY_TASK_ID": "3",
                "SLURM_ARRAY_TASK_COUNT": "4",
                "NEL_SHARD_IDX": "0",
                "NEL_TOTAL_SHARDS": "2",
            },
            (0, 2),
        ),
    ],
)
def test_the_environment(env: dict[str, str], expected: tuple[int, int] | None) -> None:
    found = shard_from_env(env)
    assert (None if found is None else (found.index, found.total)) == expected


@pytest.mark.parametrize(
    ("env", "message"),
    [
        ({"NEL_SHARD_IDX": "0"}, "NEL_TOTAL_SHARDS is not set"),
        ({"NEL_SHARD_IDX": "x", "NEL_TOTAL_SHARDS": "2"}, "not whole numbers"),
        ({"NEL_SHARD_IDX": "2", "NEL_TOTAL_SHARDS": "2"}, "there is no shard 2 of 2"),
        ({"NEL_SHARD_IDX": "0", "NEL_TOTAL_SHARDS": "0"}, "there is no shard 0 of 0"),
        ({"SLURM_ARRAY_TASK_ID": "x", "SLURM_ARRAY_TASK_COUNT": "2"}, "not whole numbers"),
        (
            {
                "SLURM_ARRAY_TASK_ID": "7",
                "SLURM_ARRAY_TASK_COUNT": "2",
                "SLURM_ARRAY_TASK_MIN": "3",
            },
            "an array with gaps",
        ),
    ],
)
def test_a_broken_environment_is_refused(env: dict[str, str], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        shard_from_env(env)


@pytest.mark.parametrize("text", ["2", "a/b", "2/2", "-1/2", ""])
def test_a_broken_flag_is_refused(text: str) -> None:
    with pytest.raises(ConfigError):
        parse_shard(text)
