"""The recorder of steps, and what a solver gets to reach its models."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from nemo_evaluator.errors import ConfigError
from nemo_evaluator.solvers.contract import SolverNeeds, SolveTools, Steps, needs_of
from nemo_evaluator.steps import Step, StepMetrics, StepSource, ToolCall
from nemo_evaluator.traffic.types import CallContext
from nemo_evaluator.types import Usage


def test_steps_are_numbered_and_timed() -> None:
    steps = Steps()
    steps.add(Step(source=StepSource.USER, message="do it"))
    steps.add(Step(source=StepSource.AGENT, message="done", timestamp="2026-01-01T00:00:00Z"))
    first, second = steps.taken()
    assert (first.step_id, second.step_id, len(steps)) == (1, 2, 2)
    assert first.timestamp is not None and first.timestamp.endswith("+00:00")
    assert second.timestamp == "2026-01-01T00:00:00Z"


def test_what_is_recorded_does_not_change_later() -> None:
    steps, arguments = Steps(), {"path": ["a"], "place": Path("/tmp")}
    call = ToolCall(tool_call_id="1", function_name="read", arguments=arguments)
    steps.add(Step(source=StepSource.AGENT, tool_calls=(call,)))
    arguments["path"] = ["b"]
    assert steps.taken()[0].tool_calls[0].arguments == {"path": ["a"], "place": "/tmp"}


def test_a_step_has_its_cost_where_the_price_is_known() -> None:
    def price(usage: Usage) -> float:
        return (usage.prompt_tokens or 0) * 0.5 + (usage.completion_tokens or 0)

    def told(**metrics: Any) -> Step:
        return Step(source=StepSource.AGENT, metrics=StepMetrics(**metrics))

    steps = Steps(price)
    for step in (
        told(prompt_tokens=4, completion_tokens=1),
        told(prompt_tokens=4, cost_usd=9.0),
        told(),
        Step(source=StepSource.USER, message="do it"),
    ):
        steps.add(step)
    costs = [step.metrics.cost_usd if step.metrics else None for step in steps.taken()]
    assert costs == [3.0, 9.0, None, None]


@pytest.mark.parametrize(
    "wrong",
    ["text", {"source": "agent"}, Step(source="robot")],  # type: ignore[arg-type]
)
def test_what_is_no_step_is_refused(wrong: Any) -> None:
    steps = Steps()
    with pytest.raises(TypeError):
        steps.add(wrong)
    assert len(steps) == 0


class Careless:
    needs = "a sandbox"


def test_needs_are_checked() -> None:
    assert needs_of(object()) == SolverNeeds()  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="SolverNeeds"):
        needs_of(Careless())  # type: ignore[arg-type]


async def test_a_door_needs_a_model_and_a_workspace() -> None:
    tools = SolveTools(None, CallContext())
    with pytest.raises(ConfigError, match="has no service"):
        await tools.door()
    with pytest.raises(ConfigError, match="has no service"):
        await tools.base_url()
    with pytest.raises(ConfigError, match="role 'user'"):
        await tools.door("user")
