"""The contract between code that runs untrusted programs and the sandboxes they run in.

A sandbox is a fresh, isolated place with a working directory, no network unless asked for, and
hard limits. What the code inside does is always a *result* (`ExecResult`: an exit code, a
time-out, an out-of-memory kill); only what the engine fails to do is an error, and that error is
an `InfraError`, so that a broken sandbox never becomes a score. Nothing here runs anything;
`nemo_evaluator.testing.sandboxes` checks that a backend keeps all of it.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from pathlib import Path
from typing import Protocol, runtime_checkable

from ..errors import InfraError, PermanentError
from ..http.listener import Listener
from ..sandbox_spec import UNPRIVILEGED, BuildSpec, Limits, Network, SandboxSpec
from ..types import Failure, Phase, Record

__all__ = [
    "MAX_TRANSFER",
    "UNPRIVILEGED",
    "Backend",
    "BecomesImage",
    "BuildFailed",
    "BuildSpec",
    "Change",
    "Command",
    "ExecResult",
    "ImageBuilder",
    "Limits",
    "Network",
    "OfImage",
    "Output",
    "Process",
    "Sandbox",
    "SandboxLost",
    "SandboxSpec",
]

Command = str | Sequence[str]
"""An argument vector, run as it is; or one text for the shell (bash where there is one)."""

MAX_TRANSFER = 64 << 20
"""Bytes one upload or download may have unless the caller says otherwise."""


class SandboxLost(InfraError):
    """The engine failed, or the sandbox is gone; nothing is known about the code."""

    default_kind = Failure.SANDBOX

    def __init__(
        self, message: str, *, peer: str | None = None, phase: Phase = Phase.VERIFY
    ) -> None:
        super().__init__(message, phase=phase, peer=peer)


class BuildFailed(SandboxLost, PermanentError):
    """An image cannot be built, or its base is not to be had. It is not tried again in this run."""


class ExecResult(Record, frozen=True, kw_only=True):
    """What became of one command."""

    exit_code: int
    """Exit code as a shell reports it: 128 + n for a death by signal n; 124 after a timeout."""
    stdout: str = ""
    stderr: str = ""
    """UTF-8 with replacement characters; at most ``output_bytes`` each, the beginning is kept."""
    stdout_truncated: bool = False
    stderr_truncated: bool = False
    timed_out: bool = False
    oom: bool = False
    """The kernel killed something inside for want of memory (known where cgroups count it)."""
    duration: float = 0.0
    """Seconds of wall clock."""

    @property
    def ok(self) -> bool:
        """Ended by itself, in time, with exit code 0."""
        return self.exit_code == 0 and not self.timed_out

    @property
    def killed_by(self) -> str | None:
        """``timeout``, ``memory`` or ``signal N``; None when it ended by itself."""
        if self.timed_out:
            return "timeout"
        if self.oom:
            return "memory"
        return f"signal {self.exit_code - 128}" if 128 < self.exit_code <= 192 else None


class Output(Protocol):
    """What a running process prints. ``async for chunk in output`` follows it to its end; a reader
    that is slower than the process misses what is no longer kept."""

    @property
    def text(self) -> str:
        """The last ``output_bytes`` so far, as UTF-8 with replacement characters."""

    def __aiter__(self) -> AsyncIterator[bytes]: ...


class Process(Protocol):
    """A command that runs beside others. It ends with its sandbox at the latest."""

    @property
    def stdout(self) -> Output:
        """The process's standard output."""

    @property
    def stderr(self) -> Output:
        """The process's standard error; empty where the process has a terminal, which has one
        stream."""

    @property
    def running(self) -> bool:
        """Whether the process has not ended yet, as far as is known."""

    async def write(self, data: bytes) -> None:
        """Write to its standard input. BrokenPipeError if it is not read any more."""

    async def close_stdin(self) -> None:
        """End its standard input."""

    async def wait(self, timeout: float | None = None) -> int:
        """The process's exit code, as a shell reports it. TimeoutError when it still runs after
        that time."""

    async def kill(self) -> None:
        """End the process and all that it started; it is dead when this returns. Safe to call
        twice."""


class Sandbox(Protocol):
    """One isolated place. Files live until ``close``; processes die with the ``exec`` they came of,
    those of ``start`` with ``kill``, ``end_processes`` or ``close``.

    Every method raises SandboxLost when the engine fails or the sandbox is gone.
    """

    spec: SandboxSpec
    user: int
    """The user who runs the commands that name no user; at first the spec's."""

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
        """Run a command to its end or to its time limit; nothing it started survives.

        ``env`` is added to the spec's. Without ``stdin`` the command reads an empty one. One
        argument may have 128 KiB (a limit of Linux; ValueError beyond): long programs go in as
        ``stdin`` or as a file. One ``exec`` at a time; processes of ``start`` run beside it.
        """

    async def start(
        self,
        command: Command,
        *,
        cwd: str | None = None,
        env: Mapping[str, str] | None = None,
        user: int | None = None,
        tty: bool = False,
    ) -> Process:
        """Start a command that runs on in the background, at most for the sandbox's lifetime.

        ``tty``: with a terminal as its standard input and output.
        """

    async def listen(self) -> Listener:
        """A listener on an address *inside*, which this process serves: all that a sandbox with
        ``network: door`` reaches. The caller closes it. ConfigError where this user may not make
        one; not for ``network: host``, which reaches this process anyway.
        """

    async def end_processes(self) -> None:
        """End every process inside, whoever started it. The files stay, and commands may follow."""

    async def upload(self, path: str, data: bytes | Path) -> None:
        """Write a file inside, making its folders. ValueError beyond `MAX_TRANSFER` bytes."""

    async def download(self, path: str, *, max_bytes: int = MAX_TRANSFER) -> bytes:
        """A file's bytes. FileNotFoundError if it is none; ValueError if it is larger."""

    async def upload_folder(self, path: str, folder: Path) -> None:
        """Copy a folder of the host to ``path`` inside."""

    async def download_folder(
        self, path: str, folder: Path, *, max_bytes: int = MAX_TRANSFER
    ) -> None:
        """Copy a folder to the host: regular files and folders only, nothing outside ``folder``."""

    async def save(self, path: str, *, max_bytes: int = MAX_TRANSFER) -> bytes:
        """A folder as a tar archive, links and modes included; for ``restore`` in another sandbox.
        FileNotFoundError if it is none; ValueError if the archive is larger."""

    async def restore(self, path: str, archive: bytes) -> None:
        """Unpack an archive of ``save`` below a folder."""

    async def close(self) -> None:
        """End it and remove everything it left; safe to call twice."""


class Change(Record, frozen=True, kw_only=True):
    """A path of a sandbox that is not as in its image."""

    path: str
    added: bool
    """It is not in the image; else it was changed or removed."""


@runtime_checkable
class OfImage(Protocol):
    """What a `Sandbox` also is that can be compared with its image, from outside."""

    programs: Sequence[str]
    """What the container runs by itself: the words of the image's entry point."""

    async def changes(self) -> list[Change]:
        """What is not as in the image, folders included."""

    async def set_back(self, paths: Sequence[str]) -> None:
        """Have files as they are in the image; those that are not in it become empty. Ends every
        process."""


@runtime_checkable
class Backend(Protocol):
    """One way to make sandboxes. Used through a `SandboxPool`, which bounds and reaps."""

    name: str

    async def preflight(self) -> Mapping[str, str]:
        """What the engine is and which limits it enforces, under readable keys.

        Raises ConfigError, with the way to fix it, when it cannot run a sandbox here.
        """

    def check(self, spec: SandboxSpec) -> None:
        """Raise ConfigError for a spec this backend cannot honour."""

    async def pull(self, image: str | None) -> None:
        """Have an image at hand (None: the default one). ConfigError when there is none."""

    async def create(self, spec: SandboxSpec) -> Sandbox:
        """A fresh sandbox with the spec's files in it."""

    async def reap(self) -> list[str]:
        """Remove what dead owners on this host left behind; the names of what was removed."""

    async def close(self) -> None:
        """Release what the backend itself holds; safe to call twice."""


@runtime_checkable
class BecomesImage(Protocol):
    """What a `Sandbox` also is whose whole file system can be kept."""

    async def become_image(self, name: str) -> str:
        """Make an image of it as it is now; what the engine calls the image."""


@runtime_checkable
class ImageBuilder(Protocol):
    """What a `Backend` also is that builds images (``SandboxSpec.build``)."""

    async def build(self, build: BuildSpec) -> str:
        """Build an image unless it is there already; its name, for ``SandboxSpec.image``.

        Raises BuildFailed with the last lines of the log.
        """
