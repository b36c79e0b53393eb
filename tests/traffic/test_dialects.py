"""Questions become request bodies and bodies become replies, in every dialect."""

from __future__ import annotations

import contextlib
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nemo_evaluator.errors import ConfigError
from nemo_evaluator.traffic.dialects import DIALECTS, Question
from nemo_evaluator.traffic.dialects.contract import UnknownShape, parse_usage
from nemo_evaluator.traffic.sse import SseParser
from nemo_evaluator.types import Image, Usage

CHAT, COMPLETIONS, RESPONSES = (
    DIALECTS[name] for name in ("chat_completions", "completions", "responses")
)
TURNS = ({"role": "system", "content": "old"}, {"role": "user", "content": "hi"})


# -- building -------------------------------------------------------------------------------------


def test_chat_prompt_is_the_user_turn() -> None:
    body = CHAT.build(Question("m", "2 + 2?", params={"temperature": 0.5}))
    assert body == {
        "model": "m",
        "messages": [{"role": "user", "content": "2 + 2?"}],
        "temperature": 0.5,
    }


@pytest.mark.parametrize("role", ["system", "developer"])
def test_a_system_prompt_replaces_the_leading_one(role: str) -> None:
    turns = ({"role": role, "content": "old"}, TURNS[1])
    body = CHAT.build(Question("m", messages=turns, system="new"))
    assert body["messages"] == [{"role": "system", "content": "new"}, TURNS[1]]


def test_without_a_system_prompt_messages_stay() -> None:
    assert CHAT.build(Question("m", messages=TURNS))["messages"] == list(TURNS)


def test_chat_images_stand_before_the_text_of_the_last_user_turn() -> None:
    turns = (*TURNS, {"role": "assistant", "content": "yes?"})
    image = Image(url="https://h/a.png")
    body = CHAT.build(Question("m", messages=turns, images=(image,), image_detail="low"))
    assert body["messages"][1]["content"] == [
        {"type": "image_url", "image_url": {"url": "https://h/a.png", "detail": "low"}},
        {"type": "text", "text": "hi"},
    ]
    assert turns[1]["content"] == "hi"


def test_images_without_a_user_turn_get_one() -> None:
    question = Question("m", "look", TURNS[:1], images=(Image(url="https://h/a"),))
    last = CHAT.build(question)["messages"][-1]
    assert last["role"] == "user"
    assert last["content"][1] == {"type": "text", "text": "look"}


def test_completions_join_system_and_prompt() -> None:
    assert COMPLETIONS.build(Question("m", "b", system="a"))["prompt"] == "a\n\nb"
    assert COMPLETIONS.build(Question("m", "b"))["prompt"] == "b"
    joined = COMPLETIONS.build(Question("m", messages=TURNS, system="new"))
    assert joined["prompt"] == "new\n\nhi"


def test_completions_refuse_images() -> None:
    with pytest.raises(ConfigError, match="use protocol chat_completions"):
        COMPLETIONS.build(Question("m", "b", images=(Image(url="u"),)))


def test_responses_translate_parameters_and_parts() -> None:
    turns = (
        {"role": "user", "content": [{"type": "text", "text": "a"}]},
        {"role": "assistant", "content": [{"type": "text", "text": "b"}]},
        {
            "role": "user",
            "content": [{"type": "image_url", "image_url": {"url": "https://h/a.png"}}],
        },
    )
    params = {"max_tokens": 5, "reasoning_effort": "low"}
    body = RESPONSES.build(Question("m", messages=turns, system="s", params=params))
    assert body["max_output_tokens"] == 5
    assert body["reasoning"] == {"effort": "low"}
    assert body["input"] == [
        {"role": "system", "content": "s"},
        {"role": "user", "content": [{"type": "input_text", "text": "a"}]},
        {"role": "assistant", "content": [{"type": "output_text", "text": "b"}]},
        {
            "role": "user",
            "content": [{"type": "input_image", "image_url": "https://h/a.png", "detail": "auto"}],
        },
    ]


def test_responses_images() -> None:
    body = RESPONSES.build(Question("m", "what?", images=(Image(url="https://h/a.png"),)))
    assert body["input"][0]["content"] == [
        {"type": "input_image", "image_url": "https://h/a.png", "detail": "auto"},
        {"type": "input_text", "text": "what?"},
    ]


# -- parsing --------------------------------------------------------------------------------------


def chat(message: Any, finish: Any = "stop", **more: Any) -> dict[str, Any]:
    return {"choices": [{"message": message, "finish_reason": finish}], **more}


def test_chat_reply() -> None:
    usage = {
        "prompt_tokens": 10,
        "completion_tokens": 5,
        "prompt_tokens_details": {"cached_tokens": 4},
        "completion_tokens_details": {"reasoning_tokens": 3},
    }
    call = {"id": "1", "type": "function", "function": {"name": "f", "arguments": "{}"}}
    message = {"content": "4", "reasoning_content": "2 and 2", "tool_calls": [call]}
    reply = CHAT.parse(chat(message, usage=usage, model="m-1"))
    assert (reply.text, reply.reasoning, reply.finish_reason) == ("4", "2 and 2", "stop")
    assert (reply.model, reply.tool_calls) == ("m-1", (call,))
    assert reply.usage == Usage(
        prompt_tokens=10, completion_tokens=5, reasoning_tokens=3, cached_tokens=4
    )


@pytest.mark.parametrize(
    ("message", "text", "reasoning"),
    [
        ({"content": None, "reasoning_content": "so 7"}, "", "so 7"),
        ({"content": "a", "reasoning": "b"}, "a", "b"),
        ({"content": [{"type": "text", "text": "a"}, {"type": "x"}, "b"]}, "ab", None),
        ({"content": None, "refusal": "I cannot"}, "I cannot", None),
        ({}, "", None),
        ({"content": 5, "reasoning_content": [], "tool_calls": "no"}, "", None),
    ],
)
def test_chat_contents(message: Any, text: str, reasoning: str | None) -> None:
    reply = CHAT.parse(chat(message))
    assert (reply.text, reply.reasoning, reply.tool_calls) == (text, reasoning, ())


def test_usage_in_responses_spelling() -> None:
    usage = {
        "input_tokens": 1,
        "output_tokens": 2,
        "input_tokens_details": {"cached_tokens": 0},
        "output_tokens_details": {"reasoning_tokens": 2},
    }
    body = {"status": "completed", "output": [{"type": "message"}], "usage": usage}
    assert RESPONSES.parse(body).usage == Usage(
        prompt_tokens=1, completion_tokens=2, reasoning_tokens=2, cached_tokens=0
    )


@pytest.mark.parametrize(
    ("told", "known"),
    [
        (12, 12),
        (0, 0),
        (12.0, 12),
        (12.5, None),
        ("12", None),
        (True, None),
        (None, None),
        (-5, None),
        (10**30, None),
        (1e30, None),
        (float("nan"), None),
        (float("inf"), None),
    ],
)
def test_only_a_count_of_tokens_is_one(told: Any, known: int | None) -> None:
    found = parse_usage({"prompt_tokens": told, "completion_tokens": 3, "cached_tokens": told})
    assert found == Usage(prompt_tokens=known, completion_tokens=3, cached_tokens=known)


def test_responses_reply() -> None:
    output = [
        {"type": "reasoning", "summary": [{"type": "summary_text", "text": "hm"}]},
        {"type": "message", "content": [{"type": "output_text", "text": "4"}]},
        {"type": "function_call", "call_id": "c", "name": "f", "arguments": "{}"},
    ]
    reply = RESPONSES.parse({"status": "completed", "output": output})
    assert (reply.text, reply.reasoning, reply.finish_reason) == ("4", "hm", "tool_calls")
    function = {"name": "f", "arguments": "{}"}
    assert reply.tool_calls == ({"id": "c", "type": "function", "function": function},)


@pytest.mark.parametrize(
    ("reason", "finish"),
    [("max_output_tokens", "length"), ("content_filter", "content_filter"), (None, "length")],
)
def test_incomplete_responses(reason: str | None, finish: str) -> None:
    body = {"status": "incomplete", "output": [], "incomplete_details": {"reason": reason}}
    assert RESPONSES.has_answer(body)
    assert RESPONSES.parse(body).finish_reason == finish


@pytest.mark.parametrize(
    ("protocol", "body"),
    [
        ("chat_completions", {}),
        ("chat_completions", {"choices": []}),
        ("chat_completions", {"choices": None}),
        ("chat_completions", {"choices": ["x"]}),
        ("chat_completions", chat(None)),
        ("chat_completions", chat({"content": ""}, "error")),
        ("chat_completions", {"error": {"message": "busy"}}),
        ("completions", {"choices": []}),
        ("completions", {"choices": [{}]}),
        ("responses", {"output": []}),
        ("responses", {"status": "failed", "output": []}),
        ("responses", {"status": "in_progress", "output": [{}]}),
    ],
)
def test_bodies_without_an_answer(protocol: str, body: dict[str, Any]) -> None:
    assert not DIALECTS[protocol].has_answer(body)


KEYS = (
    "choices message content usage text delta tool_calls function output type status index summary"
    " finish_reason prompt_tokens prompt_tokens_details response"
)
JSON = st.recursive(
    st.sampled_from([None, True, 0, 7, -1, 0.5, "", "x", "message", "response.completed"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(KEYS.split()), inner, max_size=4)
    ),
    max_leaves=20,
)
BODIES = st.dictionaries(
    st.sampled_from(["choices", "output", "usage", "model", "status", "type"]), JSON
)


@given(protocol=st.sampled_from(sorted(DIALECTS)), body=BODIES)
def test_no_body_breaks_a_reader(protocol: str, body: dict[str, Any]) -> None:
    dialect = DIALECTS[protocol]
    if dialect.has_answer(body):
        assert isinstance(dialect.parse(body).text, str)
    accumulator = dialect.accumulator()
    with contextlib.suppress(UnknownShape):  # what the accumulator says of a form nobody knows
        accumulator.add(body)
        accumulator.body(True)


# -- streams --------------------------------------------------------------------------------------


def delta(index: int = 0, finish: str | None = None, **more: Any) -> dict[str, Any]:
    return {"model": "m", "choices": [{"index": index, "delta": more, "finish_reason": finish}]}


CHAT_EVENTS = [
    delta(role="assistant", content=""),
    delta(reasoning_content="2 and "),
    delta(reasoning_content="2"),
    delta(content="The "),
    delta(index=1, content="other choice", finish="stop"),
    delta(content="answer"),
    delta(tool_calls=[{"index": 0, "id": "a", "function": {"name": "f", "arguments": '{"x"'}}]),
    delta(tool_calls=[{"index": 0, "function": {"arguments": ": 1}"}}]),
    delta(tool_calls=[{"index": 1, "id": "b", "function": {"name": "g", "arguments": "{}"}}]),
    delta(finish="stop"),
    {"choices": [], "usage": {"prompt_tokens": 3, "completion_tokens": 9}},
]
WHOLE = chat(
    {
        "content": "The answer",
        "reasoning_content": "2 and 2",
        "tool_calls": [
            {"id": "a", "type": "function", "function": {"name": "f", "arguments": '{"x": 1}'}},
            {"id": "b", "type": "function", "function": {"name": "g", "arguments": "{}"}},
        ],
    },
    usage={"prompt_tokens": 3, "completion_tokens": 9},
    model="m",
)


@given(st.lists(st.integers(1, 400), max_size=40))
def test_a_chat_stream_in_any_chunks_equals_the_unstreamed_answer(sizes: list[int]) -> None:
    data = b"".join(b"data: " + json.dumps(event).encode() + b"\n\n" for event in CHAT_EVENTS)
    parser, accumulator = SseParser(), CHAT.accumulator()
    for size in [*sizes, len(data)]:
        chunk, data = data[:size], data[size:]
        for event in parser.feed(chunk):
            accumulator.add(event)
    body = accumulator.body(parser.done)
    assert body is not None
    assert CHAT.parse(body) == CHAT.parse(WHOLE)


def test_the_first_token_is_the_first_content() -> None:
    accumulator = CHAT.accumulator()
    assert [accumulator.add(event) for event in CHAT_EVENTS[:4]] == [False, True, True, True]
    assert not accumulator.add(CHAT_EVENTS[9])


def test_a_stream_without_its_end_is_no_answer() -> None:
    accumulator = CHAT.accumulator()
    for event in CHAT_EVENTS[:6]:
        accumulator.add(event)
    assert accumulator.body(False) is None
    ended = accumulator.body(True)
    assert ended is not None
    assert CHAT.parse(ended).finish_reason is None
    assert CHAT.accumulator().body(True) is None


def test_completions_stream() -> None:
    accumulator = COMPLETIONS.accumulator()
    assert accumulator.add({"choices": [{"index": 0, "text": "a"}]})
    assert accumulator.body(False) is None
    accumulator.add({"choices": [{"index": 0, "text": "b", "finish_reason": "length"}]})
    accumulator.add({"choices": [], "usage": {"completion_tokens": 2}})
    body = accumulator.body(False)
    assert body is not None
    reply = COMPLETIONS.parse(body)
    assert (reply.text, reply.finish_reason) == ("ab", "length")
    assert reply.usage.completion_tokens == 2


def test_responses_stream() -> None:
    accumulator = RESPONSES.accumulator()
    assert accumulator.add({"type": "response.output_text.delta", "delta": "a"})
    assert accumulator.body(True) is None
    final = {"status": "completed", "output": [{"type": "message"}]}
    assert not accumulator.add({"type": "response.completed", "response": final})
    assert accumulator.body(False) == final
