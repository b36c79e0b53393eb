"""One program of a server, started here, and ended with everything it started.

Invariant: when this process ends, however that is, so does the program.
"""

from __future__ import annotations

import contextlib
import math
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from .server_log import ServerLog

PR_SET_PDEATHSIG = 1
CLEAN_UP_SECONDS = 30.0
WORDS_SECONDS, DRAIN_SECONDS = 2.0, 10.0
"""How long the rest of a log is waited for: of a program that ended, and of one that was ended with
all it started, where only a busy machine can keep it back."""
_GUARD = (
    'read _; kill -s TERM -- "-$0"; sleep "$1"; kill -s KILL -- "-$0"; '
    'shift; [ $# = 0 ] || exec "$@"'
)


@dataclass(frozen=True, slots=True)
class Program:
    """What is run: nothing in it is to be filled in."""

    argv: tuple[str, ...]
    env: Mapping[str, str]
    role: str = ""
    """What its lines in the log begin with; empty where the server is one program."""
    folder: str | None = None
    listens_on: int | None = None
    """A port that takes connections once it is up."""
    clean_up: tuple[str, ...] = ()
    """A command that removes what the program leaves when it is killed: its container."""


class Child:
    """A program that runs. Raises OSError if it cannot be started."""

    def __init__(self, program: Program, log: ServerLog, stop_timeout: float) -> None:
        self.program, self._stop_timeout = program, stop_timeout
        self._process = subprocess.Popen(
            program.argv,
            env=program.env,
            cwd=program.folder,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            preexec_fn=_ends_with_parent(),
        )
        self._guard = _guard(self._process.pid, stop_timeout, program.clean_up)
        self._reader = threading.Thread(
            target=log.read, args=(self._process.stdout, program.role), daemon=True
        )
        self._reader.start()

    @property
    def pid(self) -> int:
        """The process id of the program itself."""
        return self._process.pid

    def code(self) -> int | None:
        """The program's exit code; None while it runs."""
        return self._process.poll()

    def last_words(self) -> None:
        """Wait a moment for what an ended program said last: what it has started may go on."""
        self._reader.join(WORDS_SECONDS)

    def stop(self) -> None:
        """End the program and every process that it started; blocks. Safe to call twice."""
        process = self._process
        if self._guard is not None:
            self._guard.kill()  # before its input is closed: to it, that is our death
            self._guard.communicate()
            self._guard = None
        found = descendants(process.pid)
        _signal_group(process.pid, signal.SIGTERM)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(self._stop_timeout)
        found |= descendants(process.pid)
        _signal_group(process.pid, signal.SIGKILL)
        for pid, began in found.items():  # those that left the group
            if began and _stat(pid)[1] == began:
                with contextlib.suppress(OSError):
                    os.kill(pid, signal.SIGKILL)
        process.wait()
        self._clean_up()
        self._reader.join(DRAIN_SECONDS)
        if process.stdout is not None and not self._reader.is_alive():
            process.stdout.close()

    def _clean_up(self) -> None:
        if self.program.clean_up:
            with contextlib.suppress(OSError, subprocess.TimeoutExpired):
                subprocess.run(
                    self.program.clean_up,
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.DEVNULL,
                    stderr=subprocess.DEVNULL,
                    timeout=CLEAN_UP_SECONDS,
                    check=False,
                )


def descendants(pid: int) -> dict[int, str]:
    """The processes below one, also those that left its group, and when each began."""
    children: dict[int, dict[int, str]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            parent, began = _stat(int(entry.name))
            children.setdefault(parent, {})[int(entry.name)] = began
    found: dict[int, str] = {}
    below = {**children.get(pid, {})}
    while below:
        child, began = below.popitem()
        found[child] = began
        below |= children.get(child, {})
    return found


def _stat(pid: int) -> tuple[int, str]:
    """The parent of a process, and when it began; 0 and nothing for one that is gone."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        return int(fields[1]), fields[19]
    except (OSError, ValueError, IndexError):
        return 0, ""


def _ends_with_parent() -> Callable[[], None] | None:
    """What the new process does first: the kernel is to end it when this process dies, however that
    happens. None where there is no such thing."""
    if sys.platform != "linux":
        return None
    import ctypes

    control, parent = ctypes.CDLL(None).prctl, os.getpid()

    def arrange() -> None:
        control(PR_SET_PDEATHSIG, signal.SIGTERM)
        if os.getppid() != parent:  # it died before that
            os._exit(1)

    return arrange


def _guard(group: int, seconds: float, clean_up: tuple[str, ...]) -> subprocess.Popen[bytes] | None:
    """Ends all processes of a program when this process dies, however that happens: the kernel ends
    only the first of them. None where there is no shell."""
    try:
        return subprocess.Popen(
            ["/bin/sh", "-c", _GUARD, str(group), str(math.ceil(seconds)), *clean_up],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
    except OSError:
        return None


def _signal_group(pid: int, number: int) -> None:
    with contextlib.suppress(OSError):
        os.killpg(pid, number)
