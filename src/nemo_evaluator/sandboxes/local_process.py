"""A command that runs on in a sandbox, beside others: a process of this machine, with pipes or with
a terminal. It is a bubblewrap, or the client program of an engine."""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import os
import struct
import termios
import time
from typing import Any, Protocol

from .streams import CHUNK, Flow, drain

_SIZE = struct.pack("HHHH", 24, 80, 0, 0)
"""Rows and columns of a terminal."""
_WRITE_PAUSE = 0.01


class Host(Protocol):
    """What a process needs of its sandbox."""

    async def end(self, box: LocalProcess) -> int:
        """End it, with all it started, and read what is left of its pipes; its exit code."""

    def forget(self, box: LocalProcess) -> None:
        """Forget a process that has ended."""


class Terminal:
    """A pseudo terminal: our end, and the end inside while it is not handed over yet."""

    def __init__(self, ours: int, inside: int) -> None:
        self.ours, self.inside = ours, inside
        self._readable = asyncio.Event()

    def close_inside(self) -> None:
        """The process has it now."""
        os.close(self.inside)

    async def read(self, n: int = -1) -> bytes:
        """What was printed; empty at the end, which Linux calls an I/O error."""
        loop = asyncio.get_running_loop()
        while True:
            try:
                return os.read(self.ours, CHUNK if n < 0 else n)
            except BlockingIOError:
                self._readable.clear()
                loop.add_reader(self.ours, self._readable.set)
                try:
                    await self._readable.wait()
                finally:
                    loop.remove_reader(self.ours)
            except OSError:
                return b""

    async def write(self, data: bytes) -> None:
        """Type. BrokenPipeError if the process has ended."""
        while data:
            try:
                data = data[os.write(self.ours, data) :]
            except BlockingIOError:
                await asyncio.sleep(_WRITE_PAUSE)
            except OSError:
                raise BrokenPipeError("the process has ended") from None

    def close(self) -> None:
        """Hang up. Safe to call twice."""
        if self.ours >= 0:
            os.close(self.ours)
            self.ours = -1


def open_terminal() -> Terminal:
    """A new terminal of the usual size."""
    ours, inside = os.openpty()
    os.set_blocking(ours, False)
    fcntl.ioctl(ours, termios.TIOCSWINSZ, _SIZE)
    return Terminal(ours, inside)


class LocalProcess:
    """See `Process`."""

    def __init__(
        self,
        host: Host,
        process: asyncio.subprocess.Process,
        terminal: Terminal | None,
        output_bytes: int,
    ) -> None:
        self._host, self.process = host, process
        self._terminal = terminal
        self.stdout, self.stderr = Flow(output_bytes), Flow(output_bytes)
        self._work: asyncio.Task[int] | None = None
        self._over = asyncio.Event()
        """It is to be killed."""

    def attend(self, seconds: float) -> None:
        """Take its output and see to its end, after this many seconds at most."""
        self._work = asyncio.create_task(self._attend(time.monotonic() + seconds))

    @property
    def running(self) -> bool:
        """See `Process.running`."""
        return self._work is not None and not self._work.done()

    async def write(self, data: bytes) -> None:
        """See `Process.write`."""
        if not self.running:
            raise BrokenPipeError("the process has ended")
        if self._terminal is not None:
            await self._terminal.write(data)
            return
        pipe = self.process.stdin
        if pipe is None or pipe.is_closing():
            raise BrokenPipeError("the process has ended")
        pipe.write(data)
        try:
            await pipe.drain()
        except ConnectionError:
            raise BrokenPipeError("the process has ended") from None

    async def close_stdin(self) -> None:
        """See `Process.close_stdin`. A terminal is told by the usual key."""
        if not self.running:
            return
        if self._terminal is not None:
            with contextlib.suppress(BrokenPipeError):
                await self._terminal.write(b"\x04")
        elif self.process.stdin is not None:
            self.process.stdin.close()

    async def wait(self, timeout: float | None = None) -> int:
        """See `Process.wait`."""
        assert self._work is not None
        async with asyncio.timeout(timeout):
            return await asyncio.shield(self._work)

    async def kill(self) -> None:
        """See `Process.kill`."""
        self._over.set()
        if self._work is not None:
            await asyncio.wait({self._work})
            self._work.result()

    async def _attend(self, end: float) -> int:
        process = self.process
        streams = ((self._terminal or process.stdout, self.stdout), (process.stderr, self.stderr))
        takers = [asyncio.create_task(drain(s, flow)) for s, flow in streams if s is not None]
        over = asyncio.create_task(self._over.wait())
        ended = asyncio.create_task(process.wait())
        try:
            await asyncio.wait(
                {over, ended},
                timeout=max(0.0, end - time.monotonic()),
                return_when=asyncio.FIRST_COMPLETED,
            )
            if self._terminal is None:  # `end` reads what is left of pipes
                await _cancelled(*takers)
            return await self._host.end(self)
        finally:
            if self._terminal is not None:
                await asyncio.wait(takers, timeout=1.0)
            await _cancelled(over, ended, *takers)
            self._settle()

    def _settle(self) -> None:
        if self._terminal is not None:
            self._terminal.close()
        elif self.process.stdin is not None:
            self.process.stdin.close()
        self.stdout.end()
        self.stderr.end()
        self._host.forget(self)


async def _cancelled(*tasks: asyncio.Task[Any]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
