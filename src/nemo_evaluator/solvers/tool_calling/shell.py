"""A shell in a sandbox that lives from one command to the next.

Invariants: a command ends with its own exit code, whatever it is made of (here-documents, comments,
a trailing ``&``, no final newline); the mark that ends its output is drawn anew for each command. A
command that overruns its time is ended with everything the shell has started; the next one gets
another shell in the same folder.
"""

from __future__ import annotations

import asyncio
import secrets
from dataclasses import dataclass
from shlex import quote

from ...sandboxes.contract import Process, Sandbox, SandboxLost
from ...types import Phase

PROGRAM = "if command -v bash >/dev/null 2>&1; then exec bash --noprofile --norc; fi; exec sh"
OURS = 7
"""The descriptor on which the shell answers us; commands do not have it."""
ENDS_SECONDS = 5.0
KILLED = 128 + 9
MARK_BYTES = 16
WHERE_BYTES = 1 << 13
"""What stands between two marks: an exit code and a folder."""


@dataclass(frozen=True, slots=True)
class Ran:
    """What became of a command."""

    output: str
    omitted: int
    """Bytes that are missing in the middle of the output."""
    exit_code: int
    timed_out: bool = False
    ended: bool = False
    """The shell itself ended: by ``exit``, say."""


class Shell:
    """A shell for one rollout. One command at a time."""

    def __init__(self, sandbox: Sandbox, *, keep_bytes: int) -> None:
        """``keep_bytes``: kept of the beginning of an output, and of its end."""
        self._sandbox, self._keep = sandbox, keep_bytes
        self._process: Process | None = None
        self._pump: asyncio.Task[None] | None = None
        self._output = Output(keep_bytes)
        self.cwd = sandbox.spec.cwd
        """Where it is now."""

    async def run(self, command: str, seconds: float) -> Ran:
        """Run a command to its end, or for this many seconds. Raises SandboxLost."""
        process = self._process
        if process is None or not process.running:
            process = await self._started()
        mark = secrets.token_hex(MARK_BYTES).encode()
        self._output.expect(mark)
        try:
            async with asyncio.timeout(seconds):
                await process.write(_script(command, mark.decode()))
                await self._output.over.wait()
        except BrokenPipeError:
            await self._output.over.wait()
        except TimeoutError:
            await self.restart()
            return Ran(*self._output.taken(), exit_code=124, timed_out=True)
        if (found := self._output.found) is not None:
            code, _, where = found.partition(b":")
            self.cwd = where.decode(errors="replace") or self.cwd
            return Ran(*self._output.taken(), exit_code=int(code))
        code_ = await process.wait(ENDS_SECONDS)
        await self.restart()
        if code_ == KILLED:  # with the whole sandbox perhaps, which is no result of the command
            await self._check_sandbox()
        return Ran(*self._output.taken(), exit_code=code_, ended=True)

    async def _check_sandbox(self) -> None:
        """Raise SandboxLost if the sandbox is gone."""
        if not (await self._sandbox.exec(["true"], timeout=ENDS_SECONDS)).ok:
            raise SandboxLost("the sandbox ended while a command was running", phase=Phase.SOLVE)

    async def restart(self) -> None:
        """End the shell and all it has started; the next command gets another one."""
        process, self._process = self._process, None
        if process is not None:
            await process.kill()
        if self._pump is not None:
            await asyncio.wait({self._pump}, timeout=ENDS_SECONDS)
            await self.leave()

    async def leave(self) -> None:
        """Do not listen to it any more; it runs on."""
        pump, self._pump = self._pump, None
        if pump is not None:
            pump.cancel()
            await asyncio.gather(pump, return_exceptions=True)

    async def _started(self) -> Process:
        await self.restart()
        process = self._process = await self._sandbox.start(["sh", "-c", PROGRAM])
        self._output = Output(self._keep)
        self._pump = asyncio.create_task(_follow(process, self._output))
        await process.write(f"exec {OURS}>&1\ncd -- {quote(self.cwd)} 2>/dev/null\n".encode())
        return process


class Output:
    """The output of one command after another: the beginning and the end of each."""

    def __init__(self, keep: int) -> None:
        self._data, self._keep = bytearray(), keep
        self._mark = b""
        self._omitted = self._from = 0
        self.found: bytes | None = None
        """What the shell said at the end of the command."""
        self.over = asyncio.Event()
        self._ended = False

    def expect(self, mark: bytes) -> None:
        """Another command is to be run. What came since the last one stands before its output."""
        self._mark, self.found, self._from = mark, None, 0
        self.over.clear()
        if self._ended:
            self.over.set()

    def feed(self, chunk: bytes) -> None:
        """Take what was printed."""
        self._data += chunk
        if self._mark and self.found is None:
            self._look()
        if self.found is None:
            self._shorten()

    def end(self) -> None:
        """Nothing more comes."""
        self._ended = True
        self.over.set()

    def taken(self) -> tuple[str, int]:
        """The output of the command without its mark, and how many bytes are missing in it."""
        end = len(self._data)
        rest = b""
        if self.found is not None:
            end = self._data.find(self._mark, self._from)
            after = end + 2 * len(self._mark) + 2 + len(self.found)
            rest = bytes(self._data[after:])
        text = self._data[:end].decode("utf-8", "replace")
        omitted = self._omitted
        self._data, self._mark = bytearray(rest), b""
        self._omitted = self._from = 0
        return text, omitted

    def _look(self) -> None:
        begin = self._data.find(self._mark, self._from)
        if begin < 0:
            self._from = max(self._from, len(self._data) - len(self._mark))
            return
        self._from = begin
        inner = begin + len(self._mark) + 1
        end = self._data.find(self._mark, inner)
        if end >= 0:
            self.found = bytes(self._data[inner : end - 1])
            self.over.set()

    def _shorten(self) -> None:
        """Keep the beginning and the end, with room for a mark that has begun."""
        tail = self._keep + WHERE_BYTES
        if (excess := len(self._data) - self._keep - tail) <= tail:
            return
        del self._data[self._keep : self._keep + excess]
        self._omitted += excess
        self._from = max(0, self._from - excess)


def _script(command: str, mark: str) -> bytes:
    """Lines that run a command, and then tell its exit code and the folder on a descriptor that
    the command does not have."""
    command = command.replace("\0", "")  # no shell takes it
    run = f"eval {quote(command)} </dev/null >&{OURS} 2>&1 {OURS}>&-"
    tell = f"""command printf '%s:%s:%s:%s' {mark} "$?" "$PWD" {mark} >&{OURS}"""
    return f"{run}\n{tell}\n".encode(errors="replace")


async def _follow(process: Process, output: Output) -> None:
    try:
        async for chunk in process.stdout:
            output.feed(chunk)
    finally:
        output.end()
