"""A system message of the configuration, in every dialect that has one."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from steps import configured, sent

from nemo_evaluator.errors import ConfigError
from nemo_evaluator.traffic.interceptors.opening import open_interceptors

NEW = {"role": "system", "content": "NEW"}
OLD = {"role": "system", "content": "old"}
DEV = {"role": "developer", "content": "dev"}
USER = {"role": "user", "content": "u"}

CHAT = [
    ("replace", [OLD, USER, DEV], [NEW, USER]),
    ("append", [OLD, USER], [OLD, USER, NEW]),
    ("prepend", [OLD, USER], [NEW, OLD, USER]),
    ("prepend", None, [NEW]),
]
RESPONSES = [
    ("prepend", {"input": "u"}, {"input": "u", "instructions": "NEW"}),
    (
        "prepend",
        {"input": [USER], "instructions": "old"},
        {"input": [USER], "instructions": "NEW\n\nold"},
    ),
    (
        "replace",
        {"input": [OLD, USER, DEV], "instructions": "old"},
        {"input": [USER], "instructions": "NEW"},
    ),
    ("append", {"input": "u"}, {"input": [USER, NEW]}),
    ("append", {"input": [USER], "instructions": "o"}, {"input": [USER, NEW], "instructions": "o"}),
]
PROMPTS = [
    ("prepend", "p", "NEW\n\np"),
    ("replace", "p", "NEW\n\np"),
    ("append", "p", "p\n\nNEW"),
    ("prepend", ["p", "q"], ["NEW\n\np", "NEW\n\nq"]),
    ("prepend", None, "NEW"),
]


async def changed(strategy: str, body: dict[str, Any], protocol: str) -> dict[str, Any]:
    config = {"system_message": "NEW", "strategy": strategy}
    return (await sent("system_message", config, body, protocol=protocol)).body


@pytest.mark.parametrize(("strategy", "messages", "expected"), CHAT)
async def test_the_system_message_of_a_chat_is_changed(
    strategy: str, messages: Any, expected: Any
) -> None:
    original = copy.deepcopy(messages)
    body = {} if messages is None else {"messages": messages}
    assert await changed(strategy, body, "chat_completions") == {"messages": expected}
    assert messages == original


@pytest.mark.parametrize(("strategy", "body", "expected"), RESPONSES)
async def test_the_instructions_of_a_response_are_changed(
    strategy: str, body: dict[str, Any], expected: Any
) -> None:
    assert await changed(strategy, dict(body), "responses") == expected


@pytest.mark.parametrize(("strategy", "prompt", "expected"), PROMPTS)
async def test_completions_get_no_messages(strategy: str, prompt: Any, expected: Any) -> None:
    assert await changed(strategy, {"prompt": prompt}, "completions") == {"prompt": expected}


async def test_tokens_are_refused_not_ignored() -> None:
    with pytest.raises(ConfigError, match="token ids"):
        await changed("prepend", {"prompt": [1, 2]}, "completions")


async def test_embeddings_have_none() -> None:
    assert await changed("replace", {"input": "u"}, "embeddings") == {"input": "u"}


@pytest.mark.parametrize(
    "config", [{}, {"system_message": ""}, {"system_message": "s", "strategy": "insert"}]
)
def test_wrong_options_are_refused(config: dict[str, Any]) -> None:
    with pytest.raises(ConfigError):
        open_interceptors([configured("system_message", config)])
