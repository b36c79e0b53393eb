"""What a dialect takes and gives."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from ...types import Image, Json, Message, Usage


@dataclass(frozen=True, slots=True)
class Question:
    """One question, free of any dialect."""

    model: str
    prompt: str = ""
    messages: Sequence[Message] = ()
    system: str | None = None
    images: Sequence[Image] = ()
    image_detail: str = "auto"
    params: Mapping[str, Json] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Reply:
    """What a response body says."""

    text: str
    reasoning: str | None
    finish_reason: str | None
    usage: Usage
    model: str | None
    tool_calls: tuple[dict[str, Any], ...] = ()


class Accumulator(Protocol):
    """Builds the unstreamed body out of the events of a stream."""

    def add(self, event: dict[str, Any]) -> bool:
        """Take one event; True if it carried content (the first one is the first token)."""

    def body(self) -> dict[str, Any] | None:
        """The body so far; None if the stream has not come to its end."""


@dataclass(frozen=True, slots=True)
class Dialect:
    """One wire dialect."""

    build: Callable[[Question], dict[str, Any]]
    parse: Callable[[dict[str, Any]], Reply | None]
    """None if the body has no answer in it (no choices)."""
    accumulator: Callable[[], Accumulator]


def as_int(value: Any) -> int | None:
    """A token count, if it is one."""
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def parse_usage(usage: Any) -> Usage:
    """Token counts in chat or responses spelling, with cached and reasoning details."""
    if not isinstance(usage, dict):
        return Usage()
    prompt_details = usage.get("prompt_tokens_details") or usage.get("input_tokens_details") or {}
    output_details = (
        usage.get("completion_tokens_details") or usage.get("output_tokens_details") or {}
    )
    prompt = as_int(usage.get("prompt_tokens"))
    completion = as_int(usage.get("completion_tokens"))
    return Usage(
        prompt_tokens=as_int(usage.get("input_tokens")) if prompt is None else prompt,
        completion_tokens=as_int(usage.get("output_tokens")) if completion is None else completion,
        reasoning_tokens=as_int(
            output_details.get("reasoning_tokens", usage.get("reasoning_tokens"))
        ),
        cached_tokens=as_int(prompt_details.get("cached_tokens", usage.get("cached_tokens"))),
    )


def text_of(content: Any) -> str:
    """The text of a message content: a string, null, or a list of parts."""
    if isinstance(content, str):
        return content
    if isinstance(content, list):
        parts = (part.get("text") for part in content if isinstance(part, dict))
        return "".join(part for part in parts if isinstance(part, str))
    return ""


def with_system(messages: Sequence[Message], system: str | None) -> list[Message]:
    """The messages led by a system message; it replaces one that leads already."""
    if system is None:
        return list(messages)
    rest = messages[1:] if messages and messages[0].get("role") == "system" else messages
    return [{"role": "system", "content": system}, *rest]
