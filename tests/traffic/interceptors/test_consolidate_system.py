"""One system message, first; nothing else moves."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from steps import configured, sent

from nemo_evaluator.traffic.interceptors.opening import open_interceptors
from nemo_evaluator.traffic.types import Interceptor, ModelRequest


def message(role: str, content: Any) -> dict[str, Any]:
    return {"role": role, "content": content}


USER, ASSISTANT = message("user", "a"), message("assistant", "b")
ROWS = {
    "merged in order": (
        [USER, message("system", [{"text": "s1"}, "s2"]), ASSISTANT, message("system", "s3")],
        [message("system", "s1\ns2\n\ns3"), USER, ASSISTANT],
    ),
    "empty ones drop": (
        [message("system", ""), USER, message("system", "R")],
        [message("system", "R"), USER],
    ),
    "all empty": ([USER, {"role": "system"}], [USER]),
    "first already": ([message("system", "s"), USER], [message("system", "s"), USER]),
    "one that is not first": ([USER, message("system", "s")], [message("system", "s"), USER]),
    "developer counts": (
        [message("developer", "d"), USER, message("system", "s")],
        [message("developer", "d\n\ns"), USER],
    ),
    "none": ([USER], [USER]),
}


@pytest.mark.parametrize(("messages", "expected"), ROWS.values(), ids=ROWS)
async def test_system_messages_of_a_chat_become_one(
    messages: list[Any], expected: list[Any]
) -> None:
    original = copy.deepcopy(messages)
    body = (await sent("consolidate_system", {}, {"messages": messages})).body
    assert body == {"messages": expected}
    assert messages == original


async def test_the_separator_joins_system_messages() -> None:
    messages = [message("system", "a"), message("system", "b")]
    body = (await sent("consolidate_system", {"separator": " | "}, {"messages": messages})).body
    assert body["messages"] == [message("system", "a | b")]


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (
            {"instructions": "i", "input": [USER, message("developer", "d")]},
            {"instructions": "i\n\nd", "input": [USER]},
        ),
        ({"instructions": "i", "input": [USER]}, {"instructions": "i", "input": [USER]}),
        ({"input": [USER, message("system", "s")]}, {"input": [message("system", "s"), USER]}),
        ({"instructions": "i", "input": "u"}, {"instructions": "i", "input": "u"}),
    ],
)
async def test_system_messages_of_the_responses_api_become_one(
    body: dict[str, Any], expected: dict[str, Any]
) -> None:
    assert (await sent("consolidate_system", {}, body, protocol="responses")).body == expected


@pytest.mark.parametrize("protocol", ["completions", "embeddings"])
async def test_other_dialects_have_no_messages(protocol: str) -> None:
    body = {"prompt": "p", "messages": [USER, message("system", "s")]}
    assert (await sent("consolidate_system", {}, dict(body), protocol=protocol)).body == body


roles = st.sampled_from(["system", "developer", "user", "assistant"])
conversations = st.lists(st.builds(message, roles, st.text("ab\n", max_size=3)), max_size=6)


@given(conversations)
def test_idempotent_and_nothing_lost(messages: list[dict[str, Any]]) -> None:
    step = open_interceptors([configured("consolidate_system")])[0][1]
    assert isinstance(step, Interceptor)
    request = ModelRequest("chat_completions", {"messages": messages})
    step.on_request(request)
    once = request.body["messages"]
    step.on_request(request)
    assert request.body["messages"] == once
    system = ("system", "developer")
    assert [m for m in once if m["role"] not in system] == [
        m for m in messages if m["role"] not in system
    ]
    texts = [m["content"] for m in messages if m["role"] in system and m["content"]]
    assert "".join(m["content"] for m in once if m["role"] in system) == "\n\n".join(texts)
