"""A small client of the Docker Engine API over its unix socket (Podman's speaks the same).

The command line costs 25 ms of CPU per call and cannot tell a failed engine from a failed
command; the socket costs under 1 ms and says both apart. One connection per request: that is
cheap on a unix socket and leaves no state to go wrong.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import io
import json
import os
import time
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import IO, Any, NamedTuple
from urllib.parse import quote, urlencode

from ..errors import ConfigError
from ..types import Json
from .contract import SandboxLost
from .streams import CHUNK, Taker

_VERSION = "v1.41"
HEADER_BYTES = 8
"""Bytes before each piece of a multiplexed stream: stream number, three zeros, length."""
_DEFAULT = "/var/run/docker.sock"
BACK_SECONDS = 0.5
"""Between two looks for an engine that is gone."""


class Response(NamedTuple):
    """A whole answer."""

    status: int
    body: bytes

    def json(self) -> Any:
        """The body as JSON; None for an empty one."""
        return json.loads(self.body) if self.body else None

    @property
    def message(self) -> str:
        """What the engine says went wrong."""
        try:
            return str(self.json()["message"])
        except (ValueError, KeyError, TypeError):
            return self.body[:300].decode(errors="replace").strip()


class Attached(NamedTuple):
    """The two directions of a running command."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    def drop(self) -> None:
        """Close at once: what is still to be sent is of no use any more, and would keep the socket
        open for as long as the other side does not read."""
        self.writer.transport.abort()


class Engine:
    """Requests to one engine. OSError is raised as SandboxLost: the engine did not answer."""

    def __init__(
        self, socket: str | None = None, *, headers: Mapping[str, str] | None = None
    ) -> None:
        """``headers``: sent with every request."""
        self.socket = socket or find_socket()
        self._own = "".join(f"{name}: {value}\r\n" for name, value in (headers or {}).items())

    async def request(
        self,
        method: str,
        path: str,
        body: Json = None,
        *,
        query: Mapping[str, str] | None = None,
        timeout: float = 60.0,
        archive: IO[bytes] | None = None,
    ) -> Response:
        """One request; any status is returned, silence is SandboxLost."""
        try:
            async with asyncio.timeout(timeout):
                attached, status, headers = await self._send(
                    method, path, body, query, archive=archive
                )
                try:
                    return Response(status, await _body(attached.reader, headers))
                finally:
                    attached.drop()
        except (OSError, EOFError, ValueError, LookupError, TimeoutError) as error:
            raise SandboxLost(
                f"the Docker engine does not answer: {error!r}", peer=self.socket
            ) from None

    async def expect(
        self,
        method: str,
        path: str,
        body: Json = None,
        *,
        query: Mapping[str, str] | None = None,
        timeout: float = 60.0,
    ) -> Any:
        """One request that must succeed; SandboxLost with the engine's words if not."""
        got = await self.request(method, path, body, query=query, timeout=timeout)
        if got.status >= 400:
            raise SandboxLost(f"the Docker engine refused: {got.message}", peer=self.socket)
        return got.json()

    async def is_there(self) -> bool:
        """Whether anything listens, whatever it says."""
        try:
            _, writer = await asyncio.open_unix_connection(self.socket)
        except OSError:
            return False
        writer.close()
        return True

    async def back(self, seconds: float) -> None:
        """Wait until the engine listens again, as after a restart. Raises SandboxLost if it does
        not."""
        end = time.monotonic() + seconds
        while not await self.is_there():
            if time.monotonic() > end:
                message = f"the Docker engine is gone for more than {seconds:g} s"
                raise SandboxLost(message, peer=self.socket)
            await asyncio.sleep(BACK_SECONDS)

    async def stream(
        self, path: str, body: IO[bytes], *, query: Mapping[str, str]
    ) -> AsyncIterator[bytes]:
        """Send an archive, and follow the lines of the answer as they come. SandboxLost if the
        engine refuses or falls silent. Who leaves early ends what the engine does."""
        try:
            attached, status, headers = await self._send("POST", path, None, query, archive=body)
            try:
                if status >= 400:
                    message = Response(status, await _body(attached.reader, headers)).message
                    raise SandboxLost(f"the Docker engine refused: {message}", peer=self.socket)
                async for line in _lines(_pieces(attached.reader, headers)):
                    yield line
            finally:
                attached.drop()
        except (OSError, EOFError, ValueError, LookupError) as error:
            raise SandboxLost(
                f"the Docker engine does not answer: {error!r}", peer=self.socket
            ) from None

    async def attach(
        self, path: str, body: Json, *, query: Mapping[str, str] | None = None
    ) -> Attached:
        """Start a command, or attach to a container, and take over its connection."""
        try:
            async with asyncio.timeout(60):
                attached, status, headers = await self._send(
                    "POST", path, body, query, upgrade=True
                )
                if status not in (101, 200):
                    message = Response(status, await _body(attached.reader, headers)).message
                    attached.drop()
                    raise SandboxLost(f"the Docker engine refused: {message}", peer=self.socket)
                return attached
        except (OSError, EOFError, ValueError, LookupError, TimeoutError) as error:
            raise SandboxLost(
                f"the Docker engine does not answer: {error!r}", peer=self.socket
            ) from None

    async def _send(
        self,
        method: str,
        path: str,
        body: Json,
        query: Mapping[str, str] | None,
        *,
        upgrade: bool = False,
        archive: IO[bytes] | None = None,
    ) -> tuple[Attached, int, dict[str, str]]:
        data = b"" if body is None else json.dumps(body).encode()
        size = len(data) if archive is None else archive.seek(0, io.SEEK_END)
        kind = "application/json" if archive is None else "application/x-tar"
        target = f"/{_VERSION}{quote(path)}" + (f"?{urlencode(query)}" if query else "")
        connection = "Connection: Upgrade\r\nUpgrade: tcp" if upgrade else "Connection: close"
        head = f"{method} {target} HTTP/1.1\r\nHost: docker\r\n{self._own}{connection}\r\n"
        head += f"Content-Type: {kind}\r\nContent-Length: {size}\r\n\r\n"
        reader, writer = await asyncio.open_unix_connection(self.socket, limit=1 << 20)
        try:
            writer.write(head.encode() + data)
            if archive is not None:
                await _copy(archive, writer)
            head_lines = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
            status = int(head_lines[0].split(" ", 2)[1])
        except BaseException:
            writer.transport.abort()
            raise
        fields = (line.partition(":") for line in head_lines[1:])
        headers = {name.lower(): value.strip() for name, _, value in fields}
        return Attached(reader, writer), status, headers


async def demultiplex(reader: asyncio.StreamReader, out: Taker, err: Taker) -> None:
    """Take the output of a command without a terminal apart, to its end."""
    while True:
        try:
            header = await reader.readexactly(HEADER_BYTES)
        except (asyncio.IncompleteReadError, ConnectionError):
            return
        kept, left = (err if header[0] == 2 else out), int.from_bytes(header[4:], "big")
        while left:
            if not (chunk := await reader.read(min(left, CHUNK))):
                return
            left -= len(chunk)
            await kept.take(chunk)


async def _body(reader: asyncio.StreamReader, headers: Mapping[str, str]) -> bytes:
    return b"".join([piece async for piece in _pieces(reader, headers)])


async def _pieces(reader: asyncio.StreamReader, headers: Mapping[str, str]) -> AsyncIterator[bytes]:
    """A body as it comes."""
    if headers.get("transfer-encoding") == "chunked":
        while size := int((await reader.readline()).split(b";")[0] or b"0", 16):
            yield await reader.readexactly(size)
            await reader.readexactly(2)
    elif "content-length" in headers:
        yield await reader.readexactly(int(headers["content-length"]))
    else:
        while piece := await reader.read(CHUNK):
            yield piece


async def _lines(pieces: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    begun = b""
    async for piece in pieces:
        *whole, begun = (begun + piece).split(b"\n")
        for line in whole:
            yield line
    if begun.strip():
        yield begun


async def _copy(archive: IO[bytes], writer: asyncio.StreamWriter) -> None:
    """Send a file. An engine that closes before its end has already answered why."""
    archive.seek(0)
    with contextlib.suppress(ConnectionError):
        while chunk := await asyncio.to_thread(archive.read, CHUNK):
            writer.write(chunk)
            await writer.drain()


def find_socket() -> str:
    """The engine's socket: DOCKER_HOST, else the context in use, else the usual place."""
    host = os.environ.get("DOCKER_HOST") or _context_host() or f"unix://{_DEFAULT}"
    if not host.startswith("unix://"):
        raise ConfigError(
            f"only a local Docker engine can be used, not {host.partition(':')[0]}://",
            where="DOCKER_HOST",
            hint="unset it, or point it to a unix:// socket",
        )
    return host.removeprefix("unix://")


def _context_host() -> str | None:
    """The address in the Docker context that ``docker context use`` chose."""
    try:
        home = Path(os.environ.get("DOCKER_CONFIG") or Path.home() / ".docker")
        name = os.environ.get("DOCKER_CONTEXT")
        name = name or json.loads((home / "config.json").read_text()).get("currentContext")
        if not name or name == "default":
            return None
        folder = home / "contexts" / "meta" / hashlib.sha256(name.encode()).hexdigest()
        meta = json.loads((folder / "meta.json").read_text())
        return str(meta["Endpoints"]["docker"]["Host"])
    except (OSError, ValueError, KeyError, RuntimeError):  # the last: a user without a home
        return None
