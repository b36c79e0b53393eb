"""A stream on its way to the caller: passed on as it comes, and accumulated beside it.

Chunks go through untouched unless a filter wants to change events. An ``error`` event and a stream
that breaks off are failures, never answers.
"""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator, Callable, Iterable, Sequence
from contextlib import aclosing
from typing import Any

from ..types import Failure
from .dialects import DIALECTS
from .dialects.contract import Accumulator, UnknownShape, stream_error
from .errors import TransportError
from .retry import error_message
from .sse import SseParser, encode_event
from .types import EventFilter, ModelRequest, ModelResponse

DONE = b"data: [DONE]\n\n"


async def relay(
    chunks: AsyncGenerator[bytes],
    request: ModelRequest,
    response: ModelResponse,
    filters: Sequence[EventFilter],
    started: float,
) -> AsyncGenerator[bytes]:
    """The chunks for the caller; fills ``response.body`` and ``ttft_ms`` once exhausted.

    ``started`` is a ``time.perf_counter()`` value. Raises TransportError for a broken stream.
    """
    dialect = DIALECTS[request.protocol]
    accumulator, parser = dialect.accumulator(), SseParser()

    def read(parse: Callable[..., list[dict[str, Any]]], *data: bytes) -> list[dict[str, Any]]:
        """The events that are complete now, added up."""
        events = _parsed(parse, *data)
        for event in events:
            if (error := stream_error(event)) is not None:
                raise TransportError(Failure.SERVER_ERROR, error_message(error))
            if _added(accumulator, event) and response.ttft_ms is None:
                response.ttft_ms = (time.perf_counter() - started) * 1000
        return events

    async with aclosing(chunks):
        async for chunk in chunks:
            events = read(parser.feed, chunk)
            if not filters:
                yield chunk
            elif data := _encoded(_filtered(events, filters), dialect.named_events):
                yield data
    last = read(parser.close)  # some servers send no empty line after it
    body = accumulator.body(parser.done)
    if body is None:
        raise TransportError(Failure.CONNECTION, "the stream ended before the answer did")
    response.body = body
    if filters:
        left = _filtered(last, filters) + _closed(filters)
        yield _encoded(left, dialect.named_events) + (DONE if parser.done else b"")


def _parsed(parse: Callable[..., list[dict[str, Any]]], *data: bytes) -> list[dict[str, Any]]:
    try:
        return parse(*data)
    except ValueError:
        message = "an event of the stream is not JSON"
        raise TransportError(Failure.INVALID_RESPONSE, message) from None


def _added(accumulator: Accumulator, event: dict[str, Any]) -> bool:
    try:
        return accumulator.add(event)
    except UnknownShape as error:
        raise TransportError(Failure.INVALID_RESPONSE, str(error)) from None


def _filtered(
    events: Iterable[dict[str, Any]], filters: Sequence[EventFilter]
) -> list[dict[str, object]]:
    passing = list(events)
    for step in filters:
        passing = [changed for event in passing for changed in step.feed(event)]
    return passing


def _closed(filters: Sequence[EventFilter]) -> list[dict[str, object]]:
    """What the filters still hold, each through those after it."""
    left: list[dict[str, Any]] = []
    for index, step in enumerate(filters):
        left += _filtered(step.close(), filters[index + 1 :])
    return left


def _encoded(events: Iterable[dict[str, object]], named: bool) -> bytes:
    return b"".join(encode_event(event, named=named) for event in events)
