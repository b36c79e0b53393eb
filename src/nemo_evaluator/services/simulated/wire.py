"""A simulated answer in each protocol's shape, whole or as the events of a stream."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

from ...records import Json
from ...traffic.dialects import responses
from .model import Answer

FINGERPRINT = "simulated"
PIECE = 16
"""Characters per streamed event."""


def response(answer: Answer, protocol: str, model: str) -> dict[str, Json]:
    """The response body."""
    if protocol == "responses":
        return _responses(answer, model)
    if protocol == "completions":
        choice = {
            "index": 0,
            "text": _with_thoughts(answer),
            "logprobs": answer.logprobs,
            "finish_reason": answer.finish_reason,
        }
        return {**_head(answer, "cmpl", "text_completion", model), **_body(choice, answer)}
    message: dict[str, Json] = {"role": "assistant", "content": answer.text}
    if answer.reasoning is not None:
        message["reasoning_content"] = answer.reasoning
    if answer.tool_call is not None:
        message["content"], message["tool_calls"] = None, [answer.tool_call]
    choice = {
        "index": 0,
        "message": message,
        "logprobs": None,
        "finish_reason": answer.finish_reason,
    }
    return {**_head(answer, "chatcmpl", "chat.completion", model), **_body(choice, answer)}


def events(
    answer: Answer, protocol: str, model: str, *, usage: bool = True
) -> Iterator[dict[str, Json]]:
    """The events of a stream, each one ``data:`` line. ``usage``: one more with token counts."""
    if protocol == "responses":
        yield from responses.events(_responses(answer, model), _pieces)
        return
    if protocol == "completions":
        head = _head(answer, "cmpl", "text_completion", model)
        parts: list[dict[str, Json]] = [
            {"text": piece} for piece in _pieces(_with_thoughts(answer))
        ]
        last: dict[str, Json] = {"text": "", "finish_reason": answer.finish_reason}
        last["logprobs"] = answer.logprobs
    else:
        head = _head(answer, "chatcmpl", "chat.completion.chunk", model)
        parts = [{"delta": delta} for delta in _deltas(answer)]
        last = {"delta": {}, "finish_reason": answer.finish_reason}
    for part in parts:
        yield {**head, "choices": [{"index": 0, **part, "finish_reason": None}]}
    yield {**head, "choices": [{"index": 0, **last}]}
    if usage:
        yield {**head, "choices": [], "usage": _usage(answer)}


def _deltas(answer: Answer) -> Iterator[dict[str, Json]]:
    yield {"role": "assistant", "content": ""}
    for piece in _pieces(answer.reasoning or ""):
        yield {"reasoning_content": piece}
    if (call := answer.tool_call) is not None:
        function = call["function"]
        yield {
            "tool_calls": [
                {
                    "index": 0,
                    "id": call["id"],
                    "type": "function",
                    "function": {"name": function["name"], "arguments": ""},
                }
            ]
        }
        for piece in _pieces(function["arguments"]):
            yield {"tool_calls": [{"index": 0, "function": {"arguments": piece}}]}
    for piece in _pieces(answer.text):
        yield {"content": piece}


def _head(answer: Answer, prefix: str, kind: str, model: str) -> dict[str, Json]:
    return {
        "id": f"{prefix}-{answer.id}",
        "object": kind,
        "created": int(time.time()),
        "model": model,
        "system_fingerprint": FINGERPRINT,
    }


def _body(choice: dict[str, Any], answer: Answer) -> dict[str, Any]:
    return {"choices": [choice], "usage": _usage(answer)}


def _usage(answer: Answer) -> dict[str, Json]:
    return {
        "prompt_tokens": answer.prompt_tokens,
        "completion_tokens": answer.completion_tokens,
        "total_tokens": answer.prompt_tokens + answer.completion_tokens,
        "completion_tokens_details": {"reasoning_tokens": answer.reasoning_tokens},
    }


def _responses(answer: Answer, model: str) -> dict[str, Json]:
    cut = answer.finish_reason == "length"
    return {
        "id": f"resp_{answer.id}",
        "object": "response",
        "created_at": int(time.time()),
        "status": "incomplete" if cut else "completed",
        "incomplete_details": {"reason": "max_output_tokens"} if cut else None,
        "error": None,
        "instructions": None,
        "metadata": {},
        "model": model,
        "system_fingerprint": FINGERPRINT,
        "output": _output(answer),
        "parallel_tool_calls": True,
        "temperature": None,
        "tool_choice": "auto",
        "tools": [],
        "top_p": None,
        "usage": {
            "input_tokens": answer.prompt_tokens,
            "output_tokens": answer.completion_tokens,
            "total_tokens": answer.prompt_tokens + answer.completion_tokens,
            "input_tokens_details": {"cached_tokens": 0},
            "output_tokens_details": {"reasoning_tokens": answer.reasoning_tokens},
        },
    }


def _output(answer: Answer) -> list[dict[str, Json]]:
    items: list[dict[str, Json]] = []
    if answer.reasoning is not None:
        summary = [{"type": "summary_text", "text": answer.reasoning}]
        items.append({"id": f"rs_{answer.id}", "type": "reasoning", "summary": summary})
    if (call := answer.tool_call) is not None:
        items.append(
            {
                "id": f"fc_{answer.id}",
                "type": "function_call",
                "call_id": call["id"],
                "status": "completed",
                **call["function"],
            }
        )
        return items
    part = {"type": "output_text", "text": answer.text, "annotations": []}
    items.append(
        {
            "id": f"msg_{answer.id}",
            "type": "message",
            "role": "assistant",
            "status": "incomplete" if answer.finish_reason == "length" else "completed",
            "content": [part],
        }
    )
    return items


def _with_thoughts(answer: Answer) -> str:
    """Text completions have no field for reasoning: it stands before the answer, in a tag."""
    if answer.reasoning is None:
        return answer.text
    closed = answer.text or answer.finish_reason != "length"
    return f"<think>\n{answer.reasoning}" + (f"\n</think>\n\n{answer.text}" if closed else "")


def _pieces(text: str) -> Iterator[str]:
    for start in range(0, len(text), PIECE):
        yield text[start : start + PIECE]
