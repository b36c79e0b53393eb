"""OpenAI text completions: ``POST /completions``. Messages are joined into one text."""

from __future__ import annotations

from typing import Any

from ...errors import ConfigError
from .contract import (
    Question,
    Reply,
    as_str,
    dicts,
    first_choice,
    parse_usage,
    text_of,
    with_system,
)

STREAM_OPTIONS = {"stream_options": {"include_usage": True}}


def build(question: Question) -> dict[str, Any]:
    """The request body. Raises ConfigError for images, which this dialect cannot carry."""
    if question.images:
        raise ConfigError("completions cannot carry images", hint="use protocol chat_completions")
    if question.messages:
        messages = with_system(question.messages, question.system)
        prompt = "\n\n".join(text_of(message.get("content")) for message in messages)
    elif question.system:
        prompt = f"{question.system}\n\n{question.prompt}"
    else:
        prompt = question.prompt
    return {"model": question.model, "prompt": prompt, **question.params}


def has_answer(body: dict[str, Any]) -> bool:
    """Whether there is a first choice with a text (which may be null or empty)."""
    choice = first_choice(body)
    return choice is not None and "text" in choice


def parse(body: dict[str, Any]) -> Reply:
    """The first choice."""
    choice = body["choices"][0]
    return Reply(
        text=as_str(choice.get("text")) or "",
        reasoning=as_str(choice.get("reasoning_content")) or as_str(choice.get("reasoning")),
        finish_reason=as_str(choice.get("finish_reason")),
        usage=parse_usage(body.get("usage")),
        model=as_str(body.get("model")),
    )


class Accumulator:
    """Builds the body of a streamed completion."""

    def __init__(self) -> None:
        self._text: list[str] = []
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
                if text := as_str(choice.get("text")):
                    self._text.append(text)
                    has_content = True
        return has_content

    def body(self, done: bool) -> dict[str, Any] | None:
        """The unstreamed equivalent, once a finish reason or the end mark came."""
        if self._finish is None and not (done and self._begun):
            return None
        choice = {"index": 0, "text": "".join(self._text), "finish_reason": self._finish}
        return {"model": self._model, "choices": [choice], "usage": self._usage}
