"""What all steps that change requests and answers have in common."""

from __future__ import annotations

import copy
import inspect
import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from steps import Scripted, configured

from nemo_evaluator.errors import ConfigError
from nemo_evaluator.traffic.interceptors.opening import open_interceptors
from nemo_evaluator.traffic.types import Interceptor, ModelRequest, ModelResponse

LEAST: dict[str, dict[str, Any]] = {
    "consolidate_system": {},
    "drop_params": {"params": ["seed"]},
    "finish_reason": {},
    "modify_tools": {"strip_properties": ["p"], "add_properties": {"q": {}}},
    "payload_modifier": {"params_to_remove": ["seed"], "params_to_rename": {"name": "title"}},
    "raise_client_errors": {},
    "reasoning": {},
    "reasoning_replay": {"mode": "both"},
    "streaming": {},
    "system_message": {"system_message": "S", "strategy": "replace"},
}
every_step = pytest.mark.parametrize("name", LEAST)


def opened(name: str) -> Interceptor:
    step = open_interceptors([configured(name, LEAST[name])])[0][1]
    assert isinstance(step, Interceptor)
    return step


REQUEST = {
    "messages": [
        {"role": "user", "content": "u", "name": "n"},
        {"role": "system", "content": "s"},
        {"role": "assistant", "content": "a", "tool_calls": [{"id": "k", "seed": 1}]},
    ],
    "input": [{"role": "user", "content": "u"}, {"role": "developer", "content": "d"}],
    "prompt": "p",
    "tools": [{"name": "f", "parameters": {"properties": {"p": {}}, "required": ["p"]}}],
    "metadata": {"seed": 1, "deep": [{"name": "x"}]},
    "max_tokens": 1,
}
ANSWER = {
    "choices": [
        {
            "index": 0,
            "message": {"content": "<think>a</think>b", "tool_calls": [{"id": "k"}]},
            "text": "<think>a</think>b",
            "finish_reason": "stop",
        }
    ],
    "usage": {"completion_tokens": 1},
}


@every_step
@pytest.mark.parametrize("protocol", ["chat_completions", "completions", "responses", "embeddings"])
async def test_what_is_shared_below_the_top_is_never_changed(name: str, protocol: str) -> None:
    pipeline = Scripted(configured(name, LEAST[name]))
    original = copy.deepcopy(REQUEST)
    for _ in range(2):  # the second time reasoning_replay has something to put back
        await pipeline.send(dict(REQUEST), copy.deepcopy(ANSWER), protocol=protocol)
    assert original == REQUEST


KEYS = [
    *("choices", "message", "delta", "content", "text", "reasoning", "tool_calls", "id", "n"),
    *("finish_reason", "index", "usage", "messages", "role", "tools", "function", "parameters"),
    *("properties", "required", "arguments"),
]
nothing_good = st.recursive(
    st.none() | st.booleans() | st.integers(-1, 9) | st.text("<think/>", max_size=9),
    lambda inner: (
        st.lists(inner, max_size=2)
        | st.dictionaries(
            st.sampled_from(KEYS),
            inner,
            max_size=4,
        )
    ),
    max_leaves=20,
)
bodies = st.dictionaries(
    st.sampled_from(["choices", "usage", "messages", "input", "tools", "max_tokens", "n"]),
    nothing_good,
    max_size=4,
)


@every_step
@given(
    request_body=bodies, answer=bodies, protocol=st.sampled_from(["chat_completions", "responses"])
)
def test_no_body_is_too_sloppy(
    name: str, request_body: dict[str, Any], answer: dict[str, Any], protocol: str
) -> None:
    step, request = opened(name), ModelRequest(protocol, request_body)
    step.on_request(request)
    step.on_response(request, ModelResponse(200, copy.deepcopy(answer)))
    if events := step.event_filter(request):
        events.feed(answer)
        events.close()


@every_step
def test_an_unknown_option_is_refused(name: str) -> None:
    with pytest.raises(ConfigError, match="unknown field"):
        open_interceptors([configured(name, {**LEAST[name], "no_such_option": 1})])


@every_step
def test_every_option_is_explained(name: str) -> None:
    options: Any = type(opened(name)).Options  # type: ignore[attr-defined]
    source = inspect.getsource(options)
    for field in options.model_fields:
        assert re.search(rf' {field}: [^\n]*\n +"""', source), f"{name}.{field} has no docstring"


async def test_the_usual_chain_in_one_pipeline() -> None:
    """Request sides as listed (one system message in the end), response sides as listed too."""
    pipeline = Scripted(
        configured("system_message", {"system_message": "S"}),
        configured("consolidate_system"),
        configured("drop_params", {"params": ["seed"]}),
        configured("reasoning"),
        configured("finish_reason"),
    )
    messages = [{"role": "system", "content": "old"}, {"role": "user", "content": "u"}]
    body = await pipeline.send(
        {"messages": messages, "seed": 1, "max_tokens": 1}, copy.deepcopy(ANSWER)
    )
    assert pipeline.got[0].body == {
        "messages": [{"role": "system", "content": "S\n\nold"}, {"role": "user", "content": "u"}],
        "max_tokens": 1,
    }
    choice = body["choices"][0]
    assert (choice["message"]["content"], choice["message"]["reasoning_content"]) == ("b", "a")
    assert choice["finish_reason"] == "length"
