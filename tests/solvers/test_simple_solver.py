"""One request, one answer, and where the answer was found."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
from loopback import FAULTS, Loopback, number_of

from nemo_evaluator.config.services import ApiService
from nemo_evaluator.config.solvers import SimpleSolver as SimpleSolverConfig
from nemo_evaluator.errors import ConfigError, InfraError, PermanentError
from nemo_evaluator.solvers.contract import Solver, SolveTools
from nemo_evaluator.solvers.simple import SimpleSolver, to_solution
from nemo_evaluator.traffic.client import ModelClient
from nemo_evaluator.traffic.open import open_http_model
from nemo_evaluator.traffic.types import CallContext
from nemo_evaluator.types import Failure, Generation, Image, Problem, Solution

Solve = Callable[..., Any]


def solver(**fields: Any) -> SimpleSolver:
    return SimpleSolver(SimpleSolverConfig.model_validate({"service": "s", **fields}))


@pytest.fixture
async def model(loopback: Loopback) -> AsyncIterator[ModelClient]:
    fields = {
        "url": loopback.url,
        "protocol": "chat_completions",
        "model": "m",
        "generation": {"temperature": 0.3, "max_tokens": 7},
        "proxy": {"max_retries": 0},
    }
    client = open_http_model("s", ApiService.model_validate(fields), max_concurrent=4)
    yield client
    await client.close()


async def solve(model: ModelClient | None, problem: Problem, **fields: Any) -> Solution:
    tools = SolveTools(model, CallContext(session="b/0/0"))
    return await solver(**fields).solve(problem, tools)


async def test_a_solution(loopback: Loopback, model: ModelClient) -> None:
    solution = await solve(model, Problem(idx=0, prompt="2 + 2?"))
    assert solution.response == f"The answer is {number_of('2 + 2?')}"
    assert (solution.finish_reason, solution.tries, solution.model) == ("stop", 1, "loopback")
    assert (solution.response_source, solution.error) == ("content", None)
    assert solution.usage.total_tokens == 7
    assert solution.latency_ms > 0
    assert solution.trajectory == ()


TURNS = ({"role": "system", "content": "theirs"}, {"role": "user", "content": "hi"})


@pytest.mark.parametrize(
    "problem",
    [
        Problem(idx=0, prompt="hi"),
        Problem(idx=0, prompt="hi", system="theirs"),
        Problem(idx=0, messages=TURNS),
        Problem(idx=0, messages=TURNS, system="theirs too"),
    ],
)
async def test_a_configured_system_prompt_always_reaches_the_wire(
    loopback: Loopback, model: ModelClient, problem: Problem
) -> None:
    await solve(model, problem, system_prompt="ours")
    sent = loopback.calls[0].body["messages"]
    assert sent == [{"role": "system", "content": "ours"}, {"role": "user", "content": "hi"}]


async def test_the_benchmarks_system_prompt_stays_otherwise(
    loopback: Loopback, model: ModelClient
) -> None:
    await solve(model, Problem(idx=0, prompt="hi", system="theirs"))
    assert loopback.calls[0].body["messages"][0] == TURNS[0]


async def test_an_empty_system_prompt_is_one(loopback: Loopback, model: ModelClient) -> None:
    await solve(model, Problem(idx=0, messages=TURNS), system_prompt="")
    assert loopback.calls[0].body["messages"][0] == {"role": "system", "content": ""}


async def test_generation_of_the_solver_wins_field_by_field(
    loopback: Loopback, model: ModelClient
) -> None:
    await solve(model, Problem(idx=0, prompt="hi"), generation={"temperature": 0.9, "stop": ["x"]})
    body = loopback.calls[0].body
    assert (body["temperature"], body["max_tokens"], body["stop"]) == (0.9, 7, ["x"])


async def test_images_and_their_detail(loopback: Loopback, model: ModelClient) -> None:
    problem = Problem(idx=0, prompt="what?", images=(Image(data=b"\x89PNG\r\n"),))
    await solve(model, problem, image_detail="low")
    part = loopback.calls[0].body["messages"][0]["content"][0]
    assert part["image_url"] == {"url": "data:image/png;base64,iVBORw0K", "detail": "low"}


@pytest.mark.parametrize(
    ("fault", "kind"),
    [
        ("context_window", Failure.CONTEXT_WINDOW),
        ("content_filter", Failure.CONTENT_FILTER),
        ("bad_request", Failure.BAD_REQUEST),
    ],
)
async def test_a_refusal_is_a_solution_with_an_error(
    loopback: Loopback, model: ModelClient, fault: str, kind: Failure
) -> None:
    loopback.script(FAULTS[fault])
    solution = await solve(model, Problem(idx=0, prompt="hi"))
    assert solution.response == ""
    assert solution.error is not None
    assert (solution.error.kind, solution.error.status) == (kind, 400)


@pytest.mark.parametrize(
    ("fault", "error"), [("unauthorized", PermanentError), ("server_error", InfraError)]
)
async def test_infrastructure_is_no_solution(
    loopback: Loopback, model: ModelClient, fault: str, error: type[InfraError]
) -> None:
    loopback.script(FAULTS[fault])
    with pytest.raises(error):
        await solve(model, Problem(idx=0, prompt="hi"))


async def test_without_a_service_a_solver_is_refused() -> None:
    with pytest.raises(ConfigError, match="needs a service"):
        await solve(None, Problem(idx=0, prompt="hi"))


# -- where the answer is --------------------------------------------------------------------------


def found(text: str, reasoning: str | None, finish: str | None, **more: Any) -> tuple[Any, ...]:
    generation = Generation(text=text, reasoning=reasoning, finish_reason=finish, **more)
    solution = to_solution(generation)
    return solution.response, solution.reasoning, solution.response_source


def test_a_finished_answer_in_the_reasoning_field_is_the_answer() -> None:
    assert found("", "so 7", "stop") == ("so 7", None, "reasoning_content")
    assert found(" \n", "so 7", "stop") == ("so 7", None, "reasoning_content")


@pytest.mark.parametrize("finish", ["length", "max_tokens"])
def test_reasoning_that_was_cut_off_is_no_answer(finish: str) -> None:
    assert found("", "so 7", finish) == ("", "so 7", "content")


def test_reasoning_beside_an_answer_stays_reasoning() -> None:
    assert found("7", "so 7", "stop") == ("7", "so 7", "content")


def test_a_tool_call_has_no_text() -> None:
    assert found("", "call f", "tool_calls", tool_calls=({},)) == ("", "call f", "content")


async def test_null_content_over_the_wire(loopback: Loopback, model: ModelClient) -> None:
    loopback.script(FAULTS["null_content"])
    solution = await solve(model, Problem(idx=0, prompt="hi"))
    assert solution.response == "The answer is 7"
    assert solution.response_source == "reasoning_content"


# -- identity -------------------------------------------------------------------------------------


def test_identity_holds_what_changes_the_answers() -> None:
    plain = solver().identity()
    assert plain == {"type": "simple", "image_detail": "auto"}
    assert solver(system_prompt="").identity() != plain
    assert solver(generation={"temperature": 0}).identity() != plain
    assert solver(generation={}).identity() == plain
    assert isinstance(solver(), Solver)
