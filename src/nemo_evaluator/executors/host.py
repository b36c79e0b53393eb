"""A host that commands are run on and files are written on: this one, or one behind ssh.

Commands are lists of words, never lines for a shell. A file is complete before it has its name, and
has its mode before it has its content.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import subprocess
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Protocol

from ..errors import ConfigError
from ..files.reading import open_regular
from ..files.writing import make_folder

COMMAND_SECONDS = 60.0
PUBLIC, PRIVATE, PROGRAM = 0o644, 0o600, 0o755


class NoCommand(ConfigError):
    """The host has no such command: nothing was done."""


@dataclass(frozen=True, slots=True)
class Done:
    """What came of a command."""

    code: int
    """Its exit code; ``TIMED_OUT`` where it did not end in time."""
    raw: bytes = field(repr=False)
    """What it wrote."""
    err: str

    @property
    def out(self) -> str:
        """The command's standard output, as text."""
        return self.raw.decode(errors="replace")

    @property
    def said(self) -> str:
        """What the command complained of, in one line."""
        lines = (self.err.strip() or self.out.strip()).splitlines()
        return lines[-1].strip() if lines else f"exit code {self.code}"


TIMED_OUT = -1000


@dataclass(frozen=True, slots=True)
class File:
    """A file to be written."""

    content: bytes = field(repr=False)
    mode: int = PUBLIC


class Host(Protocol):
    """Where commands are run and files are."""

    @property
    def name(self) -> str:
        """``user@host``; empty: this host."""

    async def run(
        self, argv: Sequence[str], *, given: bytes = b"", timeout: float = COMMAND_SECONDS
    ) -> Done:
        """Run a command; ``given`` is its standard input. Raises ConfigError where it cannot be
        run at all: there is no such command, or the host is not reached."""

    async def put(self, directory: Path, files: Mapping[str, File]) -> None:
        """Write files below a directory, which is made, as are the folders of the files. Raises
        ConfigError."""

    async def remove(self, directory: Path, *names: str) -> None:
        """Remove files below a directory; those that are not there are no error."""

    async def read(self, path: Path, offset: int = 0) -> bytes | None:
        """What a file holds from an offset on; None where there is no such file."""

    def files(self, directory: Path, *patterns: str) -> AbstractAsyncContextManager[Path]:
        """A directory of this host with the files below ``directory`` that match, as long as the
        block lasts: the directory itself, or a copy of them as they are now."""

    async def copy(self, directory: Path, into: Path, *, without: Sequence[str]) -> None:
        """Copy a directory of the host into one of this host, but for files of some names. Raises
        ConfigError."""


def _environment() -> dict[str, str]:
    """The environment of this process, without the user's ``SBATCH_*``: they win over what is in a
    script, and whoever writes a script has respected those that may."""
    return {name: value for name, value in os.environ.items() if not name.startswith("SBATCH_")}


class ThisHost:
    """This host."""

    name = ""

    async def run(
        self, argv: Sequence[str], *, given: bytes = b"", timeout: float = COMMAND_SECONDS
    ) -> Done:
        """See ``Host``."""
        return await asyncio.to_thread(_run, argv, given, timeout)

    async def put(self, directory: Path, files: Mapping[str, File]) -> None:
        """See ``Host``."""
        await asyncio.to_thread(_write_files, directory, files)

    async def remove(self, directory: Path, *names: str) -> None:
        """See ``Host``."""
        for name in names:
            with contextlib.suppress(OSError):
                (directory / name).unlink(missing_ok=True)

    async def read(self, path: Path, offset: int = 0) -> bytes | None:
        """See ``Host``."""
        try:
            with open_regular(path) as file:
                file.seek(offset)
                return file.read()
        except (OSError, ConfigError):
            return None

    @contextlib.asynccontextmanager
    async def files(self, directory: Path, *patterns: str) -> AsyncIterator[Path]:
        """See ``Host``."""
        yield directory

    async def copy(self, directory: Path, into: Path, *, without: Sequence[str]) -> None:
        """See ``Host``."""
        ignored = shutil.ignore_patterns(*without)
        copied = partial(shutil.copytree, directory, into, ignore=ignored, dirs_exist_ok=True)
        try:
            await asyncio.to_thread(copied)
        except OSError as error:
            raise ConfigError(f"cannot be copied: {error}", where=str(directory)) from None


def _run(argv: Sequence[str], given: bytes, timeout: float) -> Done:
    """Run a command; Ctrl-C is for this program, not for what it asks."""
    try:
        done = subprocess.run(
            argv,
            input=given,
            capture_output=True,
            timeout=timeout,
            start_new_session=True,
            env=_environment(),
        )
    except FileNotFoundError:
        raise NoCommand(
            f"there is no command {argv[0]!r} on this host",
            hint="run this where the command is installed and on PATH",
        ) from None
    except subprocess.TimeoutExpired:
        return Done(TIMED_OUT, b"", f"{argv[0]} did not answer within {timeout:g} s")
    return Done(done.returncode, done.stdout, done.stderr.decode(errors="replace"))


def _write_files(directory: Path, files: Mapping[str, File]) -> None:
    try:
        for name, file in files.items():
            path = directory / name
            make_folder(path.parent)
            _write(path, file)
    except OSError as error:
        raise ConfigError(
            f"cannot be written: {error.strerror or error}",
            where=str(error.filename or directory),
            hint="choose another directory (-o)",
        ) from None


def _write(path: Path, file: File) -> None:
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    part.unlink(missing_ok=True)
    fd = os.open(part, flags, 0o600)
    try:
        with os.fdopen(fd, "wb") as out:
            out.write(file.content)
            out.flush()
            os.fchmod(fd, file.mode)
            os.fsync(fd)
        part.replace(path)
    except BaseException:
        part.unlink(missing_ok=True)
        raise
