"""Opens connections: names, sockets, the proxy's tunnel, TLS."""

from __future__ import annotations

import asyncio
import re
import socket
from collections.abc import Callable, Sequence
from itertools import chain, zip_longest
from typing import TYPE_CHECKING, TypeVar

from .errors import CLIENT_CERTIFICATE, CannotConnect, Late, Limit, advice, cause
from .names import Address, Names
from .origin import Origin
from .proxies import Proxy

if TYPE_CHECKING:
    from ssl import SSLContext

HEAD_START = 0.25
"""Seconds an address has before the next is tried beside it (RFC 8305 section 5)."""
PROBE_SECONDS = 60
"""Seconds of silence before a TCP keep-alive probe: a model may take minutes to answer, and routers
between us forget silent connections."""
PROBES = 6
"""After this number of keep-alive probes without an answer, the connection counts as lost."""
_END_OF_HEAD = re.compile(rb"\r?\n\r?\n")
MAX_ANSWER = 2**14
"""Most bytes of a proxy's answer to CONNECT."""

AnyProtocol = TypeVar("AnyProtocol", bound=asyncio.Protocol)


async def dial(
    origin: Origin,
    names: Names,
    factory: Callable[[], AnyProtocol],
    context: SSLContext | None,
    seconds: float | None,
) -> AnyProtocol:
    """A connection to the origin; ``names`` are those of its proxy, where it has one. Raises
    CannotConnect, or Late after this many seconds."""
    end = origin.proxy or origin
    timer = asyncio.timeout(seconds)
    try:
        async with timer:
            return await _dial(origin, names, factory, context)
    except OSError as error:  # also of names and TLS; a TimeoutError is either of two
        names.forget()
        if timer.expired():
            raise Late(Limit.CONNECT) from None
        via = f" over the proxy {end.host}:{end.port}" if isinstance(end, Proxy) else ""
        message = f"Cannot connect to host {origin.shown}{via} [{cause(error)}]{advice(error)}"
        raise CannotConnect(message) from None


async def _dial(
    origin: Origin, names: Names, factory: Callable[[], AnyProtocol], context: SSLContext | None
) -> AnyProtocol:
    loop = asyncio.get_running_loop()
    sock = await first_connected(_alternating(await names.addresses()))
    try:
        names.prefer(sock.getpeername())
        if origin.proxy is not None and context is not None:
            await _tunnel(loop, sock, origin, origin.proxy)
    except BaseException:
        sock.close()
        raise
    name = origin.host if context is not None else None
    try:
        _, protocol = await loop.create_connection(
            factory, sock=sock, ssl=context, server_hostname=name
        )
    except ConnectionError as error:  # many a server only hangs up
        hung_up = f"the server hung up in the TLS handshake: perhaps {CLIENT_CERTIFICATE}"
        raise OSError(hung_up) from error
    return protocol


async def first_connected(addresses: Sequence[Address]) -> socket.socket:
    """A socket of the first address that answers. Raises OSError, the last one's."""
    loop = asyncio.get_running_loop()
    if len(addresses) == 1:
        return await _connected(loop, addresses[0])
    left = list(reversed(addresses))
    running: set[asyncio.Task[socket.socket]] = set()
    error: BaseException = OSError("no address")
    try:
        while left or running:
            if left:
                running.add(loop.create_task(_connected(loop, left.pop())))
            done, _ = await asyncio.wait(
                running,
                timeout=HEAD_START if left else None,
                return_when=asyncio.FIRST_COMPLETED,
            )
            for task in done:
                running.discard(task)
                failed = task.exception()
                if failed is None:
                    return task.result()
                error = failed
        raise error
    finally:
        for task in running:
            task.cancel()
            task.add_done_callback(_close_late)


def _close_late(task: asyncio.Task[socket.socket]) -> None:
    """Close a connection that came after another address had answered, or after its caller was
    cancelled."""
    if not task.cancelled() and task.exception() is None:
        task.result().close()


async def _connected(loop: asyncio.AbstractEventLoop, address: Address) -> socket.socket:
    family, kind, protocol, _, where = address
    sock = socket.socket(family, kind, protocol)
    try:
        sock.setblocking(False)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        if hasattr(socket, "TCP_KEEPIDLE"):
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, PROBE_SECONDS)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, PROBE_SECONDS // 4)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPCNT, PROBES)
        await loop.sock_connect(sock, where)
    except BaseException:
        sock.close()
        raise
    return sock


def _alternating(addresses: Sequence[Address]) -> list[Address]:
    """The families in turns, the resolver's favourite first."""
    first = [address for address in addresses if address[0] == addresses[0][0]]
    others = [address for address in addresses if address[0] != addresses[0][0]]
    return [address for address in chain(*zip_longest(first, others)) if address is not None]


async def _tunnel(
    loop: asyncio.AbstractEventLoop, sock: socket.socket, origin: Origin, proxy: Proxy
) -> None:
    key = f"Proxy-Authorization: {proxy.authorization}\r\n" if proxy.authorization else ""
    ask = f"CONNECT {origin.shown} HTTP/1.1\r\nHost: {origin.shown}\r\n{key}\r\n"
    await loop.sock_sendall(sock, ask.encode())
    answer, status = b"", 100
    while 100 <= status < 200:  # an informational answer may come first
        head, answer = await _head(loop, sock, answer)
        version, status_field, *_ = *head.split(None, 2), b"", b""
        status = (
            int(status_field) if version.startswith(b"HTTP/1.") and status_field.isdigit() else 0
        )
    if status == 407:
        raise OSError(
            "the proxy does not open a tunnel: HTTP 407, it requires a user name and a password:"
            " write them into its URL, http://USER:PASSWORD@HOST:PORT"
        )
    if not 200 <= status < 300:
        raise OSError(f"the proxy does not open a tunnel: HTTP {status or 'no status'}")
    if answer:
        raise OSError("the proxy does not open a tunnel: it talks before the server does")


async def _head(
    loop: asyncio.AbstractEventLoop, sock: socket.socket, begun: bytes
) -> tuple[bytes, bytes]:
    """A head of a proxy's answer, and what came after it; lines may end in a bare LF."""
    while (end := _END_OF_HEAD.search(begun)) is None:
        data = await loop.sock_recv(sock, 4096)
        begun += data
        if not data or len(begun) > MAX_ANSWER:
            raise OSError("the proxy does not open a tunnel")
    return begun[: end.start()], begun[end.end() :]
