"""``progress.json``: how far a run is. Whoever runs it writes it every few seconds, and at the end.

It is for people and programs that watch a run from outside (`nel eval status`, a viewer, the lock);
results are never read from it. A reader on another host judges by ``heartbeat`` whether the run is
alive.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from ..errors import ConfigError
from ..files.reading import read_json
from ..types import Record
from .files import write_json
from .layout import PROGRESS
from .requests import Reply
from .run_info import RunStatus

FORMAT = 1


class ScoreSoFar(Record, frozen=True, kw_only=True, omit_defaults=False):
    """A score with its 95 % interval."""

    measure: str
    """``pass@1`` or ``mean reward``."""
    value: float
    lower: float
    upper: float


class BenchmarkState(Record, frozen=True, kw_only=True, omit_defaults=False):
    """One benchmark of a run."""

    name: str
    total: int
    """Rollouts planned."""
    done: int = 0
    """Rollouts with a verdict, those of earlier invocations included."""
    restored: int = 0
    """How many of ``done`` came from earlier invocations."""
    failed: Mapping[str, int] = {}
    """Rollouts of this invocation that ended without a verdict, by kind."""
    finished: bool = False
    """No further rollout of it will start in this invocation."""
    started: float | None = None
    """Unix time of the first rollout of this invocation."""
    score: ScoreSoFar | None = None
    in_flight: int = 0
    limit: int | None = None
    """Requests that may be in flight now."""
    retries: int = 0
    output_tokens: int = 0
    cost_usd: float | None = None
    rollouts_per_s: float | None = None
    tokens_per_s: float | None = None
    eta_s: float | None = None
    status: str = ""
    """What is wrong with its service, in words; empty if nothing is."""
    line: str = ""
    """All of it as the line that a log shows."""


class RunProgress(Record, frozen=True, kw_only=True, omit_defaults=False):
    """A run at one moment."""

    format: int = FORMAT
    run_id: str
    state: RunStatus
    stopping: bool = False
    """It was asked to stop: what is in flight is finished, nothing else is started."""
    host: str
    pid: int
    started: float
    """Unix time at which this invocation began."""
    first_started: float | None = None
    """Unix time at which the first invocation of the run began."""
    heartbeat: float
    """Unix time at which this was written."""
    exit_code: int | None = None
    """Of a run that has ended; see ``ExitCode``."""
    messages: tuple[str, ...] = ()
    """What its user was told at the end."""
    benchmarks: Mapping[str, BenchmarkState] = {}
    """By slug, in the order of the plan."""
    paused: bool = False
    """Nothing new is started until somebody ends the pause (`nel eval ctl`)."""
    replies: tuple[Reply, ...] = ()
    """What became of the last requests."""

    @property
    def running(self) -> bool:
        """Whether the run had not ended when this was written."""
        return self.state is RunStatus.RUNNING


def write_progress(directory: Path, progress: RunProgress) -> None:
    """Replace ``progress.json``. Raises OSError."""
    write_json(directory / PROGRESS, progress)


def read_progress(directory: Path) -> RunProgress | None:
    """The progress of the run in a directory; None where there is none that can be read."""
    try:
        return read_json(directory / PROGRESS, RunProgress)
    except (ConfigError, OSError):
        return None
