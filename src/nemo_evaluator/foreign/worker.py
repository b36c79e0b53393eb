"""Our side of a script in another interpreter: calls, calls back, cancellation, and its end.

Invariants: a call is answered, or raises; a process that ends makes all its calls raise
`WorkerLost` with what it printed last; the process, what it started and its temporary files end
with ``close``, and with us.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import os
import shutil
import signal
import tempfile
from asyncio.subprocess import PIPE, Process
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import msgspec

from ..errors import InfraError
from ..types import Failure, Json

CHILD = Path(__file__).with_name("child.py")
LINE = 1 << 28
"""Longest line, in bytes."""
TAIL = 1 << 16
"""Bytes kept of what the process prints."""
END_SECONDS = 5.0
START_SECONDS = 120.0

T = TypeVar("T")
NULL = msgspec.Raw(b"null")

Handler = Callable[..., Awaitable[Json]]
"""Answers a call of the script; it is given the parameters by name."""

log = logging.getLogger(__name__)


class WorkerLost(InfraError):
    """The process ended, or did not start; nothing is known about what it was doing."""

    default_kind = Failure.INFRA_ERROR


class _Line(msgspec.Struct, frozen=True):
    """A line of the script: a call, its cancellation, an answer, or that it is ready."""

    call: int | None = None
    method: str = ""
    params: dict[str, Any] = {}
    cancel: int | None = None
    answer: int | None = None
    result: msgspec.Raw = NULL
    """Read by whoever asked."""
    error: dict[str, Any] | None = None


class ForeignError(Exception):
    """What a call of the script raised there."""

    def __init__(self, error: Mapping[str, Any]) -> None:
        self.message = str(error.get("message") or "")
        self.kinds = tuple(str(kind) for kind in error.get("kinds") or ())
        """Names of its class and of the bases."""
        self.traceback = str(error.get("traceback") or "")
        super().__init__(f"{self.kind}: {self.message}" if self.message else self.kind)

    @property
    def kind(self) -> str:
        """Name of its class."""
        return self.kinds[0] if self.kinds else "Error"


class _Printing(NamedTuple):
    """Our end of what a process prints. It is closed with the process, also where a program that
    it started, in a session of its own, lives on and holds the other end."""

    reader: asyncio.StreamReader
    transport: asyncio.ReadTransport

    @classmethod
    async def open(cls) -> tuple[_Printing, int]:
        """Our end, and a descriptor for the process."""
        ours, theirs = os.pipe()
        reader = asyncio.StreamReader()
        loop = asyncio.get_running_loop()
        transport, _ = await loop.connect_read_pipe(
            lambda: asyncio.StreamReaderProtocol(reader), os.fdopen(ours, "rb", buffering=0)
        )
        return cls(reader, transport), theirs


class Worker:
    """A running script. ``start`` it, and ``close`` it."""

    def __init__(
        self,
        name: str,
        process: Process,
        printing: _Printing,
        handlers: Mapping[str, Handler],
        folder: Path,
    ) -> None:
        self._name, self._process, self._handlers = name, process, handlers
        self._printing = printing
        self.folder = folder
        """For temporary files, of both sides."""
        self._number = 0
        self._asked: dict[int, asyncio.Future[msgspec.Raw]] = {}
        self._running: dict[int, asyncio.Task[None]] = {}
        self._printed = bytearray()
        self._ready: asyncio.Future[msgspec.Raw] = asyncio.get_running_loop().create_future()
        self._pumps = [asyncio.create_task(pump()) for pump in (self._read, self._listen)]

    @classmethod
    async def start(
        cls,
        script: Path,
        *,
        python: Path,
        name: str,
        env: Mapping[str, str],
        handlers: Mapping[str, Handler] | None = None,
    ) -> Worker:
        """Start a script and wait until it has loaded. Raises WorkerLost."""
        folder = Path(await asyncio.to_thread(tempfile.mkdtemp, prefix="nel-foreign-"))
        printing, end = await _Printing.open()
        try:
            process = await asyncio.create_subprocess_exec(
                *(python, "-X", "utf8", CHILD, script, folder),
                stdin=PIPE,
                stdout=PIPE,
                stderr=end,
                env={**env, "TMPDIR": str(folder)},
                limit=LINE,
                start_new_session=True,
            )
        except OSError as error:
            printing.transport.close()
            await asyncio.to_thread(shutil.rmtree, folder, ignore_errors=True)
            raise WorkerLost(f"{name} does not start: {python}: {error}") from None
        finally:
            os.close(end)
        worker = cls(name, process, printing, handlers or {}, folder)
        try:
            async with asyncio.timeout(START_SECONDS):
                await worker._ready
        except TimeoutError:
            await worker.close()
            raise WorkerLost(f"{name} did not start within {START_SECONDS:g} s") from None
        except BaseException:
            await worker.close()
            raise
        return worker

    @property
    def alive(self) -> bool:
        """Whether the worker still answers."""
        return self._process.returncode is None and not self._pumps[0].done()

    async def call(self, method: str, **params: Json) -> Any:
        """What a method of the script returns. Raises ForeignError for what it raises, and
        WorkerLost. Cancelled here, it is cancelled there."""
        return json.loads(bytes(await self._call_method(method, json.dumps(params).encode())))

    async def call_as(self, kind: type[T], method: str, **params: object) -> T:
        """The same, as a record or a list of records, and quicker. Numbers must be finite."""
        answer = await self._call_method(method, msgspec.json.encode(params))
        return msgspec.json.decode(answer, type=kind)

    async def _call_method(self, method: str, params: bytes) -> msgspec.Raw:
        """What a method returns, as JSON."""
        if not self.alive:
            raise self._lost_error()
        self._number += 1
        number = self._number
        answer: asyncio.Future[msgspec.Raw] = asyncio.get_running_loop().create_future()
        self._asked[number] = answer
        try:
            head = f'{{"call":{number},"method":"{method}","params":'
            await self._send(head.encode() + params + b"}")
            return await answer
        except asyncio.CancelledError:
            with contextlib.suppress(WorkerLost):
                await self._send(b'{"cancel": %d}' % number)
            raise
        finally:
            self._asked.pop(number, None)

    async def close(self) -> None:
        """End the process and what it started; safe to call twice."""
        process = self._process
        if process.stdin is not None:
            process.stdin.close()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(END_SECONDS):
                await process.wait()
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
        await process.wait()
        self._printing.transport.close()
        for task in (*self._pumps, *self._running.values()):
            task.cancel()
        await asyncio.gather(*self._pumps, *self._running.values(), return_exceptions=True)
        self._fail(self._lost_error())
        await asyncio.to_thread(shutil.rmtree, self.folder, ignore_errors=True)

    @property
    def printed(self) -> str:
        """The last lines that the process printed."""
        lines = self._printed.decode(errors="replace").strip().splitlines()
        return "\n".join(lines[-8:])

    async def _send(self, line: bytes) -> None:
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(line + b"\n")
            await self._process.stdin.drain()
        except (ConnectionError, RuntimeError):
            raise self._lost_error() from None

    async def _read(self) -> None:
        assert self._process.stdout is not None
        try:
            while line := await self._process.stdout.readline():
                self._take(_read_line(line))
        finally:
            with contextlib.suppress(TimeoutError):  # for its exit code, and its last words
                async with asyncio.timeout(1.0):
                    await self._process.wait()
                    await asyncio.wait({self._pumps[1]})
            self._fail(self._lost_error())

    def _take(self, line: _Line) -> None:
        if line.call is not None:
            self._running[line.call] = asyncio.create_task(self._answer(line.call, line))
        elif line.cancel is not None:
            if task := self._running.get(line.cancel):
                task.cancel()
        else:
            asked = self._ready if line.answer is None else self._asked.get(line.answer)
            if asked is None or asked.done():
                return
            if line.error is not None:
                asked.set_exception(ForeignError(line.error))
            else:
                asked.set_result(line.result)

    async def _answer(self, number: int, line: _Line) -> None:
        """Answer a call of the script."""
        answer = dict[str, Any]()
        try:
            answer["result"] = await self._handlers[line.method](**line.params)
        except asyncio.CancelledError:
            return
        except Exception as error:
            kinds = [kind.__name__ for kind in type(error).__mro__ if kind is not object]
            answer["error"] = {"message": str(error), "kinds": kinds}
        finally:
            self._running.pop(number, None)
        with contextlib.suppress(WorkerLost):
            await self._send(json.dumps({"answer": number, **answer}).encode())

    async def _listen(self) -> None:
        """Keep the end of what it prints."""
        while chunk := await self._printing.reader.read(1 << 16):
            self._printed += chunk
            del self._printed[:-TAIL]
            log.debug("%s: %s", self._name, chunk.decode(errors="replace").rstrip())

    def _lost_error(self) -> WorkerLost:
        code = self._process.returncode
        how = "does not answer" if code is None else f"ended with exit code {code}"
        last_line = f": {self.printed}" if self._printed else ""
        return WorkerLost(f"{self._name} {how}{last_line}")

    def _fail(self, error: WorkerLost) -> None:
        for answer in (self._ready, *self._asked.values()):
            if not answer.done():
                answer.set_exception(error)
        self._ready.exception()  # it may have no reader


def _read_line(line: bytes) -> _Line:
    """A line of the script; one with numbers that are not finite, too."""
    try:
        return msgspec.json.decode(line, type=_Line)
    except msgspec.DecodeError:
        found = json.loads(line)
        return _Line(**{**found, "result": msgspec.Raw(json.dumps(found.get("result")).encode())})
