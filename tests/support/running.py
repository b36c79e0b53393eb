"""Waiting for runs in other processes."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

from nemo_evaluator.errors import ConfigError
from nemo_evaluator.results.status import RunState, State, status_of


def until(directory: Path, wanted: Callable[[RunState], bool], seconds: float = 60) -> RunState:
    """The state of a run as soon as it is as wanted."""
    end = time.monotonic() + seconds
    while True:
        try:
            state = status_of(directory)
            if wanted(state):
                return state
        except ConfigError:  # not begun
            state = None
        assert time.monotonic() < end, state
        time.sleep(0.05)


def running(directory: Path) -> RunState:
    """The state of a run that makes rollouts."""
    return until(
        directory,
        lambda s: s.state is State.RUNNING and any(b.started for b in s.benchmarks.values()),
    )


def ended(directory: Path) -> RunState:
    """The state of a run that has ended."""
    return until(directory, lambda s: not s.state.active)


def kill_when(ready: Callable[[], bool], command: list[str], seconds: float = 90) -> None:
    """Begin a run, and kill its processes (SIGKILL) once it waits: what it was answered before is
    on disk by then."""
    with subprocess.Popen(
        command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
    ) as process:
        deadline = time.monotonic() + seconds
        while not ready():
            assert time.monotonic() < deadline and process.poll() is None
            time.sleep(0.02)
        time.sleep(0.5)  # what was answered is written within 10 ms, on a busy machine later
        os.killpg(process.pid, signal.SIGKILL)
