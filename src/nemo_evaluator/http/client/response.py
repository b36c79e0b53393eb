"""One response while it arrives: filled by its connection, read by the caller.

It lets go of its connection the moment it is whole, so the next request can have it. One that is
not read to its end must be closed, and takes its connection with it.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from typing import Protocol

from ..headers import Headers, Raw
from ..inflate import READABLE, EncodingError, Inflate, codings
from .clock import Clock
from .errors import BrokenOff, NetError, NotHttp, Stale

HELD_BYTES = 2**18
"""With more bytes that the caller has not read, the connection stops reading."""
MAX_BODY = 2**28
"""Bytes of one body, decompressed: whoever asks keeps all of them in memory."""


class Wire(Protocol):
    """The connection, as a response sees it."""

    def abort(self) -> None:
        """Close the connection now."""

    def pause(self) -> None:
        """Stop reading for now."""

    def resume(self) -> None:
        """Read again."""


class Response:
    """A response. ``status`` is 0 until its head has come."""

    __slots__ = (
        "_chunks",
        "_headers",
        "_held",
        "_idle",
        "_inflate",
        "_left",
        "_paused",
        "_raw",
        "_waiter",
        "clocks",
        "endless",
        "error",
        "status",
        "whole",
        "wire",
    )

    def __init__(
        self, *, whole: bool, clocks: Sequence[Clock] = (), idle: Clock | None = None
    ) -> None:
        self.status = 0
        self.whole = whole
        """The caller wants the body as a whole, not in parts."""
        self.error: NetError | None = None
        self.wire: Wire | None = None
        """The connection that the response still arrives on."""
        self.clocks = clocks
        self._idle = idle
        """Runs while no byte of an unfinished body arrives."""
        self.endless = False
        """The caller hands the body on as it comes, and does not keep it: it may have any size."""
        self._left = MAX_BODY
        self._raw: Raw = ()
        self._headers: Headers | None = None
        self._chunks: list[bytes] = []
        self._held = 0
        self._paused = False
        self._inflate: Inflate | None = None
        self._waiter: asyncio.Future[None] | None = None

    # -- for whoever asked ------------------------------------------------------------------------

    @property
    def headers(self) -> Headers:
        """The header fields."""
        if self._headers is None:
            self._headers = Headers(self._raw)
        return self._headers

    async def ready(self) -> None:
        """Wait for the head, or for the whole response if ``whole``. Raises NetError."""
        while self.error is None and (not self.status or (self.whole and self.wire is not None)):
            await self.changed()
        if self.error is not None:
            raise self.error

    async def read(self) -> bytes:
        """All of the body that has not been read yet. Raises NetError."""
        self.whole = True
        if self._paused:
            self._resume()
        await self.ready()
        return self._taken()

    async def read_some(self) -> bytes:
        """What has come since the last time, at least a byte; nothing at the end.

        Raises NetError, after what had come before it.
        """
        while not self._chunks:
            if self.error is not None:
                raise self.error
            if self.wire is None:
                return b""
            await self.changed()
        if self._paused:
            self._resume()
        return self._taken()

    async def pieces(self) -> AsyncIterator[bytes]:
        """The body as it comes. Raises NetError."""
        while chunk := await self.read_some():
            yield chunk

    def close(self) -> None:
        """Close the connection unless the response is complete. Safe to call twice."""
        self._stop_clocks()
        if self.wire is not None:
            wire, self.wire = self.wire, None
            wire.abort()

    async def changed(self) -> None:
        """Wait for a change. Cancelling the wait closes the response."""
        waiter = self._waiter = asyncio.get_running_loop().create_future()
        try:
            await waiter
        except BaseException:
            self.close()
            raise
        finally:
            self._waiter = None

    def _taken(self) -> bytes:
        chunks = self._chunks
        data = chunks[0] if len(chunks) == 1 else b"".join(chunks)
        self._chunks, self._held = [], 0
        return data

    def _resume(self) -> None:
        self._paused = False
        if self.wire is not None:
            self.wire.resume()
            self.stalls()

    # -- for its connection -----------------------------------------------------------------------

    def begin(self, status: int, raw: Raw) -> None:
        """Take the head. Raises NotHttp for an encoding that was not requested."""
        self._raw = raw
        for name, value in raw:
            if len(name) == 16 and name.lower() == b"content-encoding":
                self._inflate = _inflate(value.decode("latin-1"))
        self.status = status

    def add(self, chunk: bytes) -> None:
        """A piece of the body. Raises NotHttp if it is not encoded as the head says, or is one
        piece too much."""
        if self._inflate is not None:
            try:
                chunk = self._inflate(chunk)
            except EncodingError as error:
                raise NotHttp(f"the body of the response {error}") from None
        size = len(chunk)
        self._left -= size
        if self._left < 0 and not self.endless:
            self._chunks.clear()  # now: who keeps the error may keep this response
            raise NotHttp(f"the body of the response is larger than {MAX_BODY >> 20} MB")
        self._chunks.append(chunk)
        self._held += size

    def stalls(self) -> None:
        """Start the limit of silence: the peer neither takes nor sends anything."""
        if self._idle is not None:
            self._idle.restart(self)

    def goes_on(self) -> None:
        """Stop the limit of silence: it is not the peer that we wait for."""
        if self._idle is not None:
            self._idle.stop(self)

    def arrived(self) -> None:
        """Called after each read that does not end the response."""
        self.stalls()
        if self.whole:
            return
        self.wake()
        if self._held > HELD_BYTES and not self._paused and self.wire is not None:
            self._paused = True
            self.wire.pause()
            self.goes_on()

    def end(self) -> None:
        """The response is complete; its connection is free for other requests."""
        if self._paused:
            self._resume()
        self.wire = None
        if self._inflate is not None:
            try:
                self._chunks += filter(None, [self._inflate.close()])
            except EncodingError as error:
                self.error = BrokenOff(f"the response {error}")
        self._stop_clocks()
        self.wake()

    def fail(self, error: NetError) -> None:
        """The response will never be complete."""
        self.error = error
        if not isinstance(error, Stale):
            self.close()
        self.wire = None
        self.wake()

    def wake(self) -> None:
        """Let the waiting reader check again."""
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    def _stop_clocks(self) -> None:
        for clock in self.clocks:
            clock.stop(self)
        self.goes_on()


def _inflate(content_encoding: str) -> Inflate | None:
    """What decompresses the body; None for a plain one. Raises NotHttp for what we cannot read."""
    found = codings(content_encoding)
    if not found:
        return None
    if len(found) == 1 and found[0] in READABLE:
        return Inflate(found[0])
    raise NotHttp(
        f"the response is encoded as {', '.join(found)!r}, which was not requested. Only gzip"
        " and deflate can be decoded: switch the compression off at the server or gateway"
    )
