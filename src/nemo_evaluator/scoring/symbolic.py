"""math-verify in worker processes that can be killed.

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
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from importlib.util import find_spec

WORKERS = 2
START_SECONDS = 60.0
"""Importing sympy on a busy machine takes seconds; it is not charged to a question."""
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


@lru_cache(maxsize=1)
def available() -> bool:
    """Whether math-verify is installed."""
    return find_spec("math_verify") is not None


class _Worker:
    """One child process: a line of JSON in, a line of JSON out."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "nemo_evaluator.scoring.symbolic_worker"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env={name: os.environ[name] for name in _ENVIRONMENT if name in os.environ},
            bufsize=0,
            start_new_session=True,  # Ctrl-C is for us to handle
        )
        if self._line(START_SECONDS) != "ready":
            self.kill()
            raise OSError("the math worker did not start")

    def _line(self, seconds: float) -> str | None:
        stream = self._process.stdout
        assert stream is not None
        ready, _, _ = select.select([stream], [], [], seconds)
        return stream.readline().decode().strip() if ready else None

    def ask(self, a: str, b: str, seconds: float) -> bool | None:
        """The verdict, or None after ``seconds`` or if the worker died."""
        stream = self._process.stdin
        assert stream is not None
        try:
            stream.write(json.dumps([a, b]).encode() + b"\n")
        except OSError:
            return None
        line = self._line(seconds)
        return None if not line else bool(json.loads(line))

    def kill(self) -> None:
        """End the process and close its pipes."""
        self._process.kill()
        for stream in (self._process.stdin, self._process.stdout):
            if stream is not None:
                stream.close()
        self._process.wait()


class _Pool:
    """At most ``WORKERS`` workers, each used by one thread at a time."""

    def __init__(self) -> None:
        self._slots = threading.Semaphore(WORKERS)
        self._idle: list[_Worker] = []

    def ask(self, a: str, b: str, seconds: float) -> bool | None:
        with self._slots:
            worker = self._idle.pop() if self._idle else _Worker()
            verdict = worker.ask(a, b, seconds)
            if verdict is None:
                worker.kill()
            else:
                self._idle.append(worker)
            return verdict

    def close(self) -> None:
        while self._idle:
            self._idle.pop().kill()


_pool = _Pool()


@lru_cache(maxsize=1)
def executor() -> ThreadPoolExecutor:
    """Threads that wait for workers, so that the event loop need not."""
    return ThreadPoolExecutor(WORKERS, thread_name_prefix="math")


def compare(a: str, b: str, timeout: float) -> tuple[bool, str]:
    """Verdict on answer ``a`` and target ``b``, and who decided.

    ``math-verify``; ``timeout`` (not equal); ``undecided`` (not equal) where it is not installed.
    """
    if not available():
        return False, "undecided"
    verdict = _pool.ask(a, b, timeout)
    return (False, "timeout") if verdict is None else (verdict, "math-verify")


def close() -> None:
    """End all workers; the next comparison starts new ones."""
    _pool.close()


atexit.register(close)
