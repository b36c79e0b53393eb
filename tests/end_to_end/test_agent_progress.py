"""A run with agents says what its long rollouts have used so far, and what ended some."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from pathlib import Path

import pytest
from runs import rows

from nemo_evaluator import evaluate_async
from nemo_evaluator.solvers.contract import SolveTools
from nemo_evaluator.types import EndedBy, Json, Problem, Solution


class Slow:
    """Asks twice, then takes its time, and reports what the run says of it meanwhile."""

    def __init__(self, directory: str) -> None:
        self._progress = Path(directory) / "progress.json"

    async def solve(self, problem: Problem, tools: SolveTools) -> Solution:
        assert tools.model is not None
        for _ in range(2):
            await tools.model.generate(prompt=problem.prompt, context=tools.context)
        await asyncio.sleep(
            2.6
        )  # a rollout is slow at half of its time; progress is told every 2 s
        line = json.loads(self._progress.read_text())["benchmarks"]["sample"]["line"]
        return Solution(response=line, ended_by=EndedBy.TURNS)

    def identity(self) -> Mapping[str, Json]:
        return {"type": "slow"}

    async def close(self) -> None: ...


@pytest.mark.slow
async def test_a_long_rollout_says_what_it_has_used(tmp_path: Path) -> None:
    directory = str(tmp_path / "run")
    solver = {"type": "custom", "service": "model", "class_path": f"{__name__}:Slow"}
    await evaluate_async(
        {
            "services": {
                "model": {"type": "simulated", "price": {"prompt": 1000, "completion": 1}}
            },
            "solver": {**solver, "config": {"directory": directory}},
            "benchmarks": [{"name": "sample", "max_problems": 1, "timeout": 3}],
            "output": {"dir": directory, "report": []},
        }
    )
    [row] = rows(tmp_path / "run/sample")
    assert 2600 < row["wall_ms"] < 3000, "the time of the agent, not of its two quick calls"
    assert row["latency_ms"] == pytest.approx(row["wall_ms"], rel=0.1), "no other time is told"
    said = row["model_response"]
    assert "slowest: " in said and "2 turns, " in said and " tokens, 0." in said
    last = json.loads((tmp_path / "run/progress.json").read_text())["benchmarks"]["sample"]["line"]
    assert "ended by turns 1" in last and "slowest" not in last
