"""OpenAI text completions: ``POST /completions``. Messages are joined into one text."""

from __future__ import annotations

from typing import Any

from ...errors import ConfigError
from .contract import Question, Reply, parse_usage, text_of, with_system


def build(question: Question) -> dict[str, Any]:
    """The request body. Raises ConfigError for images, which this dialect cannot carry."""
    if question.images:
        raise ConfigError("completions cannot carry images", hint="use protocol chat_completions")
    if question.messages:
        messages = with_system(question.messages, question.system)
        prompt = "\n\n".join(text_of(message.get("content")) for message in messages)
    else:
        prompt = "\n\n".join(filter(None, (question.system, question.prompt)))
    return {"model": question.model, "prompt": prompt, **question.params}


def parse(body: dict[str, Any]) -> Reply | None:
    """The first choice."""
    choices = body.get("choices")
    if not isinstance(choices, list) or not choices or not isinstance(choices[0], dict):
        return None
    return Reply(
        text=choices[0].get("text") or "",
        reasoning=None,
        finish_reason=choices[0].get("finish_reason"),
        usage=parse_usage(body.get("usage")),
        model=body.get("model"),
    )


class Accumulator:
    """Builds the body of a streamed completion."""

    def __init__(self) -> None:
        self._text: list[str] = []
        self._finish: str | None = None
        self._usage: Any = None
        self._model: str | None = None

    def add(self, event: dict[str, Any]) -> bool:
        """Take one chunk."""
        self._usage = event.get("usage") or self._usage
        self._model = event.get("model") or self._model
        has_content = False
        for choice in event.get("choices") or ():
            self._finish = choice.get("finish_reason") or self._finish
            if text := choice.get("text"):
                self._text.append(text)
                has_content = True
        return has_content

    def body(self) -> dict[str, Any] | None:
        """The unstreamed equivalent, once a finish reason came."""
        if self._finish is None:
            return None
        choice = {"text": "".join(self._text), "finish_reason": self._finish}
        return {"model": self._model, "choices": [choice], "usage": self._usage}
