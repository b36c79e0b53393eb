"""A server that speaks bytes, and every test on both event loops."""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import socket
import ssl
import struct
import subprocess
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from nemo_evaluator.http.client.origin import Origin
from nemo_evaluator.http.client.pool import Pool
from nemo_evaluator.http.client.response import Response
from nemo_evaluator.http.headers import RequestHead

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


@pytest.hookimpl(optionalhook=True)
def pytest_asyncio_loop_factories(config: Any, item: Any) -> dict[str, Any]:
    loops: dict[str, Any] = {"asyncio": asyncio.new_event_loop}
    with contextlib.suppress(ImportError):
        import uvloop

        loops["uvloop"] = uvloop.new_event_loop
    return loops


class Peer:
    """The server's side of one connection."""

    def __init__(
        self, number: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        self.number = number
        """Which connection this is, from 1."""
        self.reader, self.writer = reader, writer

    async def request(self) -> tuple[str, bytes]:
        """Head and body of the next request. Raises IncompleteReadError at the end."""
        head = (await self.reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        size = 0
        for line in head.split("\r\n"):
            if line.lower().startswith("content-length:"):
                size = int(line.partition(":")[2])
        return head, await self.reader.readexactly(size)

    async def send(self, *pieces: bytes, pause: float = 0.0) -> None:
        for piece in pieces:
            self.writer.write(piece)
            await self.writer.drain()
            await asyncio.sleep(pause)

    async def gone(self) -> bool:
        """Whether the client hangs up within a second."""
        with contextlib.suppress(ConnectionError, TimeoutError):
            async with asyncio.timeout(1):
                return not await self.reader.read(1)
            return False
        return True

    def reset(self) -> None:
        """Close with a TCP reset."""
        sock: socket.socket = self.writer.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.writer.transport.abort()


Handler = Callable[[Peer], Awaitable[None]]


class Server:
    """Runs a handler for each connection; when it returns the connection is closed."""

    def __init__(self, handler: Handler) -> None:
        self._handler = handler
        self._tasks: set[asyncio.Task[None]] = set()
        self.connections = 0
        self.open = 0
        self.peak = 0
        self.port = 0
        self._server: asyncio.Server | None = None

    async def start(self, host: str, context: ssl.SSLContext | None) -> None:
        self._server = await asyncio.start_server(self._accept, host, 0, ssl=context)
        self.port = self._server.sockets[0].getsockname()[1]

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        self.connections += 1
        self.open += 1
        self.peak = max(self.peak, self.open)
        try:
            with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
                await self._handler(Peer(self.connections, reader, writer))
        except asyncio.CancelledError:
            writer.transport.abort()
        finally:
            self.open -= 1
            self._tasks.discard(task)
            writer.close()

    async def stop(self) -> None:
        assert self._server is not None
        self._server.close()
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await asyncio.sleep(0)


Serve = Callable[..., Awaitable[Server]]
MakePool = Callable[..., Pool]


@pytest.fixture
async def serve() -> AsyncIterator[Serve]:
    servers: list[Server] = []

    async def start(
        handler: Handler, *, host: str = "127.0.0.1", context: ssl.SSLContext | None = None
    ) -> Server:
        servers.append(Server(handler))
        await servers[-1].start(host, context)
        return servers[-1]

    yield start
    for server in servers:
        await server.stop()


@pytest.fixture
async def make_pool() -> AsyncIterator[MakePool]:
    pools: list[Pool] = []

    def make(
        server: Server | int,
        *,
        limit: int = 4,
        host: str = "127.0.0.1",
        scheme: str = "http",
        **more: Any,
    ) -> Pool:
        port = server if isinstance(server, int) else server.port
        pools.append(Pool(Origin(scheme, host, port), limit, 5.0, **more))
        return pools[-1]

    yield make
    for pool in pools:
        await pool.close()


async def ask(pool: Pool, body: bytes = b"", method: str = "POST", **options: Any) -> Response:
    head = RequestHead(method, "/x", {"Host": "h"})(len(body))
    return await pool.request(head, body, **options)


async def answers(peer: Peer) -> None:
    """Says ok to every request."""
    while True:
        await peer.request()
        await peer.send(OK)


def saying(*pieces: bytes, pause: float = 0.0) -> Handler:
    """Says the same to every request, then waits."""

    async def handler(peer: Peer) -> None:
        while True:
            await peer.request()
            await peer.send(*pieces, pause=pause)

    return handler


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A PEM file with key and self-signed certificate of ``localhost`` (not of 127.0.0.1)."""
    if shutil.which("openssl") is None:
        pytest.skip("makes its certificate with openssl")
    path = tmp_path_factory.mktemp("tls")
    key, cert, both = path / "key.pem", path / "cert.pem", path / "both.pem"
    words = "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj"
    named = ("-addext", "subjectAltName=DNS:localhost")
    subprocess.run(
        [
            "openssl",
            *words.split(),
            "/CN=localhost",
            *named,
            "-keyout",
            str(key),
            "-out",
            str(cert),
        ],
        check=True,
        capture_output=True,
    )
    both.write_text(key.read_text() + cert.read_text())
    return both


@pytest.fixture
def tls(certificate: Path) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    return context
