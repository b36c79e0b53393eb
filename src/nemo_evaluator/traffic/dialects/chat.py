"""OpenAI chat completions: ``POST /chat/completions``."""

from __future__ import annotations

from typing import Any

from ..images import image_url
from .contract import (
    Question,
    Reply,
    as_dict,
    as_int,
    as_str,
    dicts,
    first_choice,
    parse_usage,
    text_of,
    with_images,
    with_system,
)

STREAM_OPTIONS = {"stream_options": {"include_usage": True}}


def build(question: Question) -> dict[str, Any]:
    """The request body."""
    messages = list(question.messages) or [{"role": "user", "content": question.prompt}]
    if question.images:
        parts = [
            {
                "type": "image_url",
                "image_url": {"url": image_url(image), "detail": question.image_detail},
            }
            for image in question.images
        ]
        messages = with_images(messages, parts, "text", question.prompt)
    return {
        "model": question.model,
        "messages": with_system(messages, question.system),
        **question.params,
    }


def has_answer(body: dict[str, Any]) -> bool:
    """Whether there is a first choice with a message."""
    choice = first_choice(body)
    return choice is not None and isinstance(choice.get("message"), dict)


def parse(body: dict[str, Any]) -> Reply:
    """The first choice. A refusal stands for the content where that is empty."""
    choice = body["choices"][0]
    message = choice["message"]
    return Reply(
        text=text_of(message.get("content")) or as_str(message.get("refusal")) or "",
        reasoning=as_str(message.get("reasoning_content")) or as_str(message.get("reasoning")),
        finish_reason=as_str(choice.get("finish_reason")),
        usage=parse_usage(body.get("usage")),
        model=as_str(body.get("model")),
        tool_calls=tuple(dicts(message.get("tool_calls"))),
    )


class Accumulator:
    """Builds the body of a streamed chat completion."""

    def __init__(self) -> None:
        self._texts: dict[str, list[str]] = {}
        self._tools: dict[int, dict[str, Any]] = {}
        self._finish: str | None = None
        self._usage: Any = None
        self._model: str | None = None
        self._begun = False

    def add(self, event: dict[str, Any]) -> bool:
        """Take one chunk."""
        self._usage = event.get("usage") or self._usage
        self._model = as_str(event.get("model")) or self._model
        has_content = False
        for choice in dicts(event.get("choices")):
            if choice.get("index", 0) == 0:
                self._begun = True
                self._finish = as_str(choice.get("finish_reason")) or self._finish
                has_content |= self._add_delta(as_dict(choice.get("delta")))
        return has_content

    def body(self, done: bool) -> dict[str, Any] | None:
        """The unstreamed equivalent, once a finish reason or the end mark came."""
        if self._finish is None and not (done and self._begun):
            return None
        message: dict[str, Any] = {"role": "assistant", "content": None}
        message |= {name: "".join(pieces) for name, pieces in self._texts.items()}
        if self._tools:
            message["tool_calls"] = [self._tools[index] for index in sorted(self._tools)]
        choice = {"index": 0, "message": message, "finish_reason": self._finish}
        return {"model": self._model, "choices": [choice], "usage": self._usage}

    def _add_delta(self, delta: dict[str, Any]) -> bool:
        pieces = {
            "content": text_of(delta.get("content")),
            "reasoning_content": as_str(delta.get("reasoning_content"))
            or as_str(delta.get("reasoning")),
            "refusal": as_str(delta.get("refusal")),
        }
        has_content = False
        for name, piece in pieces.items():
            if piece:
                self._texts.setdefault(name, []).append(piece)
                has_content = True
        for call in dicts(delta.get("tool_calls")):
            self._add_tool_call(call)
            has_content = True
        return has_content

    def _add_tool_call(self, call: dict[str, Any]) -> None:
        known = self._tools.setdefault(
            as_int(call.get("index")) or 0,
            {"id": None, "type": "function", "function": {"name": "", "arguments": ""}},
        )
        known["id"] = as_str(call.get("id")) or known["id"]
        function = as_dict(call.get("function"))
        known["function"]["name"] += as_str(function.get("name")) or ""
        known["function"]["arguments"] += as_str(function.get("arguments")) or ""
