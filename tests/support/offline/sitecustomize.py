"""Put first on PYTHONPATH by the tests: no process of theirs may talk beyond loopback."""

from __future__ import annotations

import ipaddress
import socket
from typing import Any


class BeyondLoopbackError(OSError):
    """A test tried to reach the network."""


def _check(address: Any) -> None:
    host = address[0] if isinstance(address, tuple) else None
    if not host or host in ("localhost", "localhost.localdomain"):
        return
    try:
        is_loopback = ipaddress.ip_address(host.split("%")[0]).is_loopback
    except ValueError:
        is_loopback = False
    if not is_loopback:
        raise BeyondLoopbackError(f"{host} is beyond loopback")


def block() -> None:
    """Refuse connections and look-ups of anything but this machine."""
    connect, connect_ex = socket.socket.connect, socket.socket.connect_ex
    getaddrinfo = socket.getaddrinfo

    def guarded_connect(self: socket.socket, address: Any) -> None:
        _check(address)
        connect(self, address)

    def guarded_connect_ex(self: socket.socket, address: Any) -> int:
        _check(address)
        return connect_ex(self, address)

    def guarded_getaddrinfo(host: Any, *rest: Any, **options: Any) -> Any:
        if isinstance(host, str):
            try:
                _check((host,))
            except BeyondLoopbackError as error:
                raise socket.gaierror(socket.EAI_NONAME, str(error)) from None
        return getaddrinfo(host, *rest, **options)

    socket.socket.connect = guarded_connect  # type: ignore[method-assign]
    socket.socket.connect_ex = guarded_connect_ex  # type: ignore[method-assign]
    socket.getaddrinfo = guarded_getaddrinfo


block()
