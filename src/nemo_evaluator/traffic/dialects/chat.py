"""OpenAI chat completions: ``POST /chat/completions``."""

from __future__ import annotations

from typing import Any

from ...types import Message
from ..images import image_url
from .contract import Question, Reply, parse_usage, text_of, with_system


def build(question: Question) -> dict[str, Any]:
    """The request body."""
    messages = list(question.messages) or [{"role": "user", "content": question.prompt}]
    if question.images:
        messages = _with_images(messages, question)
    return {
        "model": question.model,
        "messages": with_system(messages, question.system),
        **question.params,
    }


def parse(body: dict[str, Any]) -> Reply | None:
    """The first choice."""
    choices = body.get("choices")
    if not isinstance(choices, list) or not choices or not isinstance(choices[0], dict):
        return None
    choice = choices[0]
    message = choice.get("message") or {}
    reasoning = message.get("reasoning_content") or message.get("reasoning")
    return Reply(
        text=text_of(message.get("content")),
        reasoning=reasoning if isinstance(reasoning, str) else None,
        finish_reason=choice.get("finish_reason"),
        usage=parse_usage(body.get("usage")),
        model=body.get("model"),
        tool_calls=tuple(message.get("tool_calls") or ()),
    )


class Accumulator:
    """Builds the body of a streamed chat completion."""

    def __init__(self) -> None:
        self._content: list[str] = []
        self._reasoning: list[str] = []
        self._tools: dict[int, dict[str, Any]] = {}
        self._finish: str | None = None
        self._usage: Any = None
        self._model: str | None = None

    def add(self, event: dict[str, Any]) -> bool:
        """Take one chunk."""
        self._usage = event.get("usage") or self._usage
        self._model = event.get("model") or self._model
        has_content = False
        for choice in event.get("choices") or ():
            if choice.get("index", 0) != 0:
                continue
            delta = choice.get("delta") or {}
            self._finish = choice.get("finish_reason") or self._finish
            if content := delta.get("content"):
                self._content.append(content)
                has_content = True
            if reasoning := delta.get("reasoning_content") or delta.get("reasoning"):
                self._reasoning.append(reasoning)
                has_content = True
            for call in delta.get("tool_calls") or ():
                self._add_tool_call(call)
                has_content = True
        return has_content

    def body(self) -> dict[str, Any] | None:
        """The unstreamed equivalent, once a finish reason came."""
        if self._finish is None:
            return None
        message: dict[str, Any] = {"role": "assistant", "content": "".join(self._content)}
        if self._reasoning:
            message["reasoning_content"] = "".join(self._reasoning)
        if self._tools:
            message["tool_calls"] = [self._tools[index] for index in sorted(self._tools)]
        choice = {"index": 0, "message": message, "finish_reason": self._finish}
        return {"model": self._model, "choices": [choice], "usage": self._usage}

    def _add_tool_call(self, call: dict[str, Any]) -> None:
        known = self._tools.setdefault(
            call.get("index", 0),
            {"id": None, "type": "function", "function": {"name": "", "arguments": ""}},
        )
        known["id"] = call.get("id") or known["id"]
        function = call.get("function") or {}
        known["function"]["name"] += function.get("name") or ""
        known["function"]["arguments"] += function.get("arguments") or ""


def _with_images(messages: list[Message], question: Question) -> list[Message]:
    """The images as parts of the last user message, before its text."""
    last = max(
        (i for i, message in enumerate(messages) if message.get("role") == "user"), default=None
    )
    if last is None:
        messages = [*messages, {"role": "user", "content": question.prompt}]
        last = len(messages) - 1
    content = messages[last].get("content")
    text = [{"type": "text", "text": content}] if isinstance(content, str) else list(content or ())
    parts = [
        {
            "type": "image_url",
            "image_url": {"url": image_url(image), "detail": question.image_detail},
        }
        for image in question.images
    ]
    changed = {**messages[last], "content": [*parts, *text]}
    return [*messages[:last], changed, *messages[last + 1 :]]
