"""Processes of local sandboxes: files without a name handed to them, their end, and the orphans.

Every bubblewrap of ours names its owner on its command line, which is how a later run finds what
a killed one left. Only processes called ``bwrap`` are ever looked at or killed there.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import json
import os
import signal
from collections.abc import Sequence
from pathlib import Path

from ..files.owner import find_owner
from . import cgroups
from .contract import SandboxLost

GONE = 10.0
"""Seconds the kernel gets to end what was killed."""


def memory_file(data: bytes) -> int:
    """A file without a name, read from its start by the process that inherits it."""
    fd = os.memfd_create("nel")
    os.write(fd, data)
    os.lseek(fd, 0, os.SEEK_SET)
    return fd


def mark_file() -> int:
    """An empty file without a name that can grow but not shrink."""
    fd = os.memfd_create("nel", os.MFD_ALLOW_SEALING)
    fcntl.fcntl(fd, fcntl.F_ADD_SEALS, fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_SEAL)
    return fd


def is_marked(fd: int) -> bool:
    """Whether something was written into such a file."""
    return os.fstat(fd).st_size > 0


def options(words: Sequence[str]) -> int:
    """Options for ``--args``: in no command line, where any user of the host could read them."""
    return memory_file(b"".join(word.encode() + b"\0" for word in words))


def status(fd: int) -> dict[str, int]:
    """Status lines of bubblewrap: one JSON object per line."""
    fields: dict[str, int] = {}
    for line in os.pread(fd, 1 << 14, 0).splitlines():
        fields.update(json.loads(line))
    return fields


async def feed(pipe: asyncio.StreamWriter | None, data: bytes | None) -> None:
    """Write all of a command's input."""
    if pipe is None or data is None:
        return
    # A program need not read what it is given.
    with contextlib.suppress(ConnectionError):
        pipe.write(data)
        await pipe.drain()
        pipe.close()


def kill_group(pid: int) -> None:
    """Kill a process group, if there still is one."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, signal.SIGKILL)


async def reaped(process: asyncio.subprocess.Process) -> None:
    """Wait for a killed process to be gone. SandboxLost if the kernel will not."""
    try:
        await asyncio.wait_for(process.wait(), GONE)
    except TimeoutError:
        raise SandboxLost("a killed program does not end", peer="local") from None


def running(pid: int, processes: Path) -> bool:
    """Whether the process exists and is not a zombie."""
    try:
        stat = (processes / str(pid) / "stat").read_text()
    except OSError:
        return False
    return stat.rpartition(")")[2].split()[0] != "Z"


def alive(pid: int, processes: Path = Path("/proc")) -> bool:
    """Whether that is a bubblewrap that runs."""
    try:
        stat = (processes / str(pid) / "stat").read_text()
    except OSError:
        return False
    return "(bwrap)" in stat and running(pid, processes)


def reap() -> list[str]:
    """Kill the sandboxes of dead owners on this host, and remove their folders; a line for each.
    Blocks."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and alive(int(entry.name)):
            with contextlib.suppress(OSError):
                owner = find_owner((entry / "cmdline").read_bytes().decode(errors="replace"))
                if owner is not None and owner.abandoned:
                    os.kill(int(entry.name), signal.SIGKILL)
                    found.append(f"process {entry.name}")
    where = cgroups.find()
    for group in where.abandoned() if where is not None else []:
        if cgroups.settle(group):
            found.append(f"cgroup {group.places[0].name}")
    return found
