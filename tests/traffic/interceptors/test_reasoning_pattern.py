"""Reasoning that has no tags is told by a regular expression, whole or as a live stream."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nemo_evaluator.errors import ConfigError
from nemo_evaluator.traffic.interceptors.opening import open_interceptors
from nemo_evaluator.traffic.interceptors.reasoning_pattern import ReasoningPattern
from nemo_evaluator.traffic.types import ModelRequest, ModelResponse

PATTERN = "^.*?(?=Answer:)"
Body = dict[str, Any]


def opened(pattern: str = PATTERN) -> ReasoningPattern:
    return ReasoningPattern(ReasoningPattern.Options(pattern=pattern))


def whole(message: Body, protocol: str = "chat_completions") -> Body:
    choice = message if protocol == "completions" else {"message": message}
    response = ModelResponse(200, {"choices": [{**choice, "finish_reason": "stop"}]})
    opened().on_response(ModelRequest(protocol, {}), response)
    found: Body = response.body["choices"][0]
    return found if protocol == "completions" else found["message"]


def test_what_matches_is_reasoning_and_the_rest_is_the_answer() -> None:
    found = whole({"content": "I think\nof it. Answer: 4"})
    assert found == {"content": "Answer: 4", "reasoning_content": "I think\nof it."}
    text = whole({"text": "So. Answer: 4"}, "completions")
    assert (text["text"], text["reasoning_content"]) == ("Answer: 4", "So.")


@pytest.mark.parametrize(
    "message",
    [
        {"content": "no such word"},
        {"content": None},
        {"content": "a. Answer: 1", "reasoning_content": "told already"},
    ],
)
def test_what_is_left_alone(message: Body) -> None:
    assert whole(message) == message


@given(st.lists(st.sampled_from(["so ", "Answer:", " 4", "\n"]), max_size=8))
def test_a_stream_adds_up_to_the_whole_answer(pieces: list[str]) -> None:
    events = opened().event_filter(ModelRequest("chat_completions", {}))
    assert events is not None
    deltas = [{"index": 0, "delta": {"content": piece}} for piece in pieces]
    sent = [event for delta in deltas for event in events.feed({"choices": [delta]})]
    last = {"index": 0, "delta": {}, "finish_reason": "stop"}
    sent += [*events.feed({"choices": [last]}), *events.close()]
    parts = [event["choices"][0]["delta"] for event in sent]
    told = {name: "".join(p.get(name) or "" for p in parts) for name in NAMES}
    expected = whole({"content": "".join(pieces)})
    assert told == {name: expected.get(name) or "" for name in NAMES}


NAMES = ("content", "reasoning_content")


def test_a_pattern_that_is_none() -> None:
    from nemo_evaluator.config.proxy import InterceptorConfig

    step = InterceptorConfig(name="reasoning_pattern", config={"pattern": "("})
    with pytest.raises(ConfigError, match="not a regular expression"):
        open_interceptors([step])
