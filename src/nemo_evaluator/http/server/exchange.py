"""One request and its response: what an ASGI application receives, and what it sends.

The head of a response is written with its first piece, so an application that fails before has
sent nothing. A response of one piece has a Content-Length; one of several is sent in chunks, or up
to the end of the connection where the client does not know chunks.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Protocol

from ..asgi import ABORT, CANCEL, Message
from ..headers import field_lines
from .messages import CONTINUE, Incoming, is_bodiless, known_fields, now, opening

DISCONNECT = {"type": "http.disconnect"}
_CLOSE, _KEEP = b"connection: close\r\n", b"connection: keep-alive\r\n"
_CHUNKED = b"transfer-encoding: chunked\r\n"


class Wire(Protocol):
    """The connection of an exchange."""

    is_lost: bool

    def write(self, data: bytes) -> None:
        """Send now."""

    def hold(self, data: bytes) -> None:
        """Send at the end of the event loop's turn."""

    async def written(self, data: bytes) -> None:
        """Send as fast as the client reads. Raises ConnectionResetError if the client has left."""

    def flush(self) -> None:
        """Send the bytes that are held back."""

    def keeps(self, incoming: Incoming) -> bool:
        """Whether the connection may stay open after the response to a request."""

    def asked(self) -> None:
        """The application waits for the body."""

    def taken(self) -> None:
        """The application has taken the bytes of the body that have arrived."""

    def abort(self) -> None:
        """Close now, without an orderly end."""


class UnsendableError(ValueError):
    """The application's response cannot be sent."""


class Exchange:
    """``receive`` and ``send`` of one request."""

    cancels = False
    """The application is to be cancelled if the client leaves."""
    has_begun = False
    """The head of the response is written."""
    is_complete = False
    """All of the response is written."""
    is_over = False
    """The client has left or was refused: nothing more is received or sent."""
    keep = False
    """The response's head promised that the connection stays open."""
    _waiter: asyncio.Future[None] | None = None
    _taken = _continued = False
    _status = 0
    _fields: bytes = b""
    _said: Mapping[bytes, bytes] = {}
    _chunked = _mute = False
    _left: int | None = None

    def __init__(self, incoming: Incoming, wire: Wire) -> None:
        self.incoming, self._wire = incoming, wire

    # -- for the connection -----------------------------------------------------------------------

    def changed(self) -> None:
        """More of the body has come, or the exchange is over."""
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    def end(self) -> None:
        """Nothing more is received or sent."""
        self.is_over = True
        self.changed()

    def respond(self, start: Message, body: Message) -> None:
        """Send a response of the server's own. Nothing of another must have been written."""
        self._status = 0
        self._start(start)
        self._write_whole(body["body"])

    # -- for the application ----------------------------------------------------------------------

    async def receive(self) -> Message:
        """The next piece of the body; after the last, that the client has left."""
        incoming = self.incoming
        while not self.is_over:
            if not self._taken and (incoming.pieces or incoming.is_whole):
                body, self._taken = incoming.taken(), incoming.is_whole
                self._wire.taken()
                return {"type": "http.request", "body": body, "more_body": not self._taken}
            if self.is_complete:
                break
            if not self._taken:
                if not (self._continued or self.has_begun) and incoming.expects_continue:
                    self._wire.write(CONTINUE)
                self._continued = True
                self._wire.asked()
            self._waiter = asyncio.get_running_loop().create_future()
            await self._waiter
        return DISCONNECT

    async def send(self, message: Message) -> None:
        """Take a message of the application. Raises ConnectionResetError if the client has left,
        UnsendableError for a head that cannot be sent, RuntimeError for messages out of order."""
        kind = message["type"]
        if kind == "http.response.start":
            self._start(message)
        elif kind == "http.response.body":
            await self._body(message.get("body", b""), message.get("more_body", False))
        elif kind == CANCEL:
            self.cancels = True
        elif kind == ABORT:
            self.end()
            self._wire.flush()
            self._wire.abort()
        else:
            raise RuntimeError(f"this server does not know the message {kind!r}")

    def _start(self, message: Message) -> None:
        if self._status:
            raise RuntimeError("the response was started already")
        status = int(message["status"])
        fields, self._said = known_fields(message.get("headers", ()))
        try:
            self._fields = field_lines(fields)
        except ValueError as error:
            raise UnsendableError(str(error)) from None
        self._status = status

    async def _body(self, data: bytes, more: bool) -> None:
        if not self._status or self.is_complete:
            raise RuntimeError("a body must come after the start of a response, and before its end")
        if self.is_over:
            raise ConnectionResetError("the client disconnected")
        if not self.has_begun:
            if not more:
                self._write_whole(data)
                return
            head, self.has_begun = self._head(None), True
            await self._wire.written(head)
        if data and not self._mute:
            await self._wire.written(self._framed(data))
        if not more:
            self._finish()

    def _write_whole(self, data: bytes) -> None:
        head = self._head(len(data))
        if self._mute:
            data = b""
        elif self._left != len(data):
            raise RuntimeError("the body is not as long as its Content-Length")
        self.has_begun = self.is_complete = True
        self._wire.write(head + data)
        self.changed()

    def _finish(self) -> None:
        self.is_complete = True
        if self._left and not self._mute:
            self._wire.abort()
            raise RuntimeError("the body is shorter than its Content-Length")
        if self._chunked:
            self._wire.hold(b"0\r\n\r\n")
        self._wire.flush()
        self.changed()

    def _framed(self, data: bytes) -> bytes:
        if self._chunked:
            return b"%x\r\n%b\r\n" % (len(data), data)
        if self._left is not None:
            self._left -= len(data)
            if self._left < 0:
                self._wire.abort()
                raise RuntimeError("the body is longer than its Content-Length")
        return data

    def _head(self, size: int | None) -> bytes:
        """Status line and fields. ``size``: the length of a body that is sent as a whole."""
        incoming, written = self.incoming, self._said
        self._mute = incoming.method == "HEAD" or is_bodiless(self._status)
        length = written.get(b"content-length")
        framing = b""
        if is_bodiless(self._status):
            pass
        elif length is not None or size is not None:
            length = b"%d" % (size or 0) if length is None else length
            framing = b"content-length: %b\r\n" % length
            self._left = int(length)
        elif not (self._mute or incoming.is_old):
            self._chunked, framing = True, _CHUNKED
        ends = bool(framing) or self._mute
        closes = written.get(b"connection", b"").lower() == b"close"
        self.keep = ends and not closes and self._wire.keeps(incoming)
        connection = (_KEEP if incoming.is_old else b"") if self.keep else _CLOSE
        start = opening(self._status, now(), b"date" in written)
        return b"".join((start, connection, framing, self._fields, b"\r\n"))
