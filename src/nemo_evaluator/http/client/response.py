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
"""A consumer that is so far behind stops the reading from its connection."""


class Wire(Protocol):
    """What a response needs of its connection."""

    def abort(self) -> None:
        """Close it now."""

    def pause(self) -> None:
        """Read no more for now."""

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
        "_paused",
        "_raw",
        "_waiter",
        "clocks",
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
        """The connection it still comes from."""
        self.clocks = clocks
        self._idle = idle
        """Counts while the rest of the body is to come and nothing does."""
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
        """Until the head is there, or all of it where that is wanted. Raises NetError."""
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
        """What has not come by now is not wanted: the connection is closed. Safe to call twice."""
        self._stop_clocks()
        if self.wire is not None:
            wire, self.wire = self.wire, None
            wire.abort()

    async def changed(self) -> None:
        """Until something has happened. Whoever is cancelled here wants no more of it."""
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
        """A piece of the body. Raises NotHttp if it is not encoded as the head says."""
        if self._inflate is not None:
            try:
                chunk = self._inflate(chunk)
            except EncodingError as error:
                raise NotHttp(f"the body of the response {error}") from None
        self._chunks.append(chunk)
        self._held += len(chunk)

    def stalls(self) -> None:
        """From now on the peer takes or sends nothing, and may do so for a limited time only."""
        if self._idle is not None:
            self._idle.restart(self)

    def goes_on(self) -> None:
        """Whatever comes next may take its time."""
        if self._idle is not None:
            self._idle.stop(self)

    def arrived(self) -> None:
        """All of one read has been added, and it was not the last."""
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
