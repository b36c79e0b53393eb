"""Looks up the addresses of one host: one look-up at a time for all callers, kept for a while.

A failed look-up is not kept. An address list that led nowhere is to be forgotten by whoever found
that out, so that the next connection asks again.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Sequence
from typing import Any

Address = tuple[int, int, int, str, Any]
"""An address in the form of ``getaddrinfo``."""
KEEP_SECONDS = 30.0
"""Short against the life of a name that moves, long against a burst of connections."""


class Names:
    """The addresses of a host and port. Belongs to the event loop it is first used in."""

    def __init__(self, host: str, port: int) -> None:
        self._host, self._port = host, port
        self._found: Sequence[Address] = ()
        self._until = 0.0
        self._looking: asyncio.Task[Sequence[Address]] | None = None

    async def addresses(self) -> Sequence[Address]:
        """The addresses, the resolver's favourite first. Raises OSError."""
        loop = asyncio.get_running_loop()
        if self._found and loop.time() < self._until:
            return self._found
        if self._looking is None:
            self._looking = loop.create_task(self._look_up())
            self._looking.add_done_callback(self._done)
        # Shielded: who gives up must not take the answer from the others.
        return await asyncio.shield(self._looking)

    def prefer(self, where: object) -> None:
        """Note that an address answered: the next connection tries it first."""
        if self._found and not _is_at(self._found[0], where):
            self._found = sorted(self._found, key=lambda address: not _is_at(address, where))

    def forget(self) -> None:
        """Look the name up again next time."""
        self._found = ()

    async def _look_up(self) -> Sequence[Address]:
        loop = asyncio.get_running_loop()
        return await loop.getaddrinfo(self._host, self._port, type=socket.SOCK_STREAM)

    def _done(self, task: asyncio.Task[Sequence[Address]]) -> None:
        self._looking = None
        if not task.cancelled() and task.exception() is None:
            self._found = task.result()
            self._until = asyncio.get_running_loop().time() + KEEP_SECONDS


def _is_at(address: Address, where: Any) -> bool:
    return bool(address[4][:2] == where[:2])
