"""Output of untrusted programs: a part is kept, the rest is read slowly and dropped.

Of a command that runs to its end the beginning is kept (`Kept`), of one that runs on the end
(`Flow`). Dropping at a bounded rate keeps a program that prints without end from filling memory or
from taking the event loop for itself, and lets one that merely prints much come to its end.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Protocol

CHUNK = 1 << 16
PAUSE = 0.002
"""Seconds to rest after dropping a chunk, or this many pieces: at most 32 MB/s, and little CPU."""
PIECES = 256


class Reader(Protocol):
    """What `Kept.drain` needs of a stream."""

    async def read(self, n: int = -1, /) -> bytes: ...  # noqa: D102


class Taker(Protocol):
    """What takes a program's output."""

    async def take(self, chunk: bytes) -> None: ...  # noqa: D102


async def drain(reader: Reader, taker: Taker) -> None:
    """Read a stream to its end."""
    while chunk := await reader.read(CHUNK):
        await taker.take(chunk)


class _Slowly:
    """Rests now and then from dropping output."""

    __slots__ = ("_burden",)

    def __init__(self) -> None:
        self._burden = 0.0

    async def dropped(self, size: int) -> None:
        """Dwell on this many bytes that are not kept."""
        self._burden += max(size / CHUNK, 1 / PIECES)
        if self._burden >= 1:
            self._burden = 0.0
            await asyncio.sleep(PAUSE)


class Kept:
    """The first ``limit`` bytes of a stream, and whether there were more."""

    __slots__ = ("_slowly", "data", "limit", "truncated")

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.data = bytearray()
        self.truncated = False
        self._slowly = _Slowly()

    async def take(self, chunk: bytes) -> None:
        """Keep what still fits; dwell on what does not."""
        room = self.limit - len(self.data)
        self.data += chunk[:room]
        if len(chunk) > room:
            self.truncated = True
            await self._slowly.dropped(len(chunk))

    @property
    def text(self) -> str:
        """What was kept, as UTF-8 with replacement characters."""
        return self.data.decode("utf-8", "replace")


class Flow:
    """The last ``limit`` bytes of a stream that goes on; see `Output`."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._data = bytearray()
        self._dropped = 0
        self._ended = False
        self._moved = asyncio.Event()
        self._slowly = _Slowly()

    async def take(self, chunk: bytes) -> None:
        """Keep a chunk; dwell on what is dropped for it."""
        self._data += chunk
        self._move()
        if (excess := len(self._data) - self._limit) > 0:
            del self._data[:excess]
            self._dropped += excess
            await self._slowly.dropped(excess)

    def end(self) -> None:
        """Nothing more comes."""
        self._ended = True
        self._move()

    @property
    def text(self) -> str:
        """See `Output.text`."""
        return self._data.decode("utf-8", "replace")

    async def __aiter__(self) -> AsyncIterator[bytes]:
        at = self._dropped
        while True:
            moved = self._moved
            at = max(at, self._dropped)
            if chunk := bytes(self._data[at - self._dropped :]):
                at += len(chunk)
                yield chunk
            elif self._ended:
                return
            else:
                await moved.wait()

    def _move(self) -> None:
        """Wake those that follow. Each waits for an event of its own time: none is missed."""
        self._moved.set()
        self._moved = asyncio.Event()
