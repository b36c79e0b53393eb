"""A run is recorded, the endpoint goes away, and the replay gives the same results bit for bit."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from runs import rows

from nemo_evaluator import evaluate_async
from nemo_evaluator.config.services import FaultsConfig, LatencyConfig, SimulatedService
from nemo_evaluator.executors.local import RunResult
from nemo_evaluator.services.simulated.model import SimulatedModel
from nemo_evaluator.services.simulated.server import serving

pytestmark = pytest.mark.usefixtures("quick_retries")

FAULTS = FaultsConfig(
    rate_limit=0.1,
    server_error=0.08,
    drop=0.05,
    invalid_json=0.05,
    empty=0.05,
    length=0.05,
    retry_after_s=0.001,
)


async def run(
    tmp_path: Path, name: str, url: str, step: dict[str, Any], **benchmark: Any
) -> RunResult:
    service = {
        "type": "api",
        "url": url,
        "protocol": "chat_completions",
        "model": "simulated",
        "stream": True,
        "proxy": {"max_retries": 1, "interceptors": [step]},
    }
    document = {
        "services": {"model": service},
        "benchmarks": [{"name": "sample", "repeats": 2, "max_system_retries": 2, **benchmark}],
        "output": {"dir": str(tmp_path / name), "report": []},
    }
    return await evaluate_async(document)


async def test_a_replay_is_the_same_run(tmp_path: Path) -> None:
    path = str(tmp_path / "traffic.rec")
    upstream = SimulatedService(faults=FAULTS, latency=LatencyConfig(mean_ms=1), reasoning=True)
    async with serving(SimulatedModel(upstream, vary_repeats=True)) as url:
        record = {"name": "record", "config": {"path": path}}
        first = await run(tmp_path, "recorded", url, record)
    replay = {"name": "replay", "config": {"path": path}}
    second = await run(tmp_path, "replayed", url, replay, max_concurrent=3)
    assert first.exit_code == second.exit_code
    for name in ("results.jsonl", "unscored.jsonl"):
        recorded = tmp_path / "recorded/sample" / name
        replayed = tmp_path / "replayed/sample" / name
        assert recorded.exists() == replayed.exists()
        assert not recorded.exists() or replayed.read_bytes() == recorded.read_bytes()
    kinds = [row["outcome"] for row in rows(tmp_path / "recorded/sample")]
    assert "scored" in kinds and len(kinds) == 240
    a, b = first.summary.benchmarks[0], second.summary.benchmarks[0]
    assert a.metrics == b.metrics and a.failures == b.failures and a.outcomes == b.outcomes


async def test_what_was_not_recorded_is_refused(tmp_path: Path) -> None:
    path = str(tmp_path / "traffic.rec")
    async with serving(SimulatedModel(SimulatedService())) as url:
        record = {"name": "record", "config": {"path": path}}
        await run(tmp_path, "recorded", url, record, max_problems=5)
    replay = {"name": "replay", "config": {"path": path}}
    result = await run(tmp_path, "more", url, replay, max_problems=9)
    assert result.exit_code in (2, 3)
    assert "recording" in " ".join(result.messages)
