"""Embeddings (``POST /embeddings``): counted and cached; no solver asks for them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from ...errors import ConfigError
from .contract import Question, Reply, as_str, parse_usage


def build(question: Question) -> dict[str, Any]:
    """Raises ConfigError: a question has no answer here."""
    raise ConfigError("an embeddings endpoint gives no answers", hint="use another protocol")


def has_answer(body: dict[str, Any]) -> bool:
    """Whether there are embeddings."""
    return isinstance(body.get("data"), list)


def parse(body: dict[str, Any]) -> Reply:
    """Usage and model; there is no text."""
    usage = parse_usage(body.get("usage"))
    return Reply("", None, None, usage, as_str(body.get("model")))


def events(body: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """The body itself: embeddings are never streamed."""
    yield body


class Accumulator:
    """The last event."""

    def __init__(self) -> None:
        self._body: dict[str, object] | None = None

    def add(self, event: dict[str, Any]) -> bool:
        """Take one event."""
        self._body = event
        return False

    def body(self, done: bool) -> dict[str, Any] | None:
        """What came last."""
        return self._body
