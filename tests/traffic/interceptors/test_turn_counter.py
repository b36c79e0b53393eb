"""Turns of a session: counted, announced, given back, and ended gracefully."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nemo_evaluator.config.proxy import InterceptorConfig
from nemo_evaluator.errors import BudgetExceeded, InfraError
from nemo_evaluator.traffic.interceptors.opening import open_interceptors
from nemo_evaluator.traffic.pipeline import Pipeline
from nemo_evaluator.traffic.types import CallContext, Forward, ModelRequest, ModelResponse

USER = {"role": "user", "content": "go"}


async def answers(request: ModelRequest) -> ModelResponse:
    return ModelResponse(200, {"choices": []})


async def fails(request: ModelRequest) -> ModelResponse:
    raise InfraError("gone")


def pipeline(terminal: Forward = answers, **options: Any) -> Pipeline:
    config = InterceptorConfig.model_validate({"name": "turn_counter", "config": options})
    return Pipeline(open_interceptors([config]), terminal)


async def turn(
    steps: Pipeline, messages: list[Any] | None = None, session: str = "s", attempt: int = 1
) -> list[Any]:
    """The messages as they went upstream."""
    context = CallContext(session=session, attempt=attempt)
    body = {"messages": [USER] if messages is None else messages}
    request = ModelRequest("chat_completions", body, context=context)
    await steps(request)
    return request.body["messages"]  # type: ignore[no-any-return]


async def test_thresholds_and_the_end() -> None:
    """The first part of the worked example."""
    steps = pipeline(max_turns=10)
    for _ in range(7):
        assert await turn(steps) == [USER]
    for number, left in ((8, "2 turns"), (9, "1 turn")):
        sent = await turn(steps)
        assert sent[0] == USER and sent[1]["role"] == "system"
        text = sent[1]["content"]
        assert text.startswith("[SYSTEM] ") and f"{number}/10" in text and f"{left} left" in text
        assert "URGENT" not in text
    urgent = (await turn(steps))[1]["content"]
    assert "URGENT" in urgent and "10/10" in urgent and "0 turns left" in urgent
    with pytest.raises(BudgetExceeded, match="Turn budget exhausted: 11/10"):
        await turn(steps)


async def test_periodic_in_the_user_message() -> None:
    """The second part of the worked example."""
    steps = pipeline(max_turns=6, position="user_message", trigger="periodic", interval=2)
    messages = [USER, {"role": "assistant", "content": "k"}]
    for number, left in ((1, None), (2, 4), (3, None), (4, 2)):
        sent = await turn(steps, messages)
        if left is None:
            assert sent == messages, number
        else:
            before, _, notice = sent[0]["content"].partition("\n\n")
            assert before == "go" and f"{left} turns left" in notice
            assert sent[1] == messages[1]
    assert USER == {"role": "user", "content": "go"}


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (None, "{}"),
        ([{"type": "text", "text": "a"}], [{"type": "text", "text": "a\n\n{}"}]),
        (
            [{"type": "image_url", "image_url": "x"}],
            [{"type": "image_url", "image_url": "x"}, {"type": "text", "text": "{}"}],
        ),
        ([], [{"type": "text", "text": "{}"}]),
    ],
)
async def test_notices_in_any_content(content: Any, expected: Any) -> None:
    steps = pipeline(max_turns=5, position="user_message", trigger="periodic")
    sent = await turn(steps, [{"role": "user", "content": content}])
    text = str(sent[0]["content"])
    assert text == str(expected).replace("{}", "Turn budget: 4 turns left.").replace("\\\\n", "\\n")


async def test_responses_and_completions() -> None:
    steps = pipeline(max_turns=1)
    request = ModelRequest("responses", {"input": "go"}, context=CallContext(session="r"))
    await steps(request)
    assert [item["role"] for item in request.body["input"]] == ["user", "system"]
    request = ModelRequest("completions", {"prompt": "go"}, context=CallContext(session="c"))
    await steps(request)
    assert request.body == {"prompt": "go"}
    with pytest.raises(BudgetExceeded):
        await steps(ModelRequest("completions", {}, context=CallContext(session="c")))
    for _ in range(3):  # embeddings are no turns
        await steps(ModelRequest("embeddings", {}, context=CallContext(session="c")))


async def test_failed_calls_give_their_turn_back() -> None:
    broken = True

    async def sometimes(request: ModelRequest) -> ModelResponse:
        return await (fails if broken else answers)(request)

    steps = pipeline(sometimes, max_turns=2)
    for _ in range(5):
        with pytest.raises(InfraError):
            await turn(steps)
    broken = False
    await turn(steps)
    await turn(steps)
    with pytest.raises(BudgetExceeded):
        await turn(steps)


async def test_a_caller_who_leaves_gives_its_turn_back() -> None:
    async def hangs(request: ModelRequest) -> ModelResponse:
        await asyncio.sleep(60)
        raise AssertionError

    steps = pipeline(hangs, max_turns=1)
    for _ in range(3):
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(turn(steps), 0.01)


async def test_parallel_calls_hold_a_turn_each() -> None:
    steps = pipeline(max_turns=5)
    ends = await asyncio.gather(*(turn(steps) for _ in range(9)), return_exceptions=True)
    assert sum(isinstance(end, BudgetExceeded) for end in ends) == 4


async def test_sessions_and_attempts_are_counted_apart_and_compaction_resets_nothing() -> None:
    steps = pipeline(max_turns=2)
    await turn(steps)
    await turn(steps, [{"role": "user", "content": "a summary instead of the conversation"}])
    with pytest.raises(BudgetExceeded):
        await turn(steps)
    await turn(steps, session="other")
    await turn(steps, attempt=2)
    steps.end_session(CallContext(session="s"))
    await turn(steps)


async def test_without_a_session_the_conversation_counts() -> None:
    steps = pipeline(max_turns=1)
    await turn(steps, [{"role": "system", "content": "x"}, USER], session="")
    with pytest.raises(BudgetExceeded):
        await turn(steps, [{"role": "system", "content": "y"}, USER], session="")
    await turn(steps, [{"role": "user", "content": "another"}], session="")


async def test_without_a_limit_turns_are_only_counted() -> None:
    steps = pipeline()
    for _ in range(50):
        assert await turn(steps) == [USER]


@given(st.lists(st.booleans(), max_size=30), st.integers(1, 10))
async def test_exactly_the_answered_calls_count(outcomes: list[bool], limit: int) -> None:
    """Whatever fails in between, a session gets ``limit`` answers and not one more."""
    plan = iter([*outcomes, *[True] * (limit + 1)])

    async def planned(request: ModelRequest) -> ModelResponse:
        return await (answers if next(plan) else fails)(request)

    steps = pipeline(planned, max_turns=limit)
    got = 0
    while True:
        try:
            await turn(steps)
            got += 1
        except InfraError:
            continue
        except BudgetExceeded:
            break
    assert got == limit
