"""What all sandboxes share once an engine can run one command: results, limits and transfers.

An engine says how a command runs (`_run`) or runs on (`_start`), how all of them end, and whether
memory was the end of one (`_starved`); the rest of the contract follows.
"""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from ..errors import ConfigError
from ..http.listener import Listener
from . import transfer
from .contract import MAX_TRANSFER, Command, ExecResult, Process, SandboxLost, SandboxSpec
from .streams import Kept

_ARGUMENT = 1 << 17
"""Bytes the kernel takes in one argument, its terminating zero included."""
_TIMED_OUT = 124


@dataclass(frozen=True, slots=True)
class Job:
    """One command on its way: what to run, how long, and where its output goes."""

    argv: list[str]
    timeout: float
    out: Kept
    err: Kept
    user: int
    cwd: str = ""
    """Relative to the working directory of the sandbox, or absolute."""
    env: Mapping[str, str] = field(default_factory=dict)
    stdin: bytes | None = None


@dataclass(frozen=True, slots=True)
class Launch:
    """A command that is to run on in the background."""

    argv: list[str]
    user: int
    cwd: str
    env: Mapping[str, str]
    seconds: float
    """How long it may live."""
    tty: bool


class CommandSandbox(ABC):
    """A `Sandbox` over an engine that runs one command at a time, and others beside it."""

    engine: str

    def __init__(self, spec: SandboxSpec) -> None:
        self.spec = spec
        self.user = spec.user
        self._ends = time.monotonic() + spec.limits.lifetime

    @abstractmethod
    async def _run(self, job: Job) -> int | None:
        """Exit code of a command; None when it had to be ended, its time being over."""

    @abstractmethod
    async def _start(self, launch: Launch) -> Process:
        """Start a command that runs on."""

    @abstractmethod
    async def end_processes(self) -> None:
        """See `Sandbox.end_processes`."""

    @abstractmethod
    async def listen(self) -> Listener:
        """See `Sandbox.listen`."""

    @abstractmethod
    async def _starved(self, code: int | None) -> bool:
        """Whether the kernel killed for want of memory since the last time this was asked."""

    @abstractmethod
    async def close(self) -> None:
        """See `Sandbox.close`."""

    @property
    def _seconds_left(self) -> float:
        """Seconds of the lifetime that are left."""
        return max(0.0, self._ends - time.monotonic())

    @property
    def runs_as_root(self) -> bool:
        """Whether the spec lets root run commands."""
        return 0 in (self.spec.user, self.spec.verify_user)

    def _allowed(self, user: int | None) -> int:
        """Who runs a command. Root is only where the spec says so: it could end the sandbox."""
        wanted = self.user if user is None else user
        if wanted == 0 and not self.runs_as_root:
            raise ConfigError(
                "root runs no commands in this sandbox",
                hint="set user: 0 (or verify_user: 0) in its SandboxSpec",
            )
        return wanted

    def _lost(self, why: str) -> SandboxLost:
        return SandboxLost(why, peer=self.engine)

    async def exec(
        self,
        command: Command,
        *,
        timeout: float | None = None,
        cwd: str | None = None,
        env: Mapping[str, str] | None = None,
        stdin: bytes | None = None,
        output_bytes: int | None = None,
        user: int | None = None,
    ) -> ExecResult:
        """See `Sandbox.exec`."""
        limits = self.spec.limits
        wanted = limits.timeout if timeout is None else timeout
        kept = limits.output_bytes if output_bytes is None else output_bytes
        job = Job(
            argv=_argv(command),
            timeout=min(wanted, self._seconds_left),
            out=Kept(kept),
            err=Kept(kept),
            user=self._allowed(user),
            cwd=cwd or "",
            env={**self.spec.env, **(env or {})},
            stdin=stdin,
        )
        begin = time.monotonic()
        code = await self._run(job)
        return ExecResult(
            exit_code=_TIMED_OUT if code is None else code,
            stdout=job.out.text,
            stderr=job.err.text,
            stdout_truncated=job.out.truncated,
            stderr_truncated=job.err.truncated,
            timed_out=code is None,
            duration=time.monotonic() - begin,
            oom=await self._starved(code),
        )

    async def start(
        self,
        command: Command,
        *,
        cwd: str | None = None,
        env: Mapping[str, str] | None = None,
        user: int | None = None,
        tty: bool = False,
    ) -> Process:
        """See `Sandbox.start`."""
        launch = Launch(
            argv=_argv(command),
            user=self._allowed(user),
            cwd=cwd or "",
            env={**self.spec.env, **(env or {})},
            seconds=self._seconds_left,
            tty=tty,
        )
        return await self._start(launch)

    async def upload(self, path: str, data: bytes | Path) -> None:
        """See `Sandbox.upload`."""
        await transfer.upload(self._trusted, path, await transfer.content(data))

    async def download(self, path: str, *, max_bytes: int = MAX_TRANSFER) -> bytes:
        """See `Sandbox.download`."""
        return await transfer.download(self._trusted, path, max_bytes)

    async def upload_folder(self, path: str, folder: Path) -> None:
        """See `Sandbox.upload_folder`."""
        await transfer.upload_folder(self._trusted, path, folder)

    async def download_folder(
        self, path: str, folder: Path, *, max_bytes: int = MAX_TRANSFER
    ) -> None:
        """See `Sandbox.download_folder`."""
        await transfer.download_folder(self._trusted, path, folder, max_bytes)

    async def save(self, path: str, *, max_bytes: int = MAX_TRANSFER) -> bytes:
        """See `Sandbox.save`."""
        return await transfer.save(self._trusted, path, max_bytes)

    async def restore(self, path: str, archive: bytes) -> None:
        """See `Sandbox.restore`."""
        await transfer.restore(self._trusted, path, archive)

    async def fill(self, files: Mapping[str, bytes]) -> None:
        """Write the spec's files, absolute paths, in one go."""
        archive = transfer.pack({path.lstrip("/"): data for path, data in files.items()})
        argv = ["tar", "-x", "--no-same-owner", "-C", "/", "-f", "-"]
        got = await self._trusted(argv, timeout=120, stdin=archive, limit=1 << 12)
        if got.code != 0:
            raise self._lost(
                f"the files could not be copied into the sandbox: {got.error.strip()[:300]}"
            )

    async def _trusted(
        self, argv: list[str], *, timeout: float, stdin: bytes | None, limit: int
    ) -> transfer.Output:
        job = Job(
            argv=argv,
            timeout=timeout,
            out=Kept(limit),
            err=Kept(1 << 12),
            user=self.user,
            stdin=stdin,
        )
        if (code := await self._run(job)) is None:
            raise self._lost("a transfer did not end in time")
        return transfer.Output(code, bytes(job.out.data), job.out.truncated, job.err.text)


def _argv(command: Command) -> list[str]:
    """The argument vector of a command; a text is run by bash where there is one."""
    argv = list(command)
    if isinstance(command, str):
        script = 'if command -v bash >/dev/null 2>&1; then exec bash -c "$1"; fi; exec sh -c "$1"'
        argv = ["sh", "-c", script, "sh", command]
    if any(len(word.encode()) >= _ARGUMENT for word in argv):
        raise ValueError("an argument is longer than 128 KiB: use stdin or a file")
    return argv
