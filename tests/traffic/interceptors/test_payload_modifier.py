"""Parameters and headers are removed, renamed and added; what the user wrote is not touched."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from steps import Scripted, configured, sent

from nemo_evaluator.errors import ConfigError
from nemo_evaluator.traffic.interceptors.opening import open_interceptors
from nemo_evaluator.traffic.types import Interceptor, ModelRequest

SCHEMA = {"type": "object", "properties": {"seed": {"type": "integer"}, "max_tokens": {}}}
CONFIG = {
    "params_to_remove": ["seed"],
    "params_to_rename": {"max_tokens": "max_completion_tokens"},
    "params_to_add": {"chat_template_kwargs": {"a": 1}},
}


async def test_body() -> None:
    """The schemas of tools stay as they are, and template arguments are merged: NEL 0.4 changed
    the one and lost the other."""
    tool = {"type": "function", "function": {"name": "f", "parameters": SCHEMA, "seed": 1}}
    body = {"seed": 1, "max_tokens": 5, "chat_template_kwargs": {"b": 2}, "tools": [tool]}
    original = copy.deepcopy(tool)
    assert (await sent("payload_modifier", CONFIG, body)).body == {
        "max_completion_tokens": 5,
        "chat_template_kwargs": {"b": 2, "a": 1},
        "tools": [{"type": "function", "function": {"name": "f", "parameters": SCHEMA}}],
    }
    assert tool == original


async def test_headers() -> None:
    config = {
        "headers_to_remove": ["X-A"],
        "headers_to_rename": {"X-b": "X-C"},
        "headers_to_add": {"Authorization": "Bearer N"},
    }
    pipeline = Scripted(configured("payload_modifier", config))
    headers = {"x-a": "1", "x-b": "2", "authorization": "Bearer O"}
    await pipeline.send({}, headers=headers)
    assert pipeline.got[0].headers == {"x-c": "2", "authorization": "Bearer N"}


async def test_a_taken_header_keeps_its_value() -> None:
    pipeline = Scripted(configured("payload_modifier", {"headers_to_rename": {"a": "B"}}))
    await pipeline.send({}, headers={"a": "1", "b": "2"})
    assert pipeline.got[0].headers == {"b": "2"}


WRITTEN = [
    {"messages": [{"role": "user", "content": [{"type": "text", "seed": 1}]}]},
    {"tools": [{"type": "function", "name": "f", "parameters": SCHEMA}]},
    {"tools": [{"name": "f", "input_schema": SCHEMA}]},
    {"functions": [{"name": "f", "parameters": SCHEMA}]},
    {"response_format": {"type": "json_schema", "json_schema": {"schema": SCHEMA}}},
    {"text": {"format": {"type": "json_schema", "schema": SCHEMA}}},
    {"input": [{"type": "function_call_output", "output": [{"seed": 1}]}]},
    {"guided_json": SCHEMA},
]


@pytest.mark.parametrize("body", WRITTEN, ids=str)
async def test_what_the_user_wrote_stays(body: dict[str, Any]) -> None:
    original = copy.deepcopy(body)
    config = {"params_to_remove": ["seed"], "params_to_rename": {"max_tokens": "x"}}
    assert (await sent("payload_modifier", config, body)).body == original


ROWS = {
    "remove at depth": (
        {"params_to_remove": ["a"]},
        {"p": {"a": 1, "q": [{"a": 2, "b": 3}]}, "messages": [{"role": "user", "a": 1}]},
        {"p": {"q": [{"b": 3}]}, "messages": [{"role": "user"}]},
    ),
    "rename at depth": (
        {"params_to_rename": {"a": "z"}},
        {"a": 1, "p": [{"a": 2}]},
        {"z": 1, "p": [{"z": 2}]},
    ),
    "removed before renamed": (
        {"params_to_remove": ["z"], "params_to_rename": {"a": "z"}},
        {"z": 1, "a": 2},
        {"z": 2},
    ),
    "a taken name keeps its value": ({"params_to_rename": {"a": "z"}}, {"a": 1, "z": 2}, {"z": 2}),
    "names swapped": (
        {"params_to_rename": {"a": "b", "b": "a"}},
        {"a": 1, "b": 2},
        {"b": 1, "a": 2},
    ),
    "added over": ({"params_to_add": {"t": 0, "stop": None}}, {"t": 1}, {"t": 0, "stop": None}),
    "added last": (
        {"params_to_remove": ["t"], "params_to_add": {"t": 0}},
        {"t": 1},
        {"t": 0},
    ),
    "options are merged": (
        {"params_to_add": {"extra_body": {"a": {"n": 1}, "b": 2}}},
        {"extra_body": {"a": {"m": 1}, "b": 1, "c": 3}},
        {"extra_body": {"a": {"n": 1}, "b": 2, "c": 3}},
    ),
    "other mappings are one value": (
        {"params_to_add": {"response_format": {"type": "text"}}},
        {"response_format": {"type": "json_schema", "json_schema": {}}},
        {"response_format": {"type": "text"}},
    ),
    "named contents go whole": (
        {"params_to_remove": ["json_schema"]},
        {"response_format": {"type": "json_schema", "json_schema": {}}},
        {"response_format": {"type": "json_schema"}},
    ),
}


@pytest.mark.parametrize(("config", "body", "expected"), ROWS.values(), ids=ROWS)
async def test_the_body_is_changed_as_configured(config: Any, body: Any, expected: Any) -> None:
    assert (await sent("payload_modifier", config, body)).body == expected


@pytest.mark.parametrize(
    ("config", "asked"),
    [
        ({"params_to_add": {"stream": True}}, True),
        ({"params_to_add": {"stream": False}}, False),
        ({"params_to_remove": ["stream"]}, False),
    ],
    ids=str,
)
async def test_stream_has_effect(config: Any, asked: bool) -> None:
    step = open_interceptors([configured("payload_modifier", config)])[0][1]
    assert isinstance(step, Interceptor)
    request = ModelRequest("chat_completions", {"stream": not asked}, stream=not asked)
    step.on_request(request)
    assert request.stream is asked
    assert "stream" not in request.body


@pytest.mark.parametrize(
    ("config", "reason"),
    [
        ({"headers_to_add": {"Host": "evil"}}, "'Host' belongs to the connection"),
        ({"headers_to_rename": {"x": "Content-Length"}}, "'Content-Length' belongs to"),
        ({"headers_to_add": {"x y": "1"}}, "'x y' is not the name of a header"),
        ({"headers_to_add": {"x": "1\r\nhost: evil"}}, "line break"),
        ({"params_to_remove": ["stream_options"]}, "stream_options"),
        ({}, "needs one of params_to_remove"),
    ],
)
def test_wrong_options_are_refused(config: Any, reason: str) -> None:
    with pytest.raises(ConfigError, match=reason):
        open_interceptors([configured("payload_modifier", config)])


names = st.sampled_from(["a", "b", "c", "content", "tools", "parameters"])
json_values = st.recursive(
    st.integers(0, 3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(names, inner, max_size=4),
    max_leaves=12,
)


@given(st.dictionaries(names, json_values, max_size=5))
def test_shared_values_are_never_changed(body: dict[str, Any]) -> None:
    config = {"params_to_remove": ["a"], "params_to_rename": {"b": "z"}}
    step = open_interceptors([configured("payload_modifier", config)])[0][1]
    assert isinstance(step, Interceptor)
    original = copy.deepcopy(body)
    request = ModelRequest("chat_completions", dict(body))
    step.on_request(request)
    assert body == original
    assert not request.body.keys() & {"a", "b"}
    once = dict(request.body)
    step.on_request(request)
    assert request.body == once
    assert all(request.body[name] is once[name] for name in once)  # nothing is copied for nothing
