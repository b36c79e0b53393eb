"""A socket that listens already, and the address at which its clients find it."""

from __future__ import annotations

import socket
from typing import NamedTuple


class Listener(NamedTuple):
    """Whoever makes one closes it, or hands it to a server that does."""

    socket: socket.socket
    host: str
    port: int
    """As its clients see them, who may be in another network, or behind a relay."""

    def close(self) -> None:
        """Listen no more."""
        self.socket.close()
