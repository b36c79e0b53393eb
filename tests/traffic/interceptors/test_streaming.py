"""Streams are asked for where there are any, and add up to the answer."""

from __future__ import annotations

from typing import Any

import pytest
from steps import Scripted, configured

from nemo_evaluator.traffic.dialects import DIALECTS
from nemo_evaluator.traffic.retry import Action, error_in_body
from nemo_evaluator.types import Failure


def accumulated(events: list[dict[str, Any]]) -> dict[str, Any]:
    accumulator = DIALECTS["chat_completions"].accumulator()
    for event in events:
        accumulator.add(event)
    body = accumulator.body(done=True)
    assert body is not None
    return body


def chunk(delta: dict[str, Any], finish: str | None = None) -> dict[str, Any]:
    choice = {"index": 0, "delta": delta, "finish_reason": finish}
    return {"id": "c", "model": "m", "created": 1, "choices": [choice]}


def tool(arguments: str, name: str, **fields: Any) -> dict[str, Any]:
    function = {"name": name, "arguments": arguments}
    return {"tool_calls": [{"index": 0, "function": function, **fields}]}


EVENTS = [
    chunk({"role": "assistant", "reasoning": "th"}),
    chunk(tool('{"a"', "ba", id="c9")),
    chunk(tool(":1}", "sh"), "tool_calls"),
    {"choices": [], "usage": {"total_tokens": 3}},
]


async def test_null_content_becomes_an_empty_text() -> None:
    call = {"id": "c9", "type": "function", "function": {"name": "bash", "arguments": '{"a":1}'}}
    body = await Scripted(configured("streaming")).send({}, accumulated(EVENTS))
    assert body["choices"] == [
        {
            "index": 0,
            "message": {
                "role": "assistant",
                "content": "",
                "reasoning_content": "th",
                "tool_calls": [call],
            },
            "finish_reason": "tool_calls",
        }
    ]
    assert body["usage"] == {"total_tokens": 3}
    assert (body["object"], body["id"], body["model"]) == ("chat.completion", "c", "m")


@pytest.mark.parametrize(
    ("error", "status", "kind"),
    [({"status": 429}, 429, Failure.RATE_LIMIT), ({"type": "x"}, 200, Failure.SERVER_ERROR)],
)
def test_an_error_event_is_a_failure(error: Any, status: int, kind: Failure) -> None:
    verdict = error_in_body({"error": error}, retry_on=(429, 500))
    assert (verdict.action, verdict.status, verdict.kind) == (Action.RETRY, status, kind)


@pytest.mark.parametrize(
    ("protocol", "asked"),
    [("chat_completions", True), ("completions", True), ("responses", True), ("embeddings", False)],
)
async def test_asks_for_a_stream(protocol: str, asked: bool) -> None:
    pipeline = Scripted(configured("streaming"))
    await pipeline.send({}, protocol=protocol)
    assert pipeline.got[0].stream is asked
    assert not pipeline.got[0].live


async def test_a_live_stream_passes_through_and_adds_up() -> None:
    found, body = await Scripted(configured("streaming")).stream(EVENTS)
    assert found == EVENTS
    assert body["choices"][0]["message"]["content"] == ""


async def test_null_content_may_stay() -> None:
    answer = {"choices": [{"message": {"content": None, "tool_calls": []}}]}
    config = {"null_content_to_empty": False}
    assert await Scripted(configured("streaming", config)).send({}, answer) == answer
