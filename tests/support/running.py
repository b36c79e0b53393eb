"""Waiting for runs in other processes."""

from __future__ import annotations

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
