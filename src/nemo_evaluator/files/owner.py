"""Labels that name the owner of a sandbox or of a server, so that a later run can remove what was
left behind.

A label is ``run.place.boot.pid.start``: ``place`` stands for this host and this pid namespace,
``boot`` for this start of the machine, ``start`` for the moment the process began (pids are used
again). A sandbox is abandoned only if its owner ran on this host *and in this PID namespace*
and is gone. Owners elsewhere cannot be checked from here; their sandboxes are left alone.
"""

from __future__ import annotations

import hashlib
import os
import re
import secrets
import socket
from functools import cache
from pathlib import Path
from typing import NamedTuple

LABEL = "nemo-evaluator.sandbox.owner"
_TOKEN = re.compile(r"[\w-]{1,40}\.[0-9a-f]{12}\.[0-9a-f]{8}\.\d+\.\d+")


class Owner(NamedTuple):
    """One process that makes sandboxes."""

    run: str
    place: str
    boot: str
    pid: int
    start: int

    def __str__(self) -> str:
        return ".".join(map(str, self))

    @property
    def abandoned(self) -> bool:
        """Whether the process ran on this host, in this PID namespace, and has ended."""
        if self.place != _place():
            return False
        return self.boot != _boot() or _started(self.pid) != self.start


def this_process(run_id: str | None = None) -> Owner:
    """The owner of what this process makes. Without a run id, a random one."""
    run = re.sub(r"[^\w-]", "-", run_id or secrets.token_hex(4), flags=re.ASCII)[:40]
    pid = os.getpid()
    return Owner(run, _place(), _boot(), pid, _started(pid) or 0)


def find_owner(text: str) -> Owner | None:
    """The first owner named in a label, a file name or a command line."""
    if (match := _TOKEN.search(text)) is None:
        return None
    run, place, boot, pid, start = match.group().split(".")
    return Owner(run, place, boot, int(pid), int(start))


def _digest(text: str, size: int) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:size]


@cache
def _place() -> str:
    try:
        namespace = str(Path("/proc/self/ns/pid").readlink())
    except OSError:
        namespace = ""
    return _digest(f"{socket.gethostname()} {namespace}", 12)


@cache
def _boot() -> str:
    try:
        return _digest(Path("/proc/sys/kernel/random/boot_id").read_text(), 8)
    except OSError:
        return "0" * 8


def _started(pid: int) -> int | None:
    """Clock ticks from boot to the start of a process; None if there is none. Without /proc, 0."""
    try:
        # The command name may hold spaces and parentheses; the fields after it do not.
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0 if not Path("/proc/self/stat").exists() and _answers(pid) else None
    return None if fields[0] == "Z" else int(fields[19])


def _answers(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
