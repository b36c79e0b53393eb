"""The Messages API to chat completions and back, as the real Anthropic SDK understands it."""

from __future__ import annotations

import json
from collections.abc import Iterable
from importlib import import_module
from itertools import pairwise
from typing import Any

import anthropic
import pytest
from anthropic.lib.streaming._messages import accumulate_event
from anthropic.types import Message, RawMessageStreamEvent
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter

from nemo_evaluator.traffic.dialects.anthropic import (
    EventTranslator,
    count_tokens,
    error_body,
    from_chat,
    to_chat,
)

MODEL = "claude-any"
EVENT: TypeAdapter[Any] = TypeAdapter(RawMessageStreamEvent)
USER = {"role": "user", "content": "hi"}
TOOL = {"name": "ls", "description": "lists", "input_schema": {"type": "object"}}
PNG = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "AAAA"}}
PNG_PART = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}
LINK = {"type": "image", "source": {"type": "url", "url": "https://h/a.png"}}
LINK_PART = {"type": "image_url", "image_url": {"url": "https://h/a.png"}}


def request(*messages: dict[str, Any], **fields: Any) -> dict[str, Any]:
    return {"model": MODEL, "max_tokens": 9, "messages": list(messages) or [USER], **fields}


def text(said: str, **fields: Any) -> dict[str, Any]:
    return {"type": "text", "text": said, **fields}


def tool_use(id_: str, name: str = "ls", **given_: Any) -> dict[str, Any]:
    return {"type": "tool_use", "id": id_, "name": name, "input": given_}


def tool_result(id_: str, content: Any = None, **fields: Any) -> dict[str, Any]:
    return {"type": "tool_result", "tool_use_id": id_, "content": content, **fields}


def user(*blocks: Any) -> dict[str, Any]:
    return {"role": "user", "content": list(blocks)}


def assistant(*blocks: Any) -> dict[str, Any]:
    return {"role": "assistant", "content": list(blocks)}


def call(id_: str, name: str = "ls", arguments: str = "{}") -> dict[str, Any]:
    return {"id": id_, "type": "function", "function": {"name": name, "arguments": arguments}}


# -- the conversation of a request ----------------------------------------------------------------


CONVERSATIONS: dict[str, tuple[list[Any], list[Any]]] = {
    "a text": ([USER], [USER]),
    "blocks of text are one text": (
        [user(text("a", cache_control={"type": "ephemeral"}), text(""), text("b"))],
        [{"role": "user", "content": "a\n\nb"}],
    ),
    "images": (
        [user(PNG, text("what?"), LINK)],
        [{"role": "user", "content": [PNG_PART, text("what?"), LINK_PART]}],
    ),
    "a document of plain text": (
        [
            user(
                {
                    "type": "document",
                    "title": "T",
                    "context": "C",
                    "source": {"type": "text", "media_type": "text/plain", "data": "D"},
                }
            )
        ],
        [{"role": "user", "content": "T\n\nC\n\nD"}],
    ),
    "consecutive messages of a role are one turn": (
        [USER, user(text("there")), assistant(text("a")), {"role": "assistant", "content": "b"}],
        [{"role": "user", "content": "hi\n\nthere"}, {"role": "assistant", "content": "ab"}],
    ),
    "a system message in between": (
        [USER, {"role": "system", "content": [text("now")]}, USER],
        [USER, {"role": "system", "content": "now"}, USER],
    ),
    "an empty user message": ([user()], [{"role": "user", "content": ""}]),
    "calls and thoughts of the assistant": (
        [
            assistant(
                {"type": "thinking", "thinking": "hm", "signature": "s"},
                {"type": "redacted_thinking", "data": "x"},
                text("look"),
                tool_use("t1", path="ü"),
                tool_use("t2", "cat"),
            )
        ],
        [
            {
                "role": "assistant",
                "content": "look",
                "reasoning_content": "hm",
                "tool_calls": [call("t1", "ls", '{"path": "ü"}'), call("t2", "cat")],
            }
        ],
    ),
    "calls alone": (
        [assistant(tool_use("t"))],
        [{"role": "assistant", "content": None, "tool_calls": [call("t")]}],
    ),
    "redacted thoughts alone": (
        [assistant({"type": "redacted_thinking", "data": "x"})],
        [{"role": "assistant", "content": ""}],
    ),
    "results stand before what else the user says": (
        [user(text("and"), tool_result("t1", "1"), PNG, tool_result("t2", [text("2"), text("3")]))],
        [
            {"role": "tool", "tool_call_id": "t1", "content": "1"},
            {"role": "tool", "tool_call_id": "t2", "content": "2\n\n3"},
            {"role": "user", "content": [text("and"), PNG_PART]},
        ],
    ),
    "results of two messages": (
        [user(tool_result("t1", "1"), text("x")), user(tool_result("t2", "2"))],
        [
            {"role": "tool", "tool_call_id": "t1", "content": "1"},
            {"role": "tool", "tool_call_id": "t2", "content": "2"},
            {"role": "user", "content": "x"},
        ],
    ),
    "images of results follow": (
        [user(tool_result("t1", [text("seen"), PNG]), tool_result("t2", [LINK]), text("so?"))],
        [
            {"role": "tool", "tool_call_id": "t1", "content": "seen"},
            {
                "role": "tool",
                "tool_call_id": "t2",
                "content": "(the image follows in the next message)",
            },
            {"role": "user", "content": [PNG_PART, LINK_PART, text("so?")]},
        ],
    ),
    "failed calls": (
        [
            user(
                tool_result("t1", "no such file", is_error=True),
                tool_result("t2", "Error: gone", is_error=True),
                tool_result("t3", is_error=True),
                tool_result("t4", is_error=False),
            )
        ],
        [
            {"role": "tool", "tool_call_id": "t1", "content": "Error: no such file"},
            {"role": "tool", "tool_call_id": "t2", "content": "Error: gone"},
            {"role": "tool", "tool_call_id": "t3", "content": "Error"},
            {"role": "tool", "tool_call_id": "t4", "content": ""},
        ],
    ),
}


@pytest.mark.parametrize(("messages", "expected"), CONVERSATIONS.values(), ids=CONVERSATIONS)
def test_messages_become_a_chat(messages: list[Any], expected: list[Any]) -> None:
    assert to_chat(request(*messages))["messages"] == expected


@pytest.mark.parametrize("system", ["S\n\nT", [text("S", cache_control={}), text("T")]])
def test_the_system_prompt_leads(system: Any) -> None:
    assert to_chat(request(system=system))["messages"] == [
        {"role": "system", "content": "S\n\nT"},
        USER,
    ]


@pytest.mark.parametrize("system", [None, "", []])
def test_an_empty_system_prompt_is_none(system: Any) -> None:
    assert to_chat(request(system=system))["messages"] == [USER]


def test_the_request_is_not_changed() -> None:
    body = request(user(tool_result("t", [PNG])), system="S", tools=[TOOL], stop_sequences=["a"])
    before = json.dumps(body)
    to_chat(body)
    assert json.dumps(body) == before


# -- the parameters of a request ------------------------------------------------------------------


FUNCTION = {"name": "ls", "description": "lists", "parameters": {"type": "object"}}
SCHEMA = {"type": "object", "properties": {}}
FORMAT = {
    "type": "json_schema",
    "json_schema": {"name": "output", "schema": SCHEMA, "strict": True},
}
PARAMETERS: list[tuple[dict[str, Any], dict[str, Any]]] = [
    ({}, {}),
    ({"temperature": 0, "top_p": 0.5, "top_k": 4}, {"temperature": 0, "top_p": 0.5, "top_k": 4}),
    ({"temperature": None}, {}),
    ({"stop_sequences": ["\n", "END"]}, {"stop": ["\n", "END"]}),
    ({"stop_sequences": []}, {}),
    ({"stream": True}, {"stream": True}),
    ({"stream": False}, {"stream": False}),
    ({"metadata": {"user_id": "u" * 64}}, {"user": "u" * 64}),
    ({"metadata": {"user_id": None}}, {}),
    ({"thinking": {"type": "enabled", "budget_tokens": 1024}}, {"reasoning_effort": "low"}),
    ({"thinking": {"type": "enabled", "budget_tokens": 4096}}, {"reasoning_effort": "low"}),
    ({"thinking": {"type": "enabled", "budget_tokens": 4097}}, {"reasoning_effort": "medium"}),
    ({"thinking": {"type": "enabled", "budget_tokens": 16384}}, {"reasoning_effort": "medium"}),
    ({"thinking": {"type": "enabled", "budget_tokens": 31999}}, {"reasoning_effort": "high"}),
    ({"thinking": {"type": "adaptive"}}, {}),
    ({"thinking": {"type": "disabled"}, "output_config": {"effort": "high"}}, {}),
    (
        {"thinking": {"type": "adaptive"}, "output_config": {"effort": "low"}},
        {"reasoning_effort": "low"},
    ),
    (
        {
            "thinking": {"type": "enabled", "budget_tokens": 1024},
            "output_config": {"effort": "max"},
        },
        {"reasoning_effort": "high"},
    ),
    ({"output_config": {"effort": "medium"}}, {"reasoning_effort": "medium"}),
    ({"output_config": {"effort": "xhigh"}}, {"reasoning_effort": "high"}),
    (
        {"output_config": {"format": {"type": "json_schema", "schema": SCHEMA}}},
        {"response_format": FORMAT},
    ),
    (
        {"output_format": {"type": "json_schema", "schema": SCHEMA}},
        {"response_format": FORMAT},
    ),
    ({"tools": []}, {}),
    ({"tools": [], "tool_choice": {"type": "auto"}}, {}),
    ({"tools": [TOOL]}, {"tools": [{"type": "function", "function": FUNCTION}]}),
    (
        {"tools": [{"name": "f", "input_schema": SCHEMA, "type": "custom", "strict": True}]},
        {
            "tools": [
                {
                    "type": "function",
                    "function": {"name": "f", "parameters": SCHEMA, "strict": True},
                }
            ]
        },
    ),
    (
        {
            "service_tier": "auto",
            "context_management": {"edits": []},
            "betas": ["x"],
            "container": None,
            "cache_control": {"type": "ephemeral"},
            "something_of_tomorrow": 1,
        },
        {},
    ),
]


@pytest.mark.parametrize(("fields", "expected"), PARAMETERS)
def test_parameters_keep_their_meaning(fields: dict[str, Any], expected: dict[str, Any]) -> None:
    base = {"model": MODEL, "messages": [USER], "max_tokens": 9}
    assert to_chat(request(**fields)) == base | expected


def test_a_long_user_id_becomes_one_that_openai_takes() -> None:
    users = [to_chat(request(metadata={"user_id": c * 65}))["user"] for c in "aab"]
    assert len(users[0]) == 64
    assert users[0] == users[1] != users[2]


@pytest.mark.parametrize(
    ("choice", "expected"),
    [
        ({"type": "auto"}, {"tool_choice": "auto"}),
        ({"type": "any"}, {"tool_choice": "required"}),
        ({"type": "none"}, {"tool_choice": "none"}),
        (
            {"type": "tool", "name": "ls"},
            {"tool_choice": {"type": "function", "function": {"name": "ls"}}},
        ),
        (
            {"type": "auto", "disable_parallel_tool_use": True},
            {"tool_choice": "auto", "parallel_tool_calls": False},
        ),
        ({"type": "auto", "disable_parallel_tool_use": False}, {"tool_choice": "auto"}),
    ],
)
def test_tool_choice(choice: dict[str, Any], expected: dict[str, Any]) -> None:
    chat = to_chat(request(tools=[TOOL], tool_choice=choice))
    names = ("tool_choice", "parallel_tool_calls")
    assert {name: chat[name] for name in names if name in chat} == expected


def with_blocks(*blocks: Any) -> dict[str, Any]:
    return {"messages": [user(*blocks)]}


def with_answer(*blocks: Any) -> dict[str, Any]:
    return {"messages": [assistant(*blocks)]}


PDF = {"type": "document", "source": {"type": "base64", "media_type": "application/pdf"}}
MALFORMED: list[tuple[dict[str, Any], str]] = [
    ({"messages": None}, "messages: must be a list"),
    ({"messages": "hi"}, "messages: must be a list"),
    ({"messages": []}, "messages: at least one"),
    ({"messages": ["hi"]}, "messages.0: must be an object"),
    ({"messages": [USER, {"role": "tool", "content": "x"}]}, "messages.1.role"),
    ({"messages": [{"role": ["user"], "content": "x"}]}, "messages.0.role"),
    ({"messages": [{"role": "user"}]}, "messages.0.content: must be a text or a list"),
    ({"max_tokens": None}, "max_tokens"),
    ({"max_tokens": "9"}, "max_tokens"),
    ({"max_tokens": 0}, "max_tokens"),
    ({"max_tokens": True}, "max_tokens"),
    ({"max_tokens": 1.5}, "max_tokens"),
    ({"temperature": "hot"}, "temperature: must be a number"),
    ({"top_k": 1.5}, "top_k: must be a whole number"),
    ({"stop_sequences": "END"}, "stop_sequences"),
    ({"stop_sequences": [""]}, "stop_sequences"),
    ({"stream": "yes"}, "stream"),
    ({"system": 1}, "system"),
    ({"system": [PNG]}, "system.0"),
    ({"thinking": {"type": "enabled"}}, "thinking.budget_tokens"),
    ({"thinking": {"type": "deep"}}, "thinking.type"),
    ({"thinking": True}, "thinking.type"),
    ({"output_config": {"effort": "extreme"}}, "output_config.effort"),
    ({"output_config": {"format": {"type": "xml"}}}, "output_config.format"),
    ({"tools": {}}, "tools: must be a list"),
    ({"tools": ["ls"]}, "tools.0: must be an object"),
    ({"tools": [TOOL, {"type": "web_search_20250305", "name": "web_search"}]}, "tools.1.type"),
    ({"tools": [{"input_schema": {}}]}, "tools.0.name"),
    ({"tools": [{"name": "ls"}]}, "tools.0.input_schema"),
    ({"tool_choice": {"type": "any"}}, "tool_choice"),
    ({"tools": [TOOL], "tool_choice": {"type": "tool", "name": "rm"}}, "tool_choice.name"),
    ({"tools": [TOOL], "tool_choice": "auto"}, "tool_choice.type"),
    (with_blocks("hi"), "messages.0.content.0: must be a block"),
    (with_blocks({"text": "hi"}), "messages.0.content.0: must be a block"),
    (with_blocks({"type": "video"}), "messages.0.content.0: a block of type 'video'"),
    (with_blocks(text("a"), {"type": "text"}), "messages.0.content.1.text"),
    (with_blocks({"type": "image"}), "messages.0.content.0.source"),
    (
        with_blocks({"type": "image", "source": {"type": "base64", "data": "A"}}),
        "messages.0.content.0.source.media_type",
    ),
    (with_blocks({"type": "image", "source": {"type": "file"}}), "messages.0.content.0.source"),
    (with_blocks(PDF), "messages.0.content.0.source: only documents of plain text"),
    (with_blocks(tool_use("t")), "messages.0.content.0: a block of type 'tool_use'"),
    (with_blocks({"type": "tool_result"}), "messages.0.content.0.tool_use_id"),
    (with_blocks(tool_result("t", 5)), "messages.0.content.0.content"),
    (with_blocks(tool_result("t", [PDF])), "messages.0.content.0.content.0.source"),
    (with_answer(PNG), "messages.0.content.0: a block of type 'image'"),
    (with_answer(tool_result("t")), "messages.0.content.0: a block of type 'tool_result'"),
    (with_answer({"type": "server_tool_use"}), "messages.0.content.0: a block of type"),
    (with_answer({**tool_use("t"), "input": "{}"}), "messages.0.content.0.input"),
    (with_answer(tool_use("")), "messages.0.content.0.id: must not be empty"),
    (with_answer({"type": "thinking"}), "messages.0.content.0.thinking"),
]


@pytest.mark.parametrize(("fields", "begins"), MALFORMED, ids=lambda value: str(value)[:40])
def test_what_is_malformed_names_its_place(fields: dict[str, Any], begins: str) -> None:
    with pytest.raises(ValueError) as error:
        to_chat(request() | fields)
    assert str(error.value).startswith(begins)
    assert "\n" not in str(error.value)


def test_a_request_without_messages_or_limit() -> None:
    with pytest.raises(ValueError, match=r"^messages"):
        to_chat({"max_tokens": 1})
    with pytest.raises(ValueError, match=r"^max_tokens"):
        to_chat({"messages": [USER]})


# -- whole completions ----------------------------------------------------------------------------


def completion(message: dict[str, Any], finish: str | None = "stop", **rest: Any) -> dict[str, Any]:
    choice = {"index": 0, "message": message, "finish_reason": finish, **rest.pop("choice", {})}
    return {"id": "chatcmpl-1", "model": "up", "choices": [choice], **rest}


def test_a_whole_answer() -> None:
    message = {
        "role": "assistant",
        "content": "look",
        "reasoning_content": "hm",
        "tool_calls": [call("t", "ls", '{"p": 1}')],
    }
    usage = {
        "prompt_tokens": 100,
        "completion_tokens": 7,
        "prompt_tokens_details": {"cached_tokens": 30},
    }
    answer = from_chat(completion(message, "tool_calls", usage=usage), model=MODEL)
    assert answer == {
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "model": MODEL,
        "content": [
            {"type": "thinking", "thinking": "hm", "signature": ""},
            text("look"),
            tool_use("t", p=1),
        ],
        "stop_reason": "tool_use",
        "stop_sequence": None,
        "usage": {
            "input_tokens": 70,
            "cache_creation_input_tokens": 0,
            "cache_read_input_tokens": 30,
            "output_tokens": 7,
        },
    }
    Message.model_validate(answer, strict=True)


CALLS = {"content": None, "tool_calls": [call("t")]}


@pytest.mark.parametrize(
    ("message", "finish", "extra", "expected"),
    [
        ({"content": "a"}, "stop", {}, ("end_turn", None)),
        ({"content": "a"}, None, {}, ("end_turn", None)),
        ({"content": "a"}, "length", {}, ("max_tokens", None)),
        (CALLS, "tool_calls", {}, ("tool_use", None)),
        (CALLS, "stop", {}, ("tool_use", None)),
        (CALLS, "length", {}, ("max_tokens", None)),
        ({"function_call": {"name": "ls"}}, "function_call", {}, ("tool_use", None)),
        ({"content": ""}, "content_filter", {}, ("refusal", None)),
        ({"content": "a"}, "stop", {"stop_reason": "END"}, ("stop_sequence", "END")),
        ({"content": "a"}, "stop", {"stop_reason": 128009}, ("end_turn", None)),
        ({"content": "a"}, "stop", {"matched_stop": "END"}, ("stop_sequence", "END")),
        ({"content": "a"}, "length", {"stop_reason": "END"}, ("max_tokens", None)),
    ],
)
def test_stop_reasons(
    message: dict[str, Any], finish: str | None, extra: dict[str, Any], expected: tuple[Any, Any]
) -> None:
    body = completion(message, finish, choice=extra)
    answer = from_chat(body, model=MODEL)
    assert (answer["stop_reason"], answer["stop_sequence"]) == expected
    translator = EventTranslator(MODEL)
    events = [*translator.feed(as_chunk(body)), *translator.close()]
    streamed = accumulated(events)
    assert (streamed["stop_reason"], streamed["stop_sequence"]) == expected


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ("", {}),
        (" ", {}),
        (None, {}),
        ('{"a": [1]}', {"a": [1]}),
        ({"a": 1}, {"a": 1}),
        ('{"a": ', {"raw": '{"a": '}),
        ("[1]", {"raw": "[1]"}),
        ('{"a": NaN}', {"raw": '{"a": NaN}'}),
        ('{"a": 1e999}', {"raw": '{"a": 1e999}'}),
        ('{"a": "\\ud800"}', {"a": "\ufffd"}),
        ('{"a":' + "[" * 9999, {"raw": '{"a":' + "[" * 9999}),
    ],
    ids=lambda value: str(value)[:20],
)
def test_arguments_of_calls(arguments: Any, expected: dict[str, Any]) -> None:
    message = {"tool_calls": [{"id": "t", "function": {"name": "ls", "arguments": arguments}}]}
    body = completion(message, "tool_calls")
    assert from_chat(body, model=MODEL)["content"] == [tool_use("t", **expected)]
    assert streamed(as_chunk(body))["content"] == [tool_use("t", **expected)]


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        ({"content": ""}, []),
        ({"content": None, "reasoning_content": None}, []),
        ({"content": [text("a"), text("b")]}, [text("ab")]),
        ({"content": None, "refusal": "no"}, [text("no")]),
        (
            {"content": "a", "reasoning": "r"},
            [{"type": "thinking", "thinking": "r", "signature": ""}, text("a")],
        ),
    ],
)
def test_texts_of_a_completion_become_blocks(message: dict[str, Any], expected: list[Any]) -> None:
    body = completion(message)
    assert from_chat(body, model=MODEL)["content"] == expected
    assert streamed(as_chunk(body))["content"] == expected


def test_what_the_server_leaves_out() -> None:
    message = {"function_call": {"name": "ls", "arguments": "{}"}}
    answer = from_chat({"choices": [{"message": message}]}, model=MODEL)
    Message.model_validate(answer, strict=True)
    assert answer["id"].startswith("msg_")
    assert answer["content"][0]["id"].startswith("toolu_")
    assert answer["usage"]["input_tokens"] == answer["usage"]["output_tokens"] == 0


@pytest.mark.parametrize("choices", [None, [], [{"finish_reason": "error"}]])
def test_no_answer_is_no_message(choices: Any) -> None:
    with pytest.raises(ValueError, match=r"^choices"):
        from_chat({"choices": choices}, model=MODEL)


def test_more_cached_than_prompted() -> None:
    usage = {"prompt_tokens": 5, "prompt_tokens_details": {"cached_tokens": 9}}
    counts = from_chat(completion({}, usage=usage), model=MODEL)["usage"]
    assert (counts["input_tokens"], counts["cache_read_input_tokens"]) == (0, 5)


# -- streams --------------------------------------------------------------------------------------


def as_chunk(body: dict[str, Any]) -> dict[str, Any]:
    """A completion in one chunk."""
    [choice] = body["choices"]
    delta = dict(choice["message"])
    if "tool_calls" in delta:
        delta["tool_calls"] = [{"index": i} | c for i, c in enumerate(delta["tool_calls"])]
    return body | {"choices": [{**choice, "delta": delta}]}


def chunk(finish: str | None = None, **delta: Any) -> dict[str, Any]:
    return {"id": "c", "choices": [{"index": 0, "delta": delta, "finish_reason": finish}]}


def call_chunk(index: int, arguments: str = "", **fields: Any) -> dict[str, Any]:
    name = {"name": fields.pop("name")} if "name" in fields else {}
    piece = {"index": index, **fields, "function": {**name, "arguments": arguments}}
    return chunk(tool_calls=[piece])


def accumulated(events: Iterable[dict[str, Any]]) -> dict[str, Any]:
    """What the SDK makes of valid events; the order of the events is checked too."""
    message: Any = None
    buffers: dict[int, bytes] = {}
    open_, next_, stage = False, 0, "before"
    for event in events:
        kind = event["type"]
        assert stage != "stopped"
        message = accumulate_event(
            event=EVENT.validate_python(event, strict=True),
            current_snapshot=message,
            json_bufs=buffers,
        )
        if kind == "message_start":
            assert stage == "before"
            stage = "blocks"
        elif kind == "message_delta":
            assert stage == "blocks" and not open_
            stage = "ending"
        elif kind == "message_stop":
            assert stage == "ending"
            stage = "stopped"
        else:
            assert stage == "blocks" and event["index"] == next_
            assert open_ is (kind != "content_block_start")
            open_ = kind != "content_block_stop"
            next_ += not open_
    assert stage == "stopped"
    content = [block.to_dict(exclude_none=True) for block in message.content]
    said = message.to_dict(exclude_none=True) | {"content": content}
    return {"stop_reason": None, "stop_sequence": None} | said


def streamed(*chunks: dict[str, Any]) -> dict[str, Any]:
    translator = EventTranslator(MODEL)
    events = [event for piece in chunks for event in translator.feed(piece)]
    return accumulated([*events, *translator.close()])


def brief(events: Iterable[dict[str, Any]]) -> list[str]:
    """Kind, index and payload of content events, kinds of others."""
    lines = []
    for event in events:
        kind = event["type"].removeprefix("content_block_")
        value = event.get("delta") or event.get("content_block") or {}
        payload = [v for k, v in value.items() if k not in ("type", "stop_sequence")]
        if kind in ("start", "delta", "stop"):
            lines.append(" ".join([kind, str(event["index"]), *map(str, payload)]).strip())
        else:
            lines.append(kind)
    return lines


def test_text_and_reasoning_go_out_at_once() -> None:
    translator = EventTranslator(MODEL, input_tokens=12)
    [start] = translator.feed(chunk(role="assistant", content=""))
    assert start["message"]["usage"]["input_tokens"] == 12
    assert start["message"]["id"] == "msg_c"
    assert start["message"]["model"] == MODEL
    assert brief(translator.feed(chunk(reasoning_content="h"))) == ["start 0", "delta 0 h"]
    assert brief(translator.feed(chunk(reasoning="m"))) == ["delta 0 m"]
    assert translator.feed(chunk(content="a")) == [
        {
            "type": "content_block_delta",
            "index": 0,
            "delta": {"type": "signature_delta", "signature": ""},
        },
        {"type": "content_block_stop", "index": 0},
        {"type": "content_block_start", "index": 1, "content_block": text("")},
        {
            "type": "content_block_delta",
            "index": 1,
            "delta": {"type": "text_delta", "text": "a"},
        },
    ]
    assert brief(translator.feed(chunk(content="b"))) == ["delta 1 b"]
    assert brief(translator.feed(chunk("stop"))) == ["stop 1"]
    assert translator.feed({"id": "c", "choices": [], "usage": {"prompt_tokens": 3}}) == []
    delta, stop = translator.close()
    assert delta["delta"] == {"stop_reason": "end_turn", "stop_sequence": None}
    assert delta["usage"]["input_tokens"] == 3
    assert stop == {"type": "message_stop"}
    assert translator.close() == translator.feed(chunk(content="late")) == []


def test_a_call_is_announced_early_and_its_arguments_come_whole() -> None:
    translator = EventTranslator(MODEL)
    translator.feed(chunk(content="x"))
    assert brief(translator.feed(call_chunk(0, id="t", name="ls"))) == ["stop 0"]
    assert brief(translator.feed(call_chunk(0, '{"a"'))) == ["start 1 t ls {}"]
    assert brief(translator.feed(call_chunk(0, ":1"))) == ["delta 1"]
    assert brief(translator.feed(call_chunk(0, "}"))) == ["delta 1"]
    assert brief(translator.feed(chunk("tool_calls"))) == ['delta 1 {"a": 1}', "stop 1"]


def test_interleaved_calls_do_not_overlap() -> None:
    translator = EventTranslator(MODEL)
    chunks = [
        call_chunk(0, '{"a"', id="t0", name="f"),
        call_chunk(1, '{"b"', id="t1", name="g"),
        call_chunk(0, ":0}"),
        call_chunk(1, ":1}"),
        chunk("tool_calls"),
    ]
    events = [brief(translator.feed(piece)) for piece in chunks]
    assert events == [
        ["message_start", "start 0 t0 f {}"],
        ["delta 0"],
        ['delta 0 {"a": 0}', "stop 0", "start 1 t1 g {}"],
        ["delta 1"],
        ['delta 1 {"b": 1}', "stop 1"],
    ]


def test_text_between_the_pieces_of_a_call_waits() -> None:
    answer = streamed(
        call_chunk(0, '{"a"', id="t", name="f"),
        chunk(content="meanwhile"),
        call_chunk(0, ":0}"),
        chunk("tool_calls"),
    )
    assert answer["content"] == [tool_use("t", "f", a=0), text("meanwhile")]


def test_calls_that_are_all_numbered_0() -> None:
    answer = streamed(
        call_chunk(0, '{"a": 1}', id="t1", name="f"),
        chunk(tool_calls=[{"id": "t2", "function": {"name": "f", "arguments": '{"a": 2}'}}]),
        chunk("stop"),
    )
    assert answer["content"] == [tool_use("t1", "f", a=1), tool_use("t2", "f", a=2)]
    assert answer["stop_reason"] == "tool_use"


def test_ids_and_names_said_again() -> None:
    answer = streamed(
        call_chunk(0, id="t", name="f"),
        call_chunk(0, '{"a"', id="random", name="f"),
        call_chunk(0, ": 1}", id="other", name="f"),
        chunk("tool_calls"),
    )
    assert answer["content"] == [tool_use("t", "f", a=1)]


def test_a_stream_without_anything() -> None:
    answer = streamed()
    assert (answer["content"], answer["stop_reason"]) == ([], "end_turn")


def test_the_estimate_stays_where_the_server_tells_no_usage() -> None:
    translator = EventTranslator(MODEL, input_tokens=12)
    events = [*translator.feed(chunk("stop", content="a")), *translator.close()]
    assert accumulated(events)["usage"]["input_tokens"] == 12


def test_other_choices_are_not_mixed_in() -> None:
    other = {"choices": [{"index": 1, "delta": {"content": "b"}, "finish_reason": "length"}]}
    answer = streamed(chunk(content="a"), other, chunk("stop"))
    assert (answer["content"], answer["stop_reason"]) == ([text("a")], "end_turn")


@pytest.mark.parametrize(
    ("problem", "kind", "message"),
    [
        ({"error": {"message": "slow down", "code": 429}}, "rate_limit_error", "slow down"),
        ({"error": "gone"}, "api_error", "gone"),
        ({"error": {}, "choices": [{"finish_reason": "error"}]}, "api_error", "broke off"),
        (
            {"choices": [{"finish_reason": "error", "error": {"message": "oh"}}]},
            "api_error",
            "oh",
        ),
    ],
)
def test_an_error_in_the_middle_ends_the_stream(
    problem: dict[str, Any], kind: str, message: str
) -> None:
    translator = EventTranslator(MODEL)
    translator.feed(chunk(content="a"))
    [event] = translator.feed(problem)
    assert event["type"] == "error"
    assert event["error"]["type"] == kind
    assert message in event["error"]["message"]
    assert translator.close() == []


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (400, "invalid_request_error"),
        (401, "authentication_error"),
        (402, "billing_error"),
        (403, "permission_error"),
        (404, "not_found_error"),
        (413, "request_too_large"),
        (429, "rate_limit_error"),
        (500, "api_error"),
        (503, "overloaded_error"),
        (504, "timeout_error"),
        (529, "overloaded_error"),
    ],
)
def test_errors_are_told_in_anthropics_words(status: int, kind: str) -> None:
    expected = {"type": "error", "error": {"type": kind, "message": "m"}}
    assert error_body(status, "m") == expected
    assert EventTranslator(MODEL).error(status, "m") == expected


# -- properties -----------------------------------------------------------------------------------


VALUES = st.none() | st.booleans() | st.integers() | st.text(max_size=8) | st.just({"deep": [{}]})
OBJECTS = st.dictionaries(st.text(max_size=6), VALUES, max_size=3)


@st.composite
def argument_texts(draw: st.DrawFn) -> str:
    """Mostly objects; else nothing or an object that was cut."""
    whole = json.dumps(draw(OBJECTS), ensure_ascii=draw(st.booleans()))
    kind = draw(st.sampled_from(("whole", "whole", "cut", "none")))
    return {"whole": whole, "cut": whole[: len(whole) // 2], "none": ""}[kind]


@st.composite
def completions(draw: st.DrawFn) -> dict[str, Any]:
    message: dict[str, Any] = {"role": "assistant", "content": draw(st.none() | st.text())}
    message["reasoning_content"] = draw(st.none() | st.text())
    texts = draw(st.lists(argument_texts(), max_size=4))
    if texts:
        message["tool_calls"] = [call(f"t{i}", f"f{i}", args) for i, args in enumerate(texts)]
    finish = draw(st.sampled_from(("stop", "length", "tool_calls", "content_filter")))
    numbers = st.integers(0, 10**6)
    details = {"cached_tokens": draw(numbers)}
    usage = {
        "prompt_tokens": draw(numbers),
        "completion_tokens": draw(numbers),
        "prompt_tokens_details": draw(st.none() | st.just(details)),
    }
    return completion(message, finish, usage=usage)


def cut(draw: st.DrawFn, whole: str) -> list[str]:
    """The text cut at arbitrary places."""
    places = sorted(draw(st.sets(st.integers(1, max(1, len(whole) - 1)), max_size=4)))
    return [whole[a:b] for a, b in pairwise([0, *places, len(whole)])]


def interleaved(draw: st.DrawFn, pieces: list[list[Any]]) -> list[Any]:
    """One list; every list keeps its order, and they begin in theirs."""
    merged, begun = [], 0
    pieces = [list(reversed(piece)) for piece in pieces]
    while any(pieces):
        ready = [index for index, piece in enumerate(pieces[: begun + 1]) if piece]
        index = draw(st.sampled_from(ready))
        begun = max(begun, index + 1)
        merged.append(pieces[index].pop())
    return merged


@st.composite
def with_chunks(draw: st.DrawFn, orderly: bool) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """A completion and chunks of it. The pieces of its calls are interleaved, and those of its
    texts too if the server is not ``orderly``."""
    body = draw(completions())
    [choice] = body["choices"]
    said = choice["message"]
    thoughts = [chunk(reasoning_content=p) for p in cut(draw, said["reasoning_content"] or "")]
    texts = [chunk(content=piece) for piece in cut(draw, said["content"] or "")]
    calls = []
    for index, c in enumerate(said.get("tool_calls", ())):
        first = call_chunk(index, id=c["id"], name=c["function"]["name"])
        pieces = cut(draw, c["function"]["arguments"])
        calls.append([first, *(call_chunk(index, piece) for piece in pieces)])
    if orderly:
        middle = [*thoughts, *texts, *interleaved(draw, calls)]
    else:
        middle = interleaved(draw, [thoughts, texts, *calls])
    last = {"id": "c", "choices": [], "usage": body["usage"]}
    chunks = [chunk(role="assistant"), *middle, chunk(choice["finish_reason"]), last]
    return body | {"id": "c"}, chunks


Case = tuple[dict[str, Any], list[dict[str, Any]]]


@given(with_chunks(orderly=True))
def test_a_stream_says_what_the_whole_says(case: Case) -> None:
    body, chunks = case
    whole = from_chat(body, model=MODEL)
    Message.model_validate(whole, strict=True)
    assert streamed(*chunks) == whole


def by_kind(answer: dict[str, Any]) -> Any:
    content = answer.pop("content")
    texts = ["".join(block.get(name, "") for block in content) for name in ("thinking", "text")]
    return texts, [block for block in content if block["type"] == "tool_use"], answer


@given(with_chunks(orderly=False))
def test_pieces_in_any_order_give_valid_blocks_and_lose_nothing(case: Case) -> None:
    body, chunks = case
    assert by_kind(streamed(*chunks)) == by_kind(from_chat(body, model=MODEL))


@given(completions())
def test_an_answer_given_back_is_what_the_model_said(body: dict[str, Any]) -> None:
    answer = from_chat(body, model=MODEL)
    _, back = to_chat(request(USER, {"role": "assistant", "content": answer["content"]}))[
        "messages"
    ]
    said = body["choices"][0]["message"]
    assert (back["content"] or "") == (said["content"] or "")
    assert back.get("reasoning_content", "") == (said["reasoning_content"] or "")
    pairs = zip(back.get("tool_calls", ()), said.get("tool_calls", ()), strict=True)
    for ours, theirs in pairs:
        assert (ours["id"], ours["function"]["name"]) == (theirs["id"], theirs["function"]["name"])
        given_ = json.loads(ours["function"]["arguments"])
        text_ = theirs["function"]["arguments"]
        try:
            assert given_ == json.loads(text_)
        except json.JSONDecodeError:
            assert given_ == ({"raw": text_} if text_ else {})


@st.composite
def conversations(draw: st.DrawFn) -> list[dict[str, Any]]:
    """Turns of an agent, each cut into one or more messages of its role."""
    messages = [user(text(draw(st.text())))]
    number = 0
    for _ in range(draw(st.integers(0, 4))):
        calls = [f"t{number + i}" for i in range(draw(st.integers(0, 3)))]
        number += len(calls)
        answer = [text(draw(st.text())), *map(tool_use, calls)]
        inner = st.sampled_from(["done", None, [text("a"), PNG], [PNG]])
        results = [tool_result(id_, draw(inner), is_error=draw(st.booleans())) for id_ in calls]
        reply = draw(st.permutations([*results, *([] if results else [text("go on")])]))
        reply += draw(st.sampled_from([[], [text("and")], [PNG]]))
        for role, blocks in (("assistant", answer), ("user", reply)):
            at = draw(st.integers(0, len(blocks)))
            parts = [blocks[:at], blocks[at:]]
            messages += [{"role": role, "content": part} for part in parts if part]
    return messages


@given(conversations())
def test_conversations_alternate_as_openai_wants_it(messages: list[dict[str, Any]]) -> None:
    chat = to_chat(request(*messages, system="S"))["messages"]
    assert chat[0] == {"role": "system", "content": "S"}
    pending: set[str] = set()
    before = "system"
    for message in chat[1:]:
        role = message["role"]
        if role == "tool":
            assert before in ("assistant", "tool")
            assert isinstance(message["content"], str)
            pending.remove(message["tool_call_id"])
        else:
            assert not pending
            allowed = {"user": ("system", "assistant", "tool"), "assistant": ("user", "tool")}
            assert before in allowed[role]
            pending = {c["id"] for c in message.get("tool_calls", ())}
        before = role
    blocks = [block for message in messages for block in message["content"]]
    images = json.dumps(blocks).count('"type": "base64"')
    assert json.dumps(chat).count('"image_url": {') == images


JSONS: Any = st.recursive(
    st.none() | st.booleans() | st.integers(-2, 9) | st.sampled_from(["", "text", "user", "t"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                ["type", "text", "content", "role", "source", "input", "name", "index"]
            ),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)


@given(
    st.dictionaries(
        st.sampled_from(["messages", "system", "tools", "tool_choice", "thinking", "metadata"]),
        JSONS,
    )
)
def test_a_strange_request_is_a_value_error_or_fine(body: dict[str, Any]) -> None:
    count_tokens(body)
    try:
        to_chat(body | {"max_tokens": 1})
    except ValueError as error:
        assert ": " in str(error)


@given(
    st.lists(
        st.fixed_dictionaries(
            {
                "choices": st.lists(
                    st.fixed_dictionaries(
                        {
                            "delta": st.dictionaries(
                                st.sampled_from(["content", "reasoning", "tool_calls"]), JSONS
                            )
                        }
                    ),
                    max_size=2,
                )
            },
            optional={"usage": JSONS, "id": JSONS},
        ),
        max_size=4,
    )
)
def test_strange_chunks_give_valid_events(chunks: list[dict[str, Any]]) -> None:
    streamed(*chunks)


# -- counting -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ({}, 0),
        ({"messages": [USER]}, 1),
        ({"system": "sixsix", "messages": [{"role": "user", "content": "abc"}]}, 3),
        ({"system": [text("x" * 8)], "messages": [user(text("y" * 8))]}, 4),
        ({"messages": [user(tool_result("t", "z" * 40))]}, 10),
        ({"messages": [user(tool_result("t", [text("z" * 40), PNG]))]}, 1610),
        ({"messages": [user(PNG, LINK)]}, 3200),
        ({"messages": [assistant({"type": "thinking", "thinking": "m" * 8})]}, 2),
        ({"messages": [assistant(tool_use("t", "ls"))]}, 3),  # ["ls", {}]
        (
            {"messages": [user({"type": "document", "source": {"type": "text", "data": "d" * 4}})]},
            1,
        ),
    ],
)
def test_count_tokens(body: dict[str, Any], expected: int) -> None:
    assert count_tokens(body) == expected


def test_tools_are_counted_with_their_schemas() -> None:
    large = {**TOOL, "input_schema": {"type": "object", "description": "x" * 400}}
    assert count_tokens({"tools": [large]}) - count_tokens({"tools": [TOOL]}) >= 100


# -- the SDK itself -------------------------------------------------------------------------------


def sdk(status: int, content_type: str, body: bytes) -> anthropic.Anthropic:
    """The real client, answered from memory."""
    # The SDK's HTTP library has changed its name; what matters is that it is the SDK's.
    http = import_module(anthropic.DefaultHttpxClient.__mro__[1].__module__.split(".")[0])

    def answer(_: Any) -> Any:
        return http.Response(status, headers={"content-type": content_type}, content=body)

    client = anthropic.DefaultHttpxClient(transport=http.MockTransport(answer))
    return anthropic.Anthropic(
        api_key="none", base_url="http://localhost", max_retries=0, http_client=client
    )


def sse(events: Iterable[dict[str, Any]]) -> bytes:
    return "".join(f"event: {e['type']}\ndata: {json.dumps(e)}\n\n" for e in events).encode()


def ask(client: anthropic.Anthropic) -> Any:
    with client.messages.stream(
        model=MODEL, max_tokens=9, messages=[{"role": "user", "content": "hi"}]
    ) as stream:
        return stream.get_final_message()


def test_the_sdk_reads_a_stream() -> None:
    translator = EventTranslator(MODEL)
    chunks = [
        chunk(reasoning="hm"),
        chunk(content="look"),
        call_chunk(0, '{"p": ', id="t", name="ls"),
        call_chunk(0, "1}"),
        chunk("tool_calls"),
        {"choices": [], "usage": {"prompt_tokens": 4, "completion_tokens": 2}},
    ]
    events = [event for piece in chunks for event in translator.feed(piece)]
    with sdk(200, "text/event-stream", sse([*events, *translator.close()])) as client:
        message = ask(client)
    kinds = [block.type for block in message.content]
    assert kinds == ["thinking", "text", "tool_use"]
    assert message.content[2].input == {"p": 1}
    assert message.stop_reason == "tool_use"
    assert (message.usage.input_tokens, message.usage.output_tokens) == (4, 2)


def test_the_sdk_raises_on_an_error_event() -> None:
    translator = EventTranslator(MODEL)
    events = [*translator.feed(chunk(content="a")), translator.error(529, "busy")]
    with (
        sdk(200, "text/event-stream", sse(events)) as client,
        pytest.raises(anthropic.APIStatusError, match="busy"),
    ):
        ask(client)


def test_the_sdk_knows_the_error_body() -> None:
    body = json.dumps(error_body(429, "slow")).encode()
    with (
        sdk(429, "application/json", body) as client,
        pytest.raises(anthropic.RateLimitError) as error,
    ):
        ask(client)
    assert error.value.body == error_body(429, "slow")
