"""A host behind ssh: the user's own ssh, with the user's own configuration and keys.

All commands of a host share one connection (ControlMaster), whose socket is in a folder of this
user. Nothing is ever asked: a host that wants a password is an error that says how to open the
connection first. Secrets go through standard input, never into a command line.
"""

from __future__ import annotations

import asyncio
import contextlib
import io
import os
import shlex
import stat
import subprocess
import tarfile
import tempfile
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from pathlib import Path

from ..errors import ConfigError
from .host import COMMAND_SECONDS, PROGRAM, Done, File, NoCommand, ThisHost

CONNECT_SECONDS = 20
KEPT_SECONDS = 120
"""How long the connection stays open after the last command."""
FAILED = 255
"""The exit code of ssh itself."""
SOCKETS = Path("~/.ssh/nel")
LONGEST_FOLDER = 45
"""Characters of the folder of sockets: with their names, the system takes 108."""
_WRITE = 'mkdir -p -- "$1" && umask 077 && exec tar -xpf - -C "$1"'
_READ = '[ -f "$1" ] || exit 44; exec tail -c "+$2" -- "$1"'
_COPY = (
    'cd -- "$1" 2>/dev/null || exit 0; shift; ls -d -- $* 2>/dev/null | tar -cf - -T - 2>/dev/null'
)
_MISSING = 44
_NO_COMMAND = 127
_CHANGED = 1
"""The exit code of tar where a file changed while it was read."""


class SshHost:
    """A host that is reached with ``ssh``."""

    def __init__(self, name: str) -> None:
        if name.startswith("-"):
            raise ConfigError(f"{name!r} is not the name of a host", where="cluster.hostname")
        self._name = name
        self._here = ThisHost()

    @property
    def name(self) -> str:
        """``user@host``, or a name of the user's ssh configuration."""
        return self._name

    async def run(
        self, argv: Sequence[str], *, given: bytes = b"", timeout: float = COMMAND_SECONDS
    ) -> Done:
        """See ``Host``."""
        words = [*self._ssh(), "--", self._name, shlex.join(argv)]
        done = await self._here.run(words, given=given, timeout=timeout)
        if done.code == FAILED:
            raise ConfigError(
                f"ssh: {done.said}",
                where=self._name,
                hint=f"`ssh {self._name} true` must work without a question: check the name, keys "
                "(ssh-agent) and ~/.ssh/config, or open a connection with ControlMaster first",
            )
        if done.code == _NO_COMMAND:
            what = f"there is no command {argv[0]!r} there"
            hint = "it must be on PATH of a shell that ssh starts without a terminal"
            raise NoCommand(what, where=self._name, hint=hint)
        return done

    async def put(self, directory: Path, files: Mapping[str, File]) -> None:
        """See ``Host``."""
        archive = io.BytesIO()
        folders = {str(parent) for name in files for parent in Path(name).parents} - {"."}
        with tarfile.open(fileobj=archive, mode="w") as tar:
            for name in sorted(folders):
                tar.addfile(_entry(name, PROGRAM, tarfile.DIRTYPE))
            for name, file in files.items():
                entry = _entry(name, file.mode, tarfile.REGTYPE)
                entry.size = len(file.content)
                tar.addfile(entry, io.BytesIO(file.content))
        given = archive.getvalue()
        done = await self.run(["sh", "-c", _WRITE, "sh", str(directory)], given=given, timeout=300)
        if done.code != 0:
            hint = "choose another directory (output.dir, or -o)"
            where = f"{self._name}:{directory}"
            raise ConfigError(f"cannot be written: {done.said}", where=where, hint=hint)

    async def remove(self, directory: Path, *names: str) -> None:
        """See ``Host``."""
        await self.run(["rm", "-f", "--", *(str(directory / name) for name in names)])

    async def read(self, path: Path, offset: int = 0) -> bytes | None:
        """See ``Host``."""
        words = ["sh", "-c", _READ, "sh", str(path), str(offset + 1)]
        done = await self.run(words)
        return None if done.code == _MISSING else done.raw

    @contextlib.asynccontextmanager
    async def files(self, directory: Path, *patterns: str) -> AsyncIterator[Path]:
        """See ``Host``."""
        done = await self.run(["sh", "-c", _COPY, "sh", str(directory), *patterns])
        with tempfile.TemporaryDirectory(prefix="nel-copy-") as folder:
            if done.raw:
                with tarfile.open(fileobj=io.BytesIO(done.raw)) as tar:
                    tar.extractall(folder, filter="data")
            yield Path(folder)

    async def copy(self, directory: Path, into: Path, *, without: Sequence[str]) -> None:
        """See ``Host``."""
        excluded = [f"--exclude={name}" for name in without]
        words = ["tar", "-C", str(directory), *excluded, "-cf", "-", "."]
        argv = [*self._ssh(), "--", self._name, shlex.join(words)]
        code = await asyncio.to_thread(_unpack, argv, into)
        if code not in (0, _CHANGED):
            where = f"{self._name}:{directory}"
            raise ConfigError(f"cannot be copied (exit code {code})", where=where)

    def _ssh(self) -> list[str]:
        folder = _sockets()
        options = {
            "BatchMode": "yes",
            "ConnectTimeout": str(CONNECT_SECONDS),
            "ControlMaster": "auto",
            "ControlPath": f"{folder}/%C",
            "ControlPersist": str(KEPT_SECONDS),
        }
        return ["ssh", *(word for k, v in options.items() for word in ("-o", f"{k}={v}"))]


def _unpack(argv: Sequence[str], into: Path) -> int:
    """Unpack what a command writes, as it comes: its exit code. Raises ConfigError."""
    try:
        into.mkdir(parents=True, exist_ok=True)
        with subprocess.Popen(argv, stdout=subprocess.PIPE, stdin=subprocess.DEVNULL) as process:
            with (
                contextlib.suppress(tarfile.ReadError),  # it wrote nothing: its code says why
                tarfile.open(fileobj=process.stdout, mode="r|") as tar,
            ):
                tar.extractall(into, filter="data")
            return process.wait()
    except OSError as error:
        raise ConfigError(f"cannot be written: {error.strerror}", where=str(into)) from None


def _entry(name: str, mode: int, kind: bytes) -> tarfile.TarInfo:
    entry = tarfile.TarInfo(name)
    entry.mode, entry.type, entry.mtime = mode, kind, int(time.time())
    return entry


def _sockets() -> Path:
    """A folder of this user alone, whose name is short enough for sockets."""
    folder = SOCKETS.expanduser()
    if len(str(folder)) > LONGEST_FOLDER:
        folder = Path(f"/tmp/nel-ssh-{os.getuid()}")
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    found = folder.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid():
        raise ConfigError("is not a folder of this user", where=str(folder), hint="remove it")
    folder.chmod(0o700)
    return folder
