"""An answer that used up its limit was cut off, in a stream too."""

from __future__ import annotations

from typing import Any

import pytest
from steps import Scripted, configured

from nemo_evaluator.traffic.dialects import DIALECTS

Body = dict[str, Any]


def usage(completion: Any, reasoning: Any = None) -> Body:
    if reasoning is None:
        return {"completion_tokens": completion}
    details = {"reasoning_tokens": reasoning}
    return {"completion_tokens": completion, "completion_tokens_details": details}


EXAMPLES = {
    "limit reached": ({"max_tokens": 10}, "stop", usage(10), "length"),
    "below": ({"max_tokens": 10}, "stop", usage(9), "stop"),
    "reasoning counts": ({"max_tokens": 10}, "stop", usage(0, 10), "length"),
    "true is no limit": ({"max_tokens": True}, "stop", usage(10), "stop"),
    "zero is no limit": ({"max_tokens": 0}, "stop", usage(10), "stop"),
    "other reasons stay": ({"max_tokens": 10}, "tool_calls", usage(12), "tool_calls"),
    "max_completion_tokens wins": (
        {"max_tokens": 5, "max_completion_tokens": 50},
        "stop",
        usage(10),
        "stop",
    ),
    "no usage": ({"max_tokens": 10}, "stop", None, "stop"),
    "usage is nonsense": ({"max_tokens": 10}, "stop", usage("10"), "stop"),
}


@pytest.mark.parametrize(("body", "reason", "tokens", "expected"), EXAMPLES.values(), ids=EXAMPLES)
@pytest.mark.parametrize("shape", ["message", "text"])
async def test_stop_becomes_length_where_a_limit_was_reached(
    body: Body, reason: str, tokens: Any, expected: str, shape: str
) -> None:
    choice = {shape: "x", "finish_reason": reason}
    answer = {"choices": [choice], "usage": tokens}
    found = (await Scripted(configured("finish_reason")).send(dict(body), answer))["choices"][0]
    assert found["finish_reason"] == expected
    assert found.get("original_finish_reason") == (reason if expected != reason else None)


async def test_several_choices_share_no_usage() -> None:
    answer = {
        "choices": [{"finish_reason": "stop"}, {"finish_reason": "stop"}],
        "usage": usage(100),
    }
    found = await Scripted(configured("finish_reason")).send({"max_tokens": 100}, answer)
    assert [choice["finish_reason"] for choice in found["choices"]] == ["stop", "stop"]


async def test_a_choice_may_tell_its_own() -> None:
    choices = [
        {"finish_reason": "stop", "usage": usage(100)},
        {"finish_reason": "stop", "completion_tokens": 100},
        {"finish_reason": "stop", "usage": usage(99)},
    ]
    found = await Scripted(configured("finish_reason")).send(
        {"max_tokens": 100}, {"choices": choices}
    )
    reasons = [choice["finish_reason"] for choice in found["choices"]]
    assert reasons == ["length", "length", "stop"]


@pytest.mark.parametrize("choices", [None, [], "x", ["x"], [{}]], ids=str)
async def test_sloppy_bodies(choices: Any) -> None:
    answer = {"choices": choices, "usage": usage(9)}
    assert await Scripted(configured("finish_reason")).send({"max_tokens": 9}, answer) == answer


def chunk(content: str, finish: str | None = None, **fields: Any) -> Body:
    choice = {"index": 0, "delta": {"content": content}, "finish_reason": finish}
    return {"id": "c", "choices": [choice], **fields}


TAIL: dict[str, tuple[list[Body], bool]] = {
    "usage behind": ([chunk("", "stop"), {"choices": [], "usage": usage(10)}], True),
    "usage with the end": ([chunk("", "stop", usage=usage(10))], True),
    "usage in every chunk": (
        [chunk("b", usage=usage(9)), chunk("", "stop", usage=usage(10))],
        True,
    ),
    "something between": (
        [chunk("", "stop"), {"choices": [], "note": 1}, {"choices": [], "usage": usage(10)}],
        True,
    ),
    "below": ([chunk("", "stop"), {"choices": [], "usage": usage(9)}], False),
    "no usage": ([chunk("", "stop")], False),
    "another reason": ([chunk("", "tool_calls"), {"choices": [], "usage": usage(10)}], False),
}


@pytest.mark.parametrize(("tail", "fixed"), TAIL.values(), ids=TAIL)
@pytest.mark.parametrize("n", [{}, {"n": 1}, {"n": None}], ids=str)
async def test_live_streams_are_corrected_too(tail: list[Body], fixed: bool, n: Body) -> None:
    pipeline = Scripted(configured("finish_reason"))
    events = [chunk("a"), *tail]
    found, body = await pipeline.stream(events, {"max_tokens": 10, **n})
    accumulator = DIALECTS["chat_completions"].accumulator()
    for event in found:
        accumulator.add(event)
    seen = accumulator.body(done=True)
    assert seen is not None
    reasons = [body["choices"][0]["finish_reason"], seen["choices"][0]["finish_reason"]]
    assert (reasons == ["length", "length"]) is fixed
    assert reasons[0] == reasons[1]
    assert [event.get("note") for event in found] == [event.get("note") for event in events]


async def test_live_several_choices_are_left_alone() -> None:
    events = [chunk("", "stop"), {"choices": [], "usage": usage(10)}]
    found, _ = await Scripted(configured("finish_reason")).stream(events, {"max_tokens": 5, "n": 2})
    assert found == events
