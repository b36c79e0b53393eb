"""Who a run directory belongs to: the line of ``.lock`` that names the process, and its token.

The line begins ``pid 7 on host``, as earlier versions wrote and read it. The words after that say
which process of which kernel it is: a number that was given to another process, or a host name that
two machines share, names no other process. The last is the token: a number that grows with every
owner, and a random mark.
"""

from __future__ import annotations

import os
import re
import secrets
import socket
from dataclasses import dataclass
from functools import cache
from pathlib import Path

FRESH_SECONDS = 60.0
"""An owner that was seen within this time is taken to be alive where nothing better is known."""
LINE_BYTES = 512
"""Length of the line. It is written in place by one call, so a reader never sees a part of it."""
_LINE = re.compile(r"pid (\d+) on (\S+)((?: [a-z]+=\S*)*)\s*")
_FREE = re.compile(r"free (\d+)\s*")


@dataclass(frozen=True, slots=True)
class Owner:
    """The process that a directory says it belongs to."""

    pid: int
    host: str
    seen: float
    """Seconds since its last heartbeat, by the clock of this host."""
    token: int = 0
    """Number of its token; 0 for processes of earlier versions, which have none."""
    mark: str = ""
    kernel: str = ""
    """Identity of the running kernel: of the machine, since it was started."""
    space: str = ""
    """Identity of the space in which ``pid`` is a number: a container has one of its own."""
    begun: str = ""
    """When the process was started, in ticks of that kernel."""
    job: str = ""
    """Its job, where a scheduler runs it."""
    cluster: str = ""
    """The scheduler's name of the cluster."""
    start: str = ""
    """Which start of the job it is: a job that is requeued has the same id."""

    @property
    def here(self) -> bool:
        """Whether it is, or was, a process of this machine since it was started."""
        return self.kernel == _kernel() if self.kernel else self.host == socket.gethostname()

    @property
    def fresh(self) -> bool:
        """Whether the owner was seen lately."""
        return self.seen < FRESH_SECONDS

    @property
    def told_by_pid(self) -> bool:
        """Whether this process can tell by its number whether it still runs."""
        return self.here and self.space in ("", _space())

    @property
    def alive(self) -> bool:
        """Whether it still runs, as far as can be told without its file lock."""
        if not self.told_by_pid:
            return self.fresh
        if self.pid == os.getpid() and self.begun in ("", _begun(self.pid)):
            return False  # an earlier lock of this process
        return _exists(self.pid) and self.begun in ("", _begun(self.pid))

    def line(self) -> bytes:
        """What is written into ``.lock``."""
        words = {
            "token": str(self.token),
            "mark": self.mark,
            "kernel": self.kernel,
            "space": self.space,
            "begun": self.begun,
            "job": self.job,
            "cluster": self.cluster,
            "start": self.start,
        }
        fields = "".join(f" {key}={value}" for key, value in words.items() if value)
        return f"pid {self.pid} on {self.host}{fields}".encode()[: LINE_BYTES - 1].ljust(
            LINE_BYTES - 1
        ) + (b"\n")

    def __str__(self) -> str:
        job = f" (job {self.job})" if self.job else ""
        return f"pid {self.pid} on {self.host}{job}"


def this_process(token: int) -> Owner:
    """This process as the owner with a token."""
    env = os.environ
    return Owner(
        pid=os.getpid(),
        host=_word(socket.gethostname()) or "localhost",
        seen=0.0,
        token=token,
        mark=secrets.token_hex(8),
        kernel=_kernel(),
        space=_space(),
        begun=_begun(os.getpid()),
        job=_word(env.get("SLURM_JOB_ID", "")),
        cluster=_word(env.get("SLURM_CLUSTER_NAME", "")),
        start=_word(env.get("SLURM_RESTART_COUNT", "")),
    )


def owner_in(text: bytes, seen: float) -> Owner | None:
    """The owner that a line names; ``seen``: seconds since it was touched."""
    match = _LINE.match(text.decode(errors="replace"))
    if match is None:
        return None
    words = dict(word.split("=", 1) for word in match[3].split())
    known = ("mark", "kernel", "space", "begun", "job", "cluster", "start")
    named = {key: words[key] for key in known if key in words}
    token = words.get("token", "")
    return Owner(int(match[1]), match[2], seen, int(token) if token.isdecimal() else 0, **named)


def free_line(token: int) -> bytes:
    """What stands in ``.lock`` once its owner has given the directory back."""
    return f"free {token}".encode().ljust(LINE_BYTES - 1) + b"\n"


def token_in(text: bytes) -> int:
    """Number of the last token that a line knows of; 0 for none."""
    if free := _FREE.match(text.decode(errors="replace")):
        return int(free[1])
    owner = owner_in(text, 0.0)
    return owner.token if owner is not None else 0


def _word(text: str) -> str:
    return "".join(text.split())[:100]


@cache
def _kernel() -> str:
    try:
        return _word(Path("/proc/sys/kernel/random/boot_id").read_text())
    except OSError:
        return ""


def _space() -> str:
    try:
        return _word(str(Path("/proc/self/ns/pid").readlink()))
    except OSError:
        return ""


def _status(pid: int) -> list[str]:
    """The words of ``/proc/<pid>/stat`` after the name of the program; empty where there are
    none."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(errors="replace")
    except OSError:
        return []
    return stat.rpartition(")")[2].split()


def _begun(pid: int) -> str:
    words = _status(pid)
    return words[19] if len(words) > 19 else ""


def _exists(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True  # somebody else's
    return _status(pid)[:1] != ["Z"]  # a zombie has ended
