"""OpenAI responses: ``POST /responses``."""

from __future__ import annotations

from typing import Any

from ...types import Message
from ..images import image_url
from .contract import Question, Reply, parse_usage, with_system

RENAMED = {"max_tokens": "max_output_tokens"}
INCOMPLETE = {"max_output_tokens": "length", "content_filter": "content_filter"}


def build(question: Question) -> dict[str, Any]:
    """The request body."""
    params = {RENAMED.get(name, name): value for name, value in question.params.items()}
    if effort := params.pop("reasoning_effort", None):
        params["reasoning"] = {"effort": effort}
    messages = list(question.messages) or [{"role": "user", "content": question.prompt}]
    items = [_item(message) for message in with_system(messages, question.system)]
    if question.images:
        items[-1]["content"] = [
            *(
                {
                    "type": "input_image",
                    "image_url": image_url(image),
                    "detail": question.image_detail,
                }
                for image in question.images
            ),
            *_parts(items[-1]["content"]),
        ]
    return {"model": question.model, "input": items, **params}


def parse(body: dict[str, Any]) -> Reply | None:
    """All output items of the response."""
    output = body.get("output")
    if not isinstance(output, list) or (not output and body.get("status") != "incomplete"):
        return None
    texts, reasoning, calls = [], [], []
    for item in output:
        kind = item.get("type")
        if kind == "message":
            texts += [part.get("text") or "" for part in item.get("content") or ()]
        elif kind == "reasoning":
            parts = item.get("content") or item.get("summary") or ()
            reasoning += [part.get("text") or "" for part in parts]
        elif kind == "function_call":
            function = {"name": item.get("name"), "arguments": item.get("arguments")}
            calls.append({"id": item.get("call_id"), "type": "function", "function": function})
    return Reply(
        text="".join(texts),
        reasoning="".join(reasoning) or None,
        finish_reason=_finish_reason(body, bool(calls)),
        usage=parse_usage(body.get("usage")),
        model=body.get("model"),
        tool_calls=tuple(calls),
    )


class Accumulator:
    """The final event of a stream carries the whole response."""

    def __init__(self) -> None:
        self._response: dict[str, Any] | None = None

    def add(self, event: dict[str, Any]) -> bool:
        """Take one event."""
        kind = str(event.get("type", ""))
        if kind in ("response.completed", "response.incomplete", "response.failed"):
            self._response = event.get("response")
        return kind.endswith(".delta")

    def body(self) -> dict[str, Any] | None:
        """The response, once its final event came."""
        return self._response


def _finish_reason(body: dict[str, Any], has_calls: bool) -> str:
    if body.get("status") == "incomplete":
        reason = (body.get("incomplete_details") or {}).get("reason")
        return INCOMPLETE.get(reason, "length")
    return "tool_calls" if has_calls else "stop"


def _item(message: Message) -> dict[str, Any]:
    return {"role": message.get("role", "user"), "content": message.get("content") or ""}


def _parts(content: Any) -> list[Any]:
    return [{"type": "input_text", "text": content}] if isinstance(content, str) else list(content)
