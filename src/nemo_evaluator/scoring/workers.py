"""Child processes that answer questions and can be killed: for work that may never end.

A worker is started on first need and kept; one that overruns its time is killed and replaced by
the next question. Nothing here uses signals in our own process, and workers get no environment
but what Python needs, since they parse text from models.
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
from typing import Final

from ..types import Json

WORKERS = 2
START_SECONDS = 60.0
"""Imports on a busy machine take seconds; they are not charged to a question."""
_ENVIRONMENT = (
    "PATH",
    "PYTHONPATH",
    "HOME",
    "LANG",
    "LC_ALL",
    "VIRTUAL_ENV",
    "SYSTEMROOT",
    "TMPDIR",
)


class _Overran(Exception):
    """The worker said nothing in time, or died."""


class _Worker:
    """One child process: a line of JSON in, a line of JSON out, after a first line ``ready``."""

    def __init__(self, module: str) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", module],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env={name: os.environ[name] for name in _ENVIRONMENT if name in os.environ},
            bufsize=0,
            start_new_session=True,  # Ctrl-C is for us to handle
        )
        try:
            ready = self._line(time.monotonic() + START_SECONDS) == b"ready"
        except _Overran:
            ready = False
        if not ready:
            self.kill()
            raise OSError(f"the worker {module} did not start")

    def ask(self, question: Json, seconds: float) -> Json:
        """The answer. Raises _Overran after ``seconds`` or if the worker died."""
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
                raise _Overran from None

    def _line(self, until: float) -> bytes:
        stream = self._process.stdout
        assert stream is not None
        data = b""
        while not data.endswith(b"\n"):
            ready, _, _ = select.select([stream], [], [], max(0.0, until - time.monotonic()))
            part = os.read(stream.fileno(), 1 << 16) if ready else b""
            if not part:
                raise _Overran
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

    def ask(self, question: Json, seconds: float) -> tuple[Json] | None:
        """The answer, alone in a tuple; None after ``seconds`` (the worker is killed)."""
        with self._slots:
            worker = self._idle.pop() if self._idle else _Worker(self._module)
            try:
                answer = worker.ask(question, seconds)
            except _Overran:
                worker.kill()
                return None
            self._idle.append(worker)
            return (answer,)

    def close(self) -> None:
        """End all processes; the next question starts new ones."""
        while self._idle:
            self._idle.pop().kill()
