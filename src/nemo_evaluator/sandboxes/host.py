"""A private folder of this machine, for an agent that is to run outside of any sandbox.

Nothing confines the agent: it may do what this user may do. What holds all the same: its
environment is what it is given and not ours; whatever it started is ended with its command, also
what left its session and its parents; its folder is removed, also that of an evaluation that was
killed.
"""

from __future__ import annotations

import asyncio
import contextlib
import io
import os
import shutil
import signal
import sys
import tarfile
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from ..files.owner import find_owner, this_process
from .contract import MAX_TRANSFER, Command, ExecResult, SandboxLost
from .processes import feed, kill_group
from .streams import Kept, drain

PREFIX = "nel-host-"
OUTPUT_BYTES = 1 << 20
GRACE_SECONDS = 15.0
"""For the keeper of a command to end all that it started."""
_TIMED_OUT = 124
KEEPER = """\
import ctypes, os, signal, sys, time
prctl = getattr(ctypes.CDLL(None), "prctl", lambda *_: 0)
prctl(36, 1)
prctl(1, signal.SIGTERM)
def family():
    parents = {}
    for name in filter(str.isdigit, os.listdir("/proc") if os.path.isdir("/proc") else ()):
        try:
            with open(f"/proc/{name}/stat") as file:
                parents[int(name)] = int(file.read().rpartition(")")[2].split()[1])
        except OSError:
            pass
    found = [os.getpid()]
    for one in found:
        found += [pid for pid, parent in parents.items() if parent == one]
    return found[1:]
def end(code):
    until = time.monotonic() + 10
    while time.monotonic() < until:
        for pid in family() or ([child] if child else []):
            try:
                os.kill(pid, signal.SIGKILL)
            except OSError:
                pass
        try:
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass
            time.sleep(0.01)
        except ChildProcessError:
            break
    os._exit(code)
child = 0
signal.signal(signal.SIGTERM, lambda *_: end(143))
if os.getppid() != int(sys.argv[1]):
    sys.exit(1)
child = os.fork()
if child == 0:
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    try:
        os.execvp(sys.argv[2], sys.argv[2:])
    except OSError as error:
        os.write(2, f"{sys.argv[2]}: {error.strerror}\\n".encode())
        os._exit(127 if isinstance(error, FileNotFoundError) else 126)
while True:
    pid, status = os.waitpid(-1, 0)
    if pid == child:
        break
code = os.waitstatus_to_exitcode(status)
end(code if code >= 0 else 128 - code)
"""
"""Runs a command and ends with all it started (PR_SET_CHILD_SUBREAPER), also where we are killed
(PR_SET_PDEATHSIG)."""


class HostFolder:
    """See the module. Paths are relative to it, or absolute."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @classmethod
    async def open(cls) -> HostFolder:
        """A new, empty folder that only this user may enter. The caller closes it."""
        return cls(await asyncio.to_thread(_make_folder))

    async def close(self) -> None:
        """Remove the folder; safe to call twice."""
        await asyncio.to_thread(shutil.rmtree, self.path, ignore_errors=True)

    async def exec(
        self,
        command: Command,
        *,
        timeout: float | None = None,
        cwd: str | None = None,
        env: Mapping[str, str] | None = None,
        stdin: bytes | None = None,
        output_bytes: int | None = None,
    ) -> ExecResult:
        """Run a command to its end or to its time limit; nothing it started survives. Its whole
        environment is ``env``, with PATH, HOME (the folder), LANG and TMPDIR where it has none."""
        argv = ["/bin/sh", "-c", command] if isinstance(command, str) else list(command)
        began, timed_out = time.monotonic(), False
        keeper = await asyncio.create_subprocess_exec(
            *kept(argv),
            cwd=self.path / (cwd or "."),
            env=self._environment(env or {}),
            stdin=asyncio.subprocess.DEVNULL if stdin is None else asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            start_new_session=True,
        )
        out, err = Kept(output_bytes or OUTPUT_BYTES), Kept(output_bytes or OUTPUT_BYTES)
        assert keeper.stdout is not None and keeper.stderr is not None
        try:
            async with asyncio.timeout(timeout), asyncio.TaskGroup() as tasks:
                tasks.create_task(feed(keeper.stdin, stdin))
                tasks.create_task(drain(keeper.stdout, out))
                tasks.create_task(drain(keeper.stderr, err))
                await keeper.wait()
        except TimeoutError:
            timed_out = True
        finally:
            await _end_keeper(keeper)
        return ExecResult(
            exit_code=_TIMED_OUT if timed_out else keeper.returncode or 0,
            stdout=out.text,
            stderr=err.text,
            stdout_truncated=out.truncated,
            stderr_truncated=err.truncated,
            timed_out=timed_out,
            duration=time.monotonic() - began,
        )

    async def upload(self, path: str, data: bytes) -> None:
        """Write a file that only this user may read, making its folders."""
        await asyncio.to_thread(_write, self.path / path, data)

    async def download(self, path: str, *, max_bytes: int = MAX_TRANSFER) -> bytes:
        """A file's bytes. FileNotFoundError if it is none; ValueError if it is larger."""
        return await asyncio.to_thread(_read, self.path / path, max_bytes)

    async def save(self, path: str, *, max_bytes: int = MAX_TRANSFER) -> bytes:
        """A folder as a tar archive, for ``restore`` in a sandbox. ValueError if it is larger."""
        return await asyncio.to_thread(_packed, self.path / path, max_bytes)

    async def restore(self, path: str, archive: bytes) -> None:
        """Unpack an archive below a folder. SandboxLost for one that would write elsewhere."""
        await asyncio.to_thread(_unpacked, self.path / path, archive)

    def _environment(self, env: Mapping[str, str]) -> dict[str, str]:
        base = {"PATH": os.environ.get("PATH", os.defpath), "LANG": "C.UTF-8"}
        return {**base, "HOME": str(self.path), "TMPDIR": str(self.path), **env}


def kept(argv: Sequence[str]) -> list[str]:
    """The command that runs another one and ends with all that it started, at SIGTERM and where
    this process is killed."""
    return [sys.executable, "-I", "-S", "-c", KEEPER, str(os.getpid()), *argv]


async def _end_keeper(keeper: asyncio.subprocess.Process) -> None:
    """The keeper has ended all that it kept; it is killed if it cannot."""
    if keeper.returncode is None:
        with contextlib.suppress(ProcessLookupError):
            keeper.send_signal(signal.SIGTERM)
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(asyncio.shield(keeper.wait()), GRACE_SECONDS)
    kill_group(keeper.pid)
    await keeper.wait()


def _make_folder() -> Path:
    """A folder that names its owner. What dead owners left is removed first."""
    for old in Path(tempfile.gettempdir()).glob(f"{PREFIX}*"):
        if (owner := find_owner(old.name)) is not None and owner.abandoned:
            shutil.rmtree(old, ignore_errors=True)
    return Path(tempfile.mkdtemp(prefix=f"{PREFIX}{this_process('agent')}-"))


def _write(path: Path, data: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:  # noqa: PTH123
        file.write(data)


def _read(path: Path, most: int) -> bytes:
    if not path.is_file():
        raise FileNotFoundError(f"{path.name}: no such file")
    if path.stat().st_size > most:
        raise ValueError(f"{path.name}: more than {most} bytes")
    return path.read_bytes()


def _packed(folder: Path, most: int) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for entry in sorted(folder.iterdir()):
            archive.add(entry, entry.name, filter=_storable)
            if buffer.tell() > most:
                raise ValueError(f"{folder.name}: more than {most} bytes")
    return buffer.getvalue()


def _storable(member: tarfile.TarInfo) -> tarfile.TarInfo | None:
    """Files, folders and links, without their owner."""
    if not (member.isfile() or member.isdir() or member.issym()):
        return None
    member.uid = member.gid = 0
    member.uname = member.gname = ""
    return member


def _unpacked(folder: Path, archive: bytes) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    if not archive:
        return
    try:
        with tarfile.open(fileobj=io.BytesIO(archive)) as opened:
            # Python has this filter from 3.11.4 on.
            opened.extraction_filter = getattr(tarfile, "data_filter", None)
            opened.extractall(folder)
    except (tarfile.TarError, OSError) as error:
        raise SandboxLost(f"the files of the workspace cannot be copied: {error}") from None
