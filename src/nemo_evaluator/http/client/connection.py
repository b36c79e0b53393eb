"""One connection, one request at a time; llhttp reads what comes back.

A connection is idle, busy with one response, or lost; it tells its pool of the first and the last.
Where exactly a message ends decides whether it may be used again: anything left over, and any end
that is only the end of the connection, forbids it.
"""

from __future__ import annotations

import asyncio
from typing import Protocol, cast

from httptools import HttpParserError, HttpParserUpgrade, HttpResponseParser

from .errors import (
    CLIENT_CERTIFICATE,
    BrokenOff,
    CannotConnect,
    NetError,
    NotHttp,
    Stale,
    advice,
    cause,
    wants_certificate,
)
from .response import Response

MAX_HEAD = 2**16
"""Bytes of status lines and headers of one response."""
STALE_SECONDS = 1.0
"""A kept connection that ends so soon after a request, without a byte, was closed before it."""
PIECE = 2**18
"""A longer body is written in pieces of this many bytes, as fast as the peer takes them."""


class Owner(Protocol):
    """Callbacks from a connection to its pool."""

    def idle(self, connection: Connection) -> None:
        """The connection can take the next request."""

    def lost(self, connection: Connection) -> None:
        """The connection is closed."""


class Connection(asyncio.Protocol):
    """One connection of a pool."""

    __slots__ = (
        "_bodiless",
        "_complete",
        "_fields",
        "_keep",
        "_owner",
        "_parser",
        "_received",
        "_response",
        "_sending",
        "_sent_at",
        "_transport",
        "_unwritten",
        "_writable",
        "idle_since",
        "is_lost",
        "served",
    )

    def __init__(self, owner: Owner) -> None:
        self.is_lost = False
        self.idle_since = 0.0
        """``loop.time()`` of the last response's end."""
        self.served = 0
        """Whole responses so far."""
        self._owner = owner
        self._parser = HttpResponseParser(self)
        self._parser.set_dangerous_leniencies(  # two harmless habits of real servers
            lenient_optional_cr_before_lf=True, lenient_spaces_after_chunk_size=True
        )
        self._transport: asyncio.Transport | None = None
        self._response: Response | None = None
        self._fields: list[tuple[bytes, bytes]] = []
        self._received = 0
        self._sent_at = 0.0
        self._complete = self._keep = self._bodiless = False
        self._sending = self._unwritten = False
        self._writable = True

    async def exchange(
        self, response: Response, head: bytes, body: bytes, *, bodiless: bool = False
    ) -> None:
        """Send a request and fill the response, until ``response.ready()``. Raises NetError;
        Stale if this is a used connection that had been closed meanwhile."""
        transport = self._transport
        if transport is None or self.is_lost or transport.is_closing():
            self.abort()
            if self.served:
                raise Stale("the connection was closed")
            raise BrokenOff("the connection was closed before an answer came")
        self._response, response.wire = response, self
        self._bodiless = bodiless
        self._sent_at = asyncio.get_running_loop().time()
        if len(body) <= PIECE:
            transport.write(head + body)
            if transport.is_closing():
                self._unwritten = True
        else:
            await self._write_pieces(transport, response, head, memoryview(body))
        await response.ready()

    async def _write_pieces(
        self, transport: asyncio.Transport, response: Response, head: bytes, body: memoryview
    ) -> None:
        """Write as fast as the peer reads, and stop once the whole response has arrived: a server
        that refuses a request need not read it."""
        self._sending = True
        transport.write(head)
        for start in range(0, len(body), PIECE):
            while not self._writable and self._response is response:
                response.stalls()
                await response.changed()
            if self._response is not response:
                return
            response.goes_on()
            transport.write(body[start : start + PIECE])
        self._sending = False

    def abort(self) -> None:
        """Close the connection now. An unfinished response is dropped without an error."""
        if not self.is_lost:
            self.is_lost = True
            self._response = None
            self._parser = _NO_PARSER
            if self._transport is not None:
                self._transport.abort()
            self._owner.lost(self)

    def close(self) -> None:
        """Close the connection now; a waiting response fails."""
        if self._response is not None:
            self._fail(self._response, BrokenOff("the connection was closed on our side"))
        self.abort()

    def pause(self) -> None:
        """Stop reading for now."""
        if self._transport is not None:
            self._transport.pause_reading()

    def resume(self) -> None:
        """Read again."""
        if self._transport is not None and not self.is_lost:
            self._transport.resume_reading()

    # -- asyncio ----------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Connected."""
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        """Bytes from the peer."""
        response = self._response
        if response is None:  # no request is open
            self.abort()
            return
        self._received += len(data)
        try:
            self._parser.feed_data(data)
        except HttpParserUpgrade:
            self._fail(response, NotHttp("the response is not HTTP: it changes the protocol"))
            return
        except HttpParserError as error:
            if not self._complete:
                self._fail(response, _reason(error))
                return
            self._keep = False
        if self._complete:
            self._finish(response)
        elif response.status:
            response.arrived()
        elif self._received > MAX_HEAD:
            self._fail(response, _too_large())

    def eof_received(self) -> None:
        """The peer has closed its side, which ends a body that has neither a length nor chunks."""
        response = self._response
        if response is not None and response.status and _ends_with_connection(response):
            self._keep = False
            self._finish(response)

    def connection_lost(self, exc: Exception | None) -> None:
        """The connection is closed, by either side."""
        if (response := self._response) is not None:
            self._fail(response, self._loss(exc))
        else:
            self.abort()

    def pause_writing(self) -> None:
        """The peer is slow."""
        self._writable = False

    def resume_writing(self) -> None:
        """The peer has caught up."""
        self._writable = True
        if self._response is not None:
            self._response.wake()

    # -- httptools --------------------------------------------------------------------------------

    def on_header(self, name: bytes, value: bytes) -> None:
        """Take a header field. Trailer fields are ignored."""
        self._fields.append((name, value))

    def on_headers_complete(self) -> None:
        """The end of a head."""
        if self._received > MAX_HEAD:  # else it cannot be too large
            size = sum(len(name) + len(value) + 4 for name, value in self._fields)
            if size > MAX_HEAD:
                raise _too_large()
        status = self._parser.get_status_code()
        fields, self._fields = self._fields, []
        if status < 200:
            return
        if self._complete or self._response is None:
            raise NotHttp("more data than the request asked for")
        self._response.begin(status, fields)
        self._keep = self._parser.should_keep_alive()
        if self._bodiless:  # of which llhttp cannot know: it would wait for a body
            self._keep, self._complete = False, True

    def on_body(self, chunk: bytes) -> None:
        """A piece of the body."""
        if self._response is not None and not self._bodiless:
            self._response.add(chunk)

    def on_message_complete(self) -> None:
        """The end of a message; it may be an informational one (1xx)."""
        self._fields = []
        if self._response is not None and self._response.status:
            self._complete = True

    # -- ends -------------------------------------------------------------------------------------

    def _finish(self, response: Response) -> None:
        self._response = None
        self._complete = False
        self._received = 0
        self.served += 1
        response.end()
        if self._keep and not self._sending:
            self._owner.idle(self)
        else:
            self.abort()

    def _fail(self, response: Response, error: NetError) -> None:
        self._response = None
        response.fail(error)
        self.abort()

    def _loss(self, exc: Exception | None) -> NetError:
        why = f": {cause(exc)}" if exc is not None else ""
        if self._received:
            return BrokenOff(f"the response broke off{why or ': the connection was closed'}")
        if self.served and self._was_stale(exc):
            return Stale("the connection was closed before an answer came")
        if exc is not None and wants_certificate(exc):  # TLS 1.3 tells only after the handshake
            return CannotConnect(f"no TLS connection [{cause(exc)}]{advice(exc)}")
        if not self.served and self._is_tls() and self._ended_at_once():
            why += f" (right after the TLS handshake: perhaps {CLIENT_CERTIFICATE})"
        return BrokenOff(f"the connection was closed before an answer came{why}")

    def _is_tls(self) -> bool:
        return self._transport is not None and bool(self._transport.get_extra_info("sslcontext"))

    def _ended_at_once(self) -> bool:
        return asyncio.get_running_loop().time() - self._sent_at < STALE_SECONDS

    def _was_stale(self, exc: Exception | None) -> bool:
        """Whether the peer had closed the connection before it could read the request.

        Its reset or end comes within a round trip then. A peer that begins to answer and gives up
        takes longer, and is not taken for one.
        """
        return self._unwritten or isinstance(exc, BrokenPipeError) or self._ended_at_once()


_NO_PARSER = HttpResponseParser(None)
"""Put in place of a closed connection's parser: a parser refers to its connection, and the cycle
would delay freeing both."""


def _reason(error: HttpParserError) -> NetError:
    """The error that a callback of ours raised, or llhttp's complaint."""
    if isinstance(error.__context__, NetError):
        return error.__context__
    return NotHttp(f"the response is not HTTP: {' '.join(str(error).split())}")


def _too_large() -> NotHttp:
    return NotHttp(f"the response is not accepted: its headers are over {MAX_HEAD} bytes")


def _ends_with_connection(response: Response) -> bool:
    coding = response.headers.get("transfer-encoding")
    if coding is not None:
        return "chunked" not in coding.lower()
    return "content-length" not in response.headers
