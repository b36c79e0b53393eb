"""A door into a sandbox on another machine: TCP connections inside, carried by the standard input
and output of a program there. The machine of the sandbox needs no address of ours, and no port of
ours is open to a network.

The relay inside listens on 127.0.0.1 and numbers its connections. What it sends are lines, since
srun keeps what does not end in one: the number, and bytes in base64. What it is sent are frames:
the number, the size and that many bytes. No bytes end that direction. Here every connection is one
to a unix socket that this process serves. It needs python3 in the image.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import shutil
import socket
import struct
import tempfile
from pathlib import Path
from typing import Protocol

from ..errors import ConfigError
from ..http.listener import Listener

SECONDS = 30.0
_HEAD = struct.Struct(">II")
_CHUNK = 1 << 15
"""Bytes of one frame: as a line they fit into a stream reader's buffer."""
RELAY = f"""\
import asyncio, base64, struct, sys
HEAD = struct.Struct(">II")
writers, count = {{}}, 0

def send(number, data):
    sys.stdout.buffer.write(b"%d %s\\n" % (number, base64.b64encode(data)))
    sys.stdout.buffer.flush()

async def serve(reader, writer):
    global count
    count += 1
    number = count
    writers[number] = writer
    try:
        while data := await reader.read({_CHUNK}):
            send(number, data)
    except OSError:
        pass
    send(number, b"")

async def main():
    loop = asyncio.get_running_loop()
    back = asyncio.StreamReader(limit=1 << 20)
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(back), sys.stdin)
    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    send(0, b"%d" % server.sockets[0].getsockname()[1])
    while True:
        try:
            number, size = HEAD.unpack(await back.readexactly(HEAD.size))
            data = await back.readexactly(size)
        except asyncio.IncompleteReadError:
            return
        writer = writers.get(number)
        if writer is None:
            continue
        if data:
            writer.write(data)
        else:
            writer.close()
            del writers[number]

asyncio.run(main())
"""


class Pipe(Protocol):
    """Runs a program in a sandbox whose pipes no one else reads."""

    async def pipe(self, argv: list[str]) -> asyncio.subprocess.Process:
        """The client process of such a program. It ends with the sandbox."""


async def listen(sandbox: Pipe) -> Listener:
    """A listener of this process that a sandbox reaches. ConfigError if there can be none."""
    process = await sandbox.pipe(["python3", "-I", "-S", "-c", RELAY])
    assert process.stdin is not None and process.stdout is not None
    try:
        async with asyncio.timeout(SECONDS):
            port = int(_frame(await process.stdout.readline())[1])
    except (TimeoutError, ValueError):
        raise ConfigError(
            "no door into the sandbox: its relay did not start",
            hint="a door to another machine needs python3 in the image",
        ) from None
    folder = tempfile.mkdtemp(prefix="nel-relay-")
    path = str(Path(folder) / "s")
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(path)
    listener.listen(1024)
    listener.setblocking(False)
    carrier = _Carrier(process.stdout, process.stdin, path)
    task = asyncio.create_task(carrier.run())
    task.add_done_callback(lambda _: _remove(folder))
    _TASKS.add(task)
    task.add_done_callback(_TASKS.discard)
    return Listener(listener, "127.0.0.1", port)


_TASKS: set[asyncio.Task[None]] = set()
"""The loop itself keeps no task alive."""


def _frame(line: bytes) -> tuple[int, bytes]:
    """What the relay sent. ValueError for what is none."""
    number, _, data = line.partition(b" ")
    return int(number), base64.b64decode(data)


def _remove(folder: str) -> None:
    shutil.rmtree(folder, ignore_errors=True)


class _Carrier:
    """Our end of a relay."""

    def __init__(self, inward: asyncio.StreamReader, out: asyncio.StreamWriter, path: str) -> None:
        self._in, self._out, self._path = inward, out, path
        self._queues: dict[int, asyncio.Queue[bytes]] = {}

    async def run(self) -> None:
        """Until the relay ends."""
        connections: set[asyncio.Task[None]] = set()
        try:
            with contextlib.suppress(OSError, ValueError):
                while line := await self._in.readline():
                    number, data = _frame(line)
                    if (queue := self._queues.get(number)) is None:
                        queue = self._queues[number] = asyncio.Queue()
                        connections.add(asyncio.create_task(self._serve(number, queue)))
                    queue.put_nowait(data)
        finally:
            for task in connections:
                task.cancel()
            await asyncio.gather(*connections, return_exceptions=True)

    async def _serve(self, number: int, queue: asyncio.Queue[bytes]) -> None:
        """One connection, to its end."""
        try:
            reader, writer = await asyncio.open_unix_connection(self._path)
        except OSError:
            self._send(number, b"")
            return
        back = asyncio.create_task(self._back(number, reader))
        try:
            with contextlib.suppress(OSError):
                while data := await queue.get():
                    writer.write(data)
                    await writer.drain()
                writer.write_eof()
            await back
        finally:
            back.cancel()
            writer.close()

    async def _back(self, number: int, reader: asyncio.StreamReader) -> None:
        with contextlib.suppress(OSError):
            while data := await reader.read(_CHUNK):
                self._send(number, data)
                await self._out.drain()
        self._send(number, b"")

    def _send(self, number: int, data: bytes) -> None:
        with contextlib.suppress(OSError):
            self._out.write(_HEAD.pack(number, len(data)) + data)
