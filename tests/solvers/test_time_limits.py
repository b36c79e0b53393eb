"""How long an agent may work: every strategy, with and without a time of the task, under a cap."""

from __future__ import annotations

import time

import pytest

from nemo_evaluator.config.solvers import OracleSolverConfig
from nemo_evaluator.solvers.contract import SolveTools
from nemo_evaluator.solvers.time_limits import task_seconds, time_limit
from nemo_evaluator.traffic.types import CallContext
from nemo_evaluator.types import Json, Problem


def limit(left: float = 10_000, task: Json = None, **config: object) -> tuple[float, str]:
    metadata: dict[str, Json] = {} if task is None else {"agent_timeout_sec": task}
    tools = SolveTools(None, CallContext(deadline=time.monotonic() + left))
    found = time_limit(
        OracleSolverConfig.model_validate(config), Problem(idx=0, metadata=metadata), tools
    )
    return round(found.seconds), found.why


@pytest.mark.parametrize(
    ("config", "task", "expected"),
    [
        ({"run_timeout": 100}, None, (100, "run_timeout")),
        ({"run_timeout": 100}, 300, (100, "run_timeout")),
        ({"run_timeout": 100, "timeout_strategy": "task"}, 300, (300, "the task")),
        ({"run_timeout": 100, "timeout_strategy": "task"}, None, (100, "run_timeout")),
        ({"run_timeout": 100, "timeout_strategy": "max"}, 300, (300, "the task")),
        ({"run_timeout": 400, "timeout_strategy": "max"}, 300, (400, "run_timeout")),
        ({"timeout_strategy": "task", "max_agent_timeout": 50}, 300, (50, "max_agent_timeout")),
        ({"run_timeout": 100, "max_agent_timeout": 500}, None, (100, "run_timeout")),
    ],
)
def test_a_strategy_chooses_the_time_limit(
    config: dict[str, object], task: Json, expected: tuple[float, str]
) -> None:
    assert limit(task=task, **config) == expected


@pytest.mark.parametrize("told", ["300", True, -1, 0])
def test_a_time_that_is_none_is_ignored(told: Json, caplog: pytest.LogCaptureFixture) -> None:
    assert task_seconds(Problem(idx=3, metadata={"agent_timeout_sec": told})) is None
    assert "problem 3" in caplog.text


def test_an_agent_ends_before_the_rollout_does() -> None:
    assert limit(left=100) == (98, "benchmark.timeout")
    assert limit(left=100, run_timeout=5000) == (98, "benchmark.timeout")
    assert limit(left=100_000, run_timeout=200_000)[0] == 100_000 - 30
