"""Child processes that answer questions and can be killed: for work that may never end.

A worker is started on first need and kept; one that overruns its time is killed and replaced by
the next question. Nothing here uses signals in our own process. Workers get no environment but
what Python needs, since they parse text from models, and start isolated (``-I``): the folder of the
user and PYTHONPATH are not searched before the standard library, whatever files lie there.
"""

from __future__ import annotations

import atexit
import json
import os
import select
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any, Final

from ..types import Json

WORKERS = 2
START_SECONDS = 60.0
"""Imports on a busy machine take seconds; they are not charged to a question."""
_ENVIRONMENT = (
    "PATH",
    "HOME",
    "LANG",
    "LC_ALL",
    "VIRTUAL_ENV",
    "SYSTEMROOT",
    "TMPDIR",
)


_BOOT = """\
import runpy, sys
sys.path += sys.argv[2:]
runpy.run_module(sys.argv[1], run_name="__main__")
"""


class WorkerFailed(OSError):
    """A worker did not start: nothing was asked."""


class _Overran(Exception):
    """The worker said nothing in time."""


class _Died(Exception):
    """The worker ended, by itself or killed from outside."""


def _command(module: str) -> list[str]:
    """How a module of ours is started. Packages are found where we find them, the current folder
    excepted, and always after the standard library."""
    here = Path.cwd()
    paths = [path for path in sys.path if path and Path(path).resolve() != here]
    return [sys.executable, "-I", "-c", _BOOT, module, *paths]


class _Worker:
    """One child process: a line of JSON in, a line of JSON out, after a first line ``ready``."""

    def __init__(self, module: str) -> None:
        self._process = subprocess.Popen(
            _command(module),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env={name: os.environ[name] for name in _ENVIRONMENT if name in os.environ},
            bufsize=0,
            start_new_session=True,  # Ctrl-C is for us to handle
        )
        try:
            ready = self._line(time.monotonic() + START_SECONDS) == b"ready"
        except (_Overran, _Died):
            ready = False
        if not ready:
            self.kill()
            raise WorkerFailed(f"the worker {module} did not start")

    def ask(self, question: Json, seconds: float) -> object:
        """The answer. Raises _Overran after ``seconds``, _Died if the worker did."""
        until = time.monotonic() + seconds
        self._send(json.dumps(question).encode() + b"\n", until)
        return json.loads(self._line(until))

    def _send(self, data: bytes, until: float) -> None:
        stream = self._process.stdin
        assert stream is not None
        rest = memoryview(data)
        while rest:
            _, writable, _ = select.select([], [stream], [], max(0.0, until - time.monotonic()))
            if not writable:
                raise _Overran
            try:
                rest = rest[os.write(stream.fileno(), rest[:PIPE_BYTES]) :]
            except OSError:
                raise _Died from None

    def _line(self, until: float) -> bytes:
        stream = self._process.stdout
        assert stream is not None
        data = b""
        while not data.endswith(b"\n"):
            ready, _, _ = select.select([stream], [], [], max(0.0, until - time.monotonic()))
            if not ready:
                raise _Overran
            if not (part := os.read(stream.fileno(), 1 << 16)):
                raise _Died
            data += part
        return data.strip()

    def kill(self) -> None:
        """End the process and close its pipes."""
        self._process.kill()
        for stream in (self._process.stdin, self._process.stdout):
            if stream is not None:
                stream.close()
        self._process.wait()


PIPE_BYTES = 4096
"""What a pipe that is ready takes without blocking (POSIX PIPE_BUF is at least 512; Linux 4096)."""


class Pool:
    """At most ``WORKERS`` processes of a module, each used by one thread at a time."""

    def __init__(self, module: str) -> None:
        self._module: Final = module
        self._slots = threading.Semaphore(WORKERS)
        self._idle: list[_Worker] = []
        atexit.register(self.close)

    def ask(self, question: Json, seconds: float) -> tuple[Any] | None:
        """The answer, alone in a tuple; None after ``seconds`` (the worker is killed), or where a
        second worker died of the question too. Raises WorkerFailed if none starts."""
        with self._slots:
            for _ in range(2):  # a worker that died may have been killed by somebody else
                worker = self._idle.pop() if self._idle else _Worker(self._module)
                try:
                    answer = worker.ask(question, seconds)
                except _Overran:
                    worker.kill()
                    return None
                except _Died:
                    worker.kill()
                    continue
                self._idle.append(worker)
                return (answer,)
            return None

    def close(self) -> None:
        """End all processes; the next question starts new ones."""
        while self._idle:
            self._idle.pop().kill()
