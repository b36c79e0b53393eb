"""A server on loopback, clients that speak bytes, and every test on both event loops."""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
import struct
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest

from nemo_evaluator.http.app import Application, Request, Response, Stream
from nemo_evaluator.http.server.contract import Limits
from nemo_evaluator.http.server.server import Server

Answer = Callable[[Request], Awaitable[Response | Stream]]


@pytest.hookimpl(optionalhook=True)
def pytest_asyncio_loop_factories(config: Any, item: Any) -> dict[str, Any]:
    loops: dict[str, Any] = {"asyncio": asyncio.new_event_loop}
    with contextlib.suppress(ImportError):
        import uvloop

        loops["uvloop"] = uvloop.new_event_loop
    return loops


async def echo(request: Request) -> Response:
    """Tells what arrived."""
    told = {
        "method": request.method,
        "path": request.path,
        "query": request.query,
        "headers": request.headers,
        "size": len(request.body),
        "body": request.body[:100].decode("latin-1"),
    }
    return Response(200, json.dumps(told).encode())


class Echo:
    """An app that answers as told, and notes whom it lost."""

    def __init__(self, answer: Answer) -> None:
        self._answer = answer
        self.begun: list[str] = []
        self.cancelled: list[str] = []

    def admit(self, request: Request) -> Response | None:
        return Response(401, b"{}") if request.path == "/secret" else None

    async def answer(self, request: Request) -> Response | Stream:
        self.begun.append(request.path)
        try:
            return await self._answer(request)
        except asyncio.CancelledError:
            self.cancelled.append(request.path)
            raise

    def failure(self, request: Request | None, status: int, message: str) -> Response:
        return Response(status, json.dumps({"error": message}).encode())


class Client:
    """The client's side of one connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    async def send(self, *pieces: bytes, pause: float = 0.0) -> None:
        for piece in pieces:
            self.writer.write(piece)
            await self.writer.drain()
            await asyncio.sleep(pause)

    async def head(self) -> tuple[int, dict[str, str]]:
        async with asyncio.timeout(20):
            lines = (await self.reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
        fields = dict(line.lower().split(": ", 1) for line in lines[1:] if line)
        return int(lines[0].split()[1]), fields

    async def answer(self, *, bodiless: bool = False) -> tuple[int, dict[str, str], bytes]:
        """Status, fields by lower-case name, body. Raises IncompleteReadError."""
        status, fields = await self.head()
        if bodiless or status in (100, 204, 304):
            return status, fields, b""
        if fields.get("transfer-encoding") == "chunked":
            return status, fields, b"".join([chunk async for chunk in self.chunks()])
        if "content-length" in fields:
            async with asyncio.timeout(20):
                return status, fields, await self.reader.readexactly(int(fields["content-length"]))
        return status, fields, await self.rest()

    async def chunks(self) -> AsyncIterator[bytes]:
        async with asyncio.timeout(20):
            while size := int(await self.reader.readuntil(b"\r\n"), 16):
                yield (await self.reader.readexactly(size + 2))[:-2]
            assert await self.reader.readexactly(2) == b"\r\n"

    async def ask(self, request: bytes) -> tuple[int, dict[str, str], bytes]:
        await self.send(request)
        return await self.answer()

    async def told(self, request: bytes) -> dict[str, Any]:
        status, _, body = await self.ask(request)
        assert status == 200
        told: dict[str, Any] = json.loads(body)
        return told

    async def rest(self) -> bytes:
        """All until the server closes."""
        async with asyncio.timeout(20):
            return await self.reader.read()

    async def is_closed(self, seconds: float = 20.0) -> bool:
        """Whether the server closes, having nothing more to say."""
        try:
            async with asyncio.timeout(seconds):
                return await self.reader.read(1) == b""
        except ConnectionError:
            return True
        except TimeoutError:
            return False

    def reset(self) -> None:
        """Close with a TCP reset."""
        sock: socket.socket = self.writer.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.writer.transport.abort()

    def close(self) -> None:
        self.writer.close()


class Served:
    """A running server, its app, and connections to it."""

    def __init__(self, answer: Answer, limits: Limits) -> None:
        self.app = Echo(answer)
        application = Application(self.app, body_bytes=limits.body_bytes)
        self.server = Server(application, limits, failure=application.failure)
        self.port = 0
        self._clients: list[Client] = []

    async def client(self) -> Client:
        client = Client(*await asyncio.open_connection("127.0.0.1", self.port))
        self._clients.append(client)
        return client

    async def empties(self) -> bool:
        """Whether the server soon holds no connection any more."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(5):
                while self.server.connections:
                    await asyncio.sleep(0.005)
        return not self.server.connections

    async def close(self) -> None:
        await self.server.stop(0.0)
        for client in self._clients:
            client.close()
        await asyncio.sleep(0)


Serve = Callable[..., Awaitable[Served]]


@pytest.fixture
async def serve() -> AsyncIterator[Serve]:
    all_served: list[Served] = []

    async def start(answer: Answer = echo, host: str = "127.0.0.1", **limits: Any) -> Served:
        served = Served(answer, Limits(**limits))
        all_served.append(served)
        served.port = await served.server.start(host, 0)
        return served

    yield start
    others = asyncio.all_tasks() - {asyncio.current_task()}
    for served in all_served:
        await served.close()
        assert not served.server.connections
    await asyncio.sleep(0)
    assert not {task for task in others if not task.done()}, "a task is left"


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not condition():
            await asyncio.sleep(0.005)


def post(body: bytes, *fields: str, path: str = "/") -> bytes:
    lines = [f"POST {path} HTTP/1.1", "Host: h", f"Content-Length: {len(body)}", *fields, "", ""]
    return "\r\n".join(lines).encode() + body


def get(path: str = "/", *fields: str) -> bytes:
    return "\r\n".join([f"GET {path} HTTP/1.1", "Host: h", *fields, "", ""]).encode()
