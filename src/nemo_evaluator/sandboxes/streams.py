"""Output of untrusted programs: the beginning is kept, the rest is read slowly and dropped.

Dropping at a bounded rate keeps a program that prints without end from filling memory or from
taking the event loop for itself, and lets one that merely prints much come to its end.
"""

from __future__ import annotations

import asyncio
from typing import Protocol

CHUNK = 1 << 16
PAUSE = 0.002
"""Seconds to rest after dropping a chunk, or so many pieces: at most 32 MB/s, and little CPU."""
PIECES = 256


class Reader(Protocol):
    """What `Kept.drain` needs of a stream."""

    async def read(self, n: int = -1, /) -> bytes: ...  # noqa: D102


class Kept:
    """The first ``limit`` bytes of a stream, and whether there were more."""

    __slots__ = ("_burden", "data", "limit", "truncated")

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.data = bytearray()
        self.truncated = False
        self._burden = 0.0

    async def take(self, chunk: bytes) -> None:
        """Keep what still fits; dwell on what does not."""
        room = self.limit - len(self.data)
        self.data += chunk[:room]
        if len(chunk) <= room:
            return
        self.truncated = True
        self._burden += max(len(chunk) / CHUNK, 1 / PIECES)
        if self._burden >= 1:
            self._burden = 0.0
            await asyncio.sleep(PAUSE)

    async def drain(self, reader: Reader) -> None:
        """Read a stream to its end."""
        while chunk := await reader.read(CHUNK):
            await self.take(chunk)

    @property
    def text(self) -> str:
        """What was kept, as UTF-8 with replacement characters."""
        return self.data.decode("utf-8", "replace")
