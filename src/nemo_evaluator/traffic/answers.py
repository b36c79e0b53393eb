"""Bodies of answers: one JSON object, or server-sent events.

Which of the two a body is, its first bytes say, not its content type and not what was asked for:
servers are wrong about the type, and an answer that was paid for must be read. Whatever is neither
is a ``TransportError``, never an empty answer.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable
from typing import Any

from ..http.client.errors import NetError
from ..http.client.response import Response
from ..types import Failure
from .dialects import DIALECTS
from .dialects.contract import UnknownShape, stream_error
from .errors import NOT_JSON, TransportError
from .sse import SseParser
from .types import ModelResponse
from .wire import decode

SHOWN_CHARS = 80
READ_CHARS = 2000
GRACE_SECONDS = 0.5
EVENT_STREAM = "text/event-stream"
BLANK = b"\xef\xbb\xbf \t\r\n"
"""What may stand before the first byte of an answer: a byte order mark, empty lines that keep a
connection alive."""
FIELDS = (b"data:", b"event:", b"id:", b"retry:", b":")
BROKEN = "the stream broke off, or an event of it is not JSON"
ENDED = "the stream ended before the answer did"


async def first_bytes(response: Response) -> bytes:
    """The body up to its first piece that says something. Raises NetError."""
    begun = b""
    while chunk := await response.read_some():
        begun += chunk
        if chunk.strip(BLANK):
            break
    return begun


def is_events(begun: bytes, content_type: str = "") -> bool:
    """Whether a body that begins so is an event stream."""
    head = begun.lstrip(BLANK)[:8]
    if head.startswith(FIELDS):
        return True
    named = content_type.strip().lower().startswith(EVENT_STREAM)
    return named and not head.startswith((b"{", b"["))


def parse_body(data: bytes, status: int, protocol: str) -> dict[str, object]:
    """The JSON object of a whole body. Raises TransportError for the body of a success that is
    neither JSON nor a complete event stream."""
    try:
        body = decode(data)
    except ValueError:
        body = None
    if isinstance(body, dict):
        return body
    success = 200 <= status < 300
    if success and body is None and is_events(data):
        reader = EventReader(protocol, time.perf_counter())
        return reader.feed(data) or reader.end()
    text = data[:READ_CHARS].decode(errors="replace")
    if success:
        message = f"the response is not a JSON object: {text[:SHOWN_CHARS]!r}"
        raise TransportError(Failure.INVALID_RESPONSE, message)
    return {"error": {"message": text, "type": NOT_JSON}}


class EventReader:
    """Accumulates the events of one stream into the body they stand for."""

    def __init__(self, protocol: str, started: float) -> None:
        self._dialect = DIALECTS[protocol]
        self._accumulator = self._dialect.accumulator()
        self._parser = SseParser()
        self._started = started
        self.ttft_ms: float | None = None
        """Milliseconds from ``started`` (of ``time.perf_counter()``) to the first content."""

    @property
    def is_done(self) -> bool:
        """Whether the end mark came: nothing of use follows."""
        return self._parser.done or (self._dialect.named_events and self.is_answered)

    @property
    def is_answered(self) -> bool:
        """Whether every choice has come to its end."""
        return self._accumulator.body(False) is not None

    def feed(self, chunk: bytes) -> dict[str, object] | None:
        """Take a piece; an error body ends the stream. Raises TransportError."""
        return self._take(self._parser.feed, chunk)

    def end(self) -> dict[str, Any]:
        """The whole body. Raises TransportError if the stream broke off."""
        error = self._take(self._parser.close)
        body = error or self._accumulator.body(self._parser.done)
        if body is None:
            raise TransportError(Failure.CONNECTION, ENDED)
        return body

    def _take(
        self, parse: Callable[..., list[dict[str, Any]]], *data: bytes
    ) -> dict[str, Any] | None:
        try:
            for event in parse(*data):
                if (error := stream_error(event)) is not None:
                    return error
                if self._accumulator.add(event) and self.ttft_ms is None:
                    self.ttft_ms = (time.perf_counter() - self._started) * 1000
        except UnknownShape as shape:
            raise TransportError(Failure.INVALID_RESPONSE, str(shape)) from None
        except ValueError:
            raise TransportError(Failure.INVALID_RESPONSE, BROKEN) from None
        return None


async def read_events(
    response: Response, begun: bytes, protocol: str, started: float
) -> ModelResponse:
    """The answer that a stream is, ``begun`` its first bytes. Raises TransportError and NetError.

    What happens to the connection once every choice has come to its end does not matter: the
    answer is there, and another one would have to be paid for.
    """
    reader = EventReader(protocol, started)
    try:
        error = reader.feed(begun)
        while error is None and not reader.is_done and (chunk := await response.read_some()):
            error = reader.feed(chunk)
        if error is None and response.wire is not None:
            await _drain(response)
    except NetError:
        if not reader.is_answered:
            raise
        error = None
    finally:
        response.close()
    return ModelResponse(
        status=200,
        body=error or reader.end(),
        headers=response.headers,
        latency_ms=(time.perf_counter() - started) * 1000,
        ttft_ms=reader.ttft_ms,
    )


async def _drain(response: Response) -> None:
    """What follows the end mark, so that the connection can be used again; not for long."""
    with contextlib.suppress(TimeoutError, NetError):
        async with asyncio.timeout(GRACE_SECONDS):
            while await response.read_some():
                pass


async def first_event(response: Response, begun: bytes) -> tuple[bytes, dict[str, Any] | None]:
    """The bytes of a stream up to its first event, and the error body if that is one: until then
    the request can still be tried again. Raises TransportError and NetError."""
    parser, seen = SseParser(), bytearray(begun)
    try:
        events = parser.feed(begun)
        while not (events or parser.done) and (chunk := await response.read_some()):
            seen += chunk
            events = parser.feed(chunk)
    except ValueError:
        message = "the first event of the stream is not JSON"
        raise TransportError(Failure.INVALID_RESPONSE, message) from None
    if not events:
        raise TransportError(Failure.CONNECTION, ENDED)
    return bytes(seen.lstrip(BLANK)), stream_error(events[0])
