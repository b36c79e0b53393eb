"""What a dialect takes and gives, and the readers the dialects share.

Servers are sloppy: a reader never raises, whatever the type of a field; what it cannot read is
absent. An answer in an unknown form is not an empty answer: ``has_answer`` says no to it, and
an accumulator raises ``UnknownShape``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import msgspec

from ...asked import TokenLogprob
from ...finish import FinishReason
from ...types import Image, Json, Message, Usage

SYSTEM_ROLES = ("system", "developer")
MOST_TOKENS = 2**31
"""Of one answer; a higher count is a mistake of the server."""
THINKING = frozenset(("thinking", "reasoning", "reasoning_text", "redacted_thinking"))
"""Types of content parts that are reasoning, not answer."""
THOUGHTS = ("thinking", "reasoning", "text")
TEXTLESS = frozenset(
    (
        *("refusal", "image", "image_url", "output_image", "audio", "input_audio", "output_audio"),
        *("file", "document", "tool_use", "tool_call", "function_call", "reference", "citation"),
    )
)
"""Types of content parts that have no text by nature."""


class Question(msgspec.Struct, frozen=True):
    """One question, free of any dialect."""

    model: str
    prompt: str = ""
    messages: Sequence[Message] = ()
    system: str | None = None
    images: Sequence[Image] = ()
    image_detail: str = "auto"
    params: Mapping[str, Json] = msgspec.field(default_factory=dict)


class Reply(msgspec.Struct, frozen=True):
    """What a response body says."""

    text: str
    reasoning: str | None
    finish_reason: str | None
    usage: Usage
    model: str | None
    tool_calls: tuple[dict[str, Any], ...] = ()
    logprobs: tuple[TokenLogprob, ...] = ()
    prompt_logprobs: tuple[TokenLogprob, ...] = ()


class UnknownShape(ValueError):
    """The content of a stream's event has an unknown form."""


class Accumulator(Protocol):
    """Builds the unstreamed body out of the events of a stream."""

    def add(self, event: dict[str, Json]) -> bool:
        """Take one event; True if it carried content (the first one is the first token). Raises
        UnknownShape."""

    def body(self, done: bool) -> dict[str, Json] | None:
        """The body; None if the stream broke off. ``done`` tells that its end mark came, where the
        dialect has one."""


@dataclass(frozen=True, slots=True)
class Dialect:
    """One wire dialect."""

    build: Callable[[Question], dict[str, Json]]
    """The request body. Raises ConfigError for what the dialect cannot carry."""
    has_answer: Callable[[dict[str, Json]], bool]
    """Whether a body of a 200 is an answer; if not, the request is tried again."""
    parse: Callable[[dict[str, Json]], Reply]
    """Reads a body that has an answer."""
    accumulator: Callable[[], Accumulator]
    events: Callable[[dict[str, Json]], Iterator[dict[str, Json]]]
    """A body as the events of a stream, for a caller who asked for one."""
    stream_options: Mapping[str, Json] | None = None
    """The options a streamed request must send to receive its usage."""
    named_events: bool = False
    """Events carry their type in an ``event:`` line too, and there is no ``[DONE]``."""


def as_int(value: Json) -> int | None:
    """A whole number, if it is one."""
    return value if type(value) is int else None


def as_tokens(value: Json) -> int | None:
    """A token count, if it is one; some gateways write ``12.0``. What no answer can have used (less
    than nothing, or more than fits into the columns of a table) would falsify sums and budgets."""
    if type(value) is float and value.is_integer():
        value = int(value)
    return value if type(value) is int and 0 <= value < MOST_TOKENS else None


def as_str(value: Json) -> str | None:
    """A text that is not empty, if it is one."""
    return value if isinstance(value, str) and value else None


def as_dict(value: Json) -> dict[str, Json]:
    """A mapping; empty if it is none."""
    return value if isinstance(value, dict) else {}


def dicts(value: Any) -> Iterator[dict[str, Any]]:
    """The mappings of a list; none if it is no list."""
    return (
        (item for item in value if isinstance(item, dict)) if isinstance(value, list) else iter(())
    )


def finish_of(choice: Mapping[str, Json]) -> str | None:
    """The finish reason as the server wrote it; None while the choice is not finished, which some
    servers write as the text ``null``."""
    text = as_str(choice.get("finish_reason"))
    return None if text in ("null", "none", "None") else text


def has_failed(choice: Mapping[str, Json]) -> bool:
    """Whether the server gave the choice up: its finish reason is a failure's."""
    return FinishReason.of(finish_of(choice)) is FinishReason.FAILED


def is_filtered(choice: Mapping[str, Json]) -> bool:
    """Whether a content filter ended the choice."""
    return FinishReason.of(finish_of(choice)) is FinishReason.CONTENT_FILTER


def first_choice(body: dict[str, Json]) -> dict[str, Json] | None:
    """The first of ``choices``, if there is one and the server did not give it up."""
    choices = body.get("choices")
    if not isinstance(choices, list) or not choices or not isinstance(choices[0], dict):
        return None
    choice = choices[0]
    return None if has_failed(choice) else choice


def stream_error(event: Mapping[str, Json]) -> dict[str, Json] | None:
    """The error body that an event of a stream is, if it is one: an ``error``, an event of that
    type, or a choice the server gave up."""
    choices = event.get("choices")
    if not choices:
        if event.get("error"):
            return dict(event)
        is_error = event.get("type") == "error" or event.get("object") == "error"
        return {"error": dict(event)} if is_error else None
    failed = next((choice for choice in dicts(choices) if has_failed(choice)), None)
    return None if failed is None else {"error": error_of_choice(failed)}


def error_of_choice(choice: Mapping[str, Json]) -> dict[str, Json]:
    """The error of a choice the server gave up; its own words where there are any."""
    details = choice.get("error")
    error = dict(details) if isinstance(details, dict) else {"message": as_str(details)}
    reason = f"the server broke off the generation (finish_reason {finish_of(choice)!r})"
    message = as_str(error.get("message"))
    return {**error, "message": f"{reason}: {message}" if message else reason}


def parse_usage(usage: Json) -> Usage:
    """Token counts in chat or responses spelling, with cached and reasoning details."""
    if not isinstance(usage, dict):
        return Usage()
    prompt = as_tokens(usage.get("prompt_tokens"))
    completion = as_tokens(usage.get("completion_tokens"))
    prompt_details = as_dict(
        usage.get("prompt_tokens_details") or usage.get("input_tokens_details")
    )
    output_details = as_dict(
        usage.get("completion_tokens_details") or usage.get("output_tokens_details")
    )
    return Usage(
        prompt_tokens=as_tokens(usage.get("input_tokens")) if prompt is None else prompt,
        completion_tokens=as_tokens(usage.get("output_tokens"))
        if completion is None
        else completion,
        reasoning_tokens=as_tokens(
            output_details.get("reasoning_tokens", usage.get("reasoning_tokens"))
        ),
        cached_tokens=as_tokens(prompt_details.get("cached_tokens", usage.get("cached_tokens"))),
    )


def text_of(content: Json) -> str:
    """The text of a message content: a string, null, or a list of parts, less its reasoning."""
    if isinstance(content, str):
        return content
    if isinstance(content, list):
        return all_text([part for part in content if not _is_thinking(part)])
    return ""


def thinking_of(content: Json) -> str | None:
    """The reasoning among the parts of a content (``{"type": "thinking", ...}``), if any."""
    if not isinstance(content, list):
        return None
    parts = (part for part in content if _is_thinking(part))
    return "".join(_thinking_text(part) for part in parts) or None


def all_text(parts: Json) -> str:
    """The texts of parts of any type."""
    if not isinstance(parts, list):
        return parts if isinstance(parts, str) else ""
    texts = (
        part.get("text", part.get("refusal")) if isinstance(part, dict) else part for part in parts
    )
    return "".join(text for text in texts if isinstance(text, str))


def is_readable(content: Json) -> bool:
    """Whether the form of a content is one we know: text, null, or a list of known parts."""
    if content is None or isinstance(content, str):
        return True
    return isinstance(content, list) and all(_is_readable_part(part) for part in content)


def _is_readable_part(part: Json) -> bool:
    if not isinstance(part, dict):
        return isinstance(part, str)
    if _is_thinking(part):
        return True
    if "text" in part:
        return isinstance(part["text"], str)
    return as_str(part.get("type")) in TEXTLESS


def _is_thinking(part: Json) -> bool:
    return isinstance(part, dict) and as_str(part.get("type")) in THINKING


def _thinking_text(part: Mapping[str, Json]) -> str:
    return next((text for name in THOUGHTS if (text := all_text(part.get(name)))), "")


def with_system(messages: Sequence[Message], system: str | None) -> list[Message]:
    """The messages led by a system message; it replaces one that leads already."""
    if system is None:
        return list(messages)
    leads = bool(messages) and messages[0].get("role") in SYSTEM_ROLES
    return [{"role": "system", "content": system}, *(messages[1:] if leads else messages)]


def with_images(
    messages: list[Message], parts: list[dict[str, Any]], text_type: str, prompt: str
) -> list[Message]:
    """The image parts put before the text of the last user message (which is added if missing)."""
    roles = [message.get("role") for message in messages]
    if "user" not in roles:
        messages = [*messages, {"role": "user", "content": prompt}]
        roles.append("user")
    last = len(roles) - 1 - roles[::-1].index("user")
    content = messages[last].get("content")
    text = [{"type": text_type, "text": content}] if isinstance(content, str) else content or []
    changed = {**messages[last], "content": [*parts, *text]}
    return [*messages[:last], changed, *messages[last + 1 :]]
