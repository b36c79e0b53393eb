"""The `budget` interceptor: limits per run and per session, in tokens and in dollars."""

from __future__ import annotations

from typing import Any

import pytest

from nemo_evaluator.config.proxy import InterceptorConfig
from nemo_evaluator.errors import BudgetExceeded, ConfigError, RunBudgetExceeded
from nemo_evaluator.traffic.interceptors.opening import open_interceptors
from nemo_evaluator.traffic.pipeline import Pipeline
from nemo_evaluator.traffic.types import CallContext, ModelRequest, ModelResponse, Place
from nemo_evaluator.types import Usage

BODY = {"usage": {"prompt_tokens": 60, "completion_tokens": 40}}


async def ten(request: ModelRequest) -> ModelResponse:
    return ModelResponse(200, dict(BODY), source=request.body.get("source", "endpoint"))


def cents(usage: Usage) -> float | None:
    return (usage.total_tokens or 0) / 10_000


def pipeline(options: dict[str, Any], priced: bool = True) -> Pipeline:
    config = InterceptorConfig.model_validate({"name": "budget", "config": options})
    steps = Pipeline(open_interceptors([config]), ten)
    place = Place("svc", "m", "peer", "chat_completions", cost=cents if priced else lambda _: None)
    steps.open(place)
    return steps


async def ask(steps: Pipeline, session: str = "s", source: str = "endpoint") -> None:
    context = CallContext(session=session)
    await steps(ModelRequest("chat_completions", {"source": source}, context=context))


async def test_tokens_of_the_run() -> None:
    steps = pipeline({"run": {"tokens": 250}})
    for number in range(3):
        await ask(steps, f"s{number}")
    with pytest.raises(RunBudgetExceeded, match="the run is used up: 300 of 250 tokens"):
        await ask(steps, "s4")


async def test_dollars_of_a_session() -> None:
    steps = pipeline({"session": {"usd": 0.02}})
    await ask(steps)
    await ask(steps)
    with pytest.raises(BudgetExceeded, match=r"session is used up: 0.02 of 0.02 US dollars") as end:
        await ask(steps)
    assert not isinstance(end.value, RunBudgetExceeded)
    await ask(steps, "another")
    steps.end_session(CallContext(session="s"))
    await ask(steps)


async def test_the_cache_costs_nothing() -> None:
    steps = pipeline({"run": {"tokens": 100}})
    for _ in range(5):
        await ask(steps, source="cache")
    await ask(steps)
    with pytest.raises(RunBudgetExceeded):
        await ask(steps)


def test_dollars_need_a_price() -> None:
    with pytest.raises(ConfigError, match="a limit in usd needs prices"):
        pipeline({"run": {"usd": 1}}, priced=False)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, "needs a limit"),
        ({"run": {"token": 1}}, "did you mean 'tokens'"),
        ({"session": {"usd": 0}}, "must be greater than 0"),
    ],
)
def test_bad_options(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        pipeline(options)
