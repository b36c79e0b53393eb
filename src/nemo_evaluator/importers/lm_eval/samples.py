"""A line of a sample log of lm_eval: what was asked, what was answered, and what was chosen."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import msgspec

from ...results.tables import plain_text
from ...types import Json, Record


class Line(Record, frozen=True, kw_only=True):
    """One document under one filter."""

    doc_id: int
    doc: Json = None
    target: Json = None
    arguments: Json = None
    resps: Sequence[Json] = ()
    filtered_resps: Json = None
    filter: str = "none"
    metrics: Sequence[str] | None = None
    doc_hash: str | None = None


def asked(line: Line) -> list[tuple[Json, Json]]:
    """Each request as (context, continuation or settings), in lm_eval's old and new form."""
    given = line.arguments
    found: list[tuple[Json, Json]] = []
    if isinstance(given, Mapping):
        for one in given.values():
            if isinstance(one, Mapping):
                found.append((one.get("arg_0"), one.get("arg_1")))
    elif isinstance(given, list | tuple):
        for one in given:
            if isinstance(one, list | tuple) and one:
                found.append((one[0], one[1] if len(one) > 1 else None))
    return found


def is_choice(line: Line) -> bool:
    """Whether an option is chosen by its probability: continuations are texts, settings are not."""
    requests = asked(line)
    return len(requests) > 1 and all(isinstance(text, str) for _, text in requests)


def prompt_of(line: Line) -> str:
    """What was asked. A chat is a list of messages in JSON there."""
    context = next((context for context, _ in asked(line)), None)
    text = plain_text(context) or ""
    if not text.startswith("["):
        return text
    try:
        messages = msgspec.json.decode(text)
    except ValueError:
        return text
    parts = list(_contents(messages))
    return "\n\n".join(parts) if parts else text


def _contents(messages: Json) -> Iterator[str]:
    for message in messages if isinstance(messages, list) else ():
        content = message.get("content") if isinstance(message, dict) else None
        if isinstance(content, str):
            yield content


def target_of(line: Line) -> Json:
    """What was expected: of a choice whose target is an index, the option."""
    if not is_choice(line):
        return line.target
    options = [str(text).strip() for _, text in asked(line)]
    try:
        place = int(str(line.target))
    except ValueError:
        return line.target
    option = options[place] if 0 <= place < len(options) else None
    doc = line.doc if isinstance(line.doc, Mapping) else {}
    return doc.get("target", line.target) if option is None or "{{" in option else option


def chosen(line: Line) -> str:
    """The text that was generated, or the likeliest of the options."""
    if not is_choice(line):
        return _text(line.resps)
    likely: list[tuple[float, str]] = []
    for (_, option), reply in zip(asked(line), line.resps, strict=False):
        value = _logprob(reply)
        if value is not None:
            likely.append((value, str(option).strip()))
    return max(likely, key=lambda one: one[0])[1] if likely else ""


def _text(replies: Json) -> str:
    while isinstance(replies, list | tuple):
        if not replies:
            return ""
        replies = replies[0]
    return plain_text(replies) or ""


def _logprob(reply: Json) -> float | None:
    """The first number of ``[["-1.5", "False"]]``."""
    try:
        return float(_text(reply))
    except ValueError:
        return None
