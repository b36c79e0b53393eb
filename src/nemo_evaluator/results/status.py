"""The state of the run in a directory, from its files and its lock alone.

A run that holds its directory is alive; one that does not and never said how it ended was killed.
What a dead run has done is counted in its journals, for its last progress may be older.
"""

from __future__ import annotations

import enum
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from ..errors import ConfigError
from ..types import BenchmarkPlan, RolloutKey
from .journal import Errored, Event, Scored, scan
from .layout import JOURNAL
from .lock import Owner, is_held, owner_of
from .plan_lock import PlanLock
from .progress_file import BenchmarkState, RunProgress, read_progress
from .run_directory import info_of, plan_of
from .run_info import RunStatus

PAUSED = "paused: nothing new is started until `nel eval ctl DIR resume`"


class State(enum.StrEnum):
    """What a run is doing, or how it ended."""

    PENDING = "pending"
    """It was submitted, and waits for its turn."""
    STARTING = "starting"
    """Services, datasets and solvers are opened; or the directory is merged or scored again."""
    RUNNING = "running"
    STOPPING = "stopping"
    """What is in flight is finished, nothing else is started."""
    DONE = "done"
    DECIDED = "decided"
    """It ended before its last problem because its gate was decided."""
    INCOMPLETE = "incomplete"
    INTERRUPTED = "interrupted"
    KILLED = "killed"
    """It ended without a word: the process was killed, or its machine was."""
    FAILED = "failed"
    """Where it was submitted to, it ended before its results were whole; ``reason`` says why."""
    CANCELLED = "cancelled"
    """It was taken back from where it was submitted to."""

    @property
    def active(self) -> bool:
        """A process is at it, or will be without anybody's doing."""
        return self in (State.PENDING, State.STARTING, State.RUNNING, State.STOPPING)


@dataclass(frozen=True, slots=True)
class RunState:
    """A run at one moment."""

    directory: Path
    run_id: str
    """Empty for a run that has not begun."""
    state: State
    owner: Owner | None = None
    """Who runs it."""
    started: float | None = None
    """Unix time at which the last invocation began, where that is known."""
    ended: float | None = None
    exit_code: int | None = None
    messages: tuple[str, ...] = ()
    benchmarks: Mapping[str, BenchmarkState] = field(default_factory=dict)
    """By slug."""
    executor: str = "local"
    """What runs it; see ``cluster.type``."""
    reason: str = ""
    """Why it waits, or ended as it did, where the executor knows; with what to do about it."""
    jobs: tuple[str, ...] = ()
    """What stands for it where it was submitted to, in words: ``job 12 on n1``."""
    shards: Mapping[int, RunState] = field(default_factory=dict)
    """The state of each part, of a run that was submitted in parts."""


def status_of(directory: Path) -> RunState:
    """The state of a run. Raises ConfigError where the directory holds none."""
    owner = holder_of(directory)
    progress = read_progress(directory)
    if owner is not None:
        return _active(directory, owner, progress)
    lock = plan_of(directory)
    if lock is None:
        raise ConfigError("holds no run", where=str(directory))
    info = info_of(directory, lock)
    if progress is not None and progress.run_id != info.run_id:
        progress = None
    if progress is not None and not progress.running:
        benchmarks = progress.benchmarks
    else:
        benchmarks = _counted(directory, lock)
    return RunState(
        directory=directory,
        run_id=info.run_id,
        state=State.KILLED if info.status is RunStatus.RUNNING else State(info.status),
        started=progress.started if progress is not None else None,
        ended=progress.heartbeat if progress is not None else None,
        exit_code=progress.exit_code if progress is not None else None,
        messages=progress.messages if progress is not None else (),
        benchmarks=benchmarks,
    )


def holder_of(directory: Path) -> Owner | None:
    """The living process that holds a directory, as far as can be told."""
    owner = owner_of(directory)
    if is_held(directory):
        return owner or Owner(0, "this host", 0.0)
    if owner is None or not owner.alive:
        return None
    # Of a process here the file lock tells, unless locks are granted to everybody.
    by_pid = owner.told_by_pid and bool(owner.begun)
    return owner if by_pid or not owner.here else None


def _active(directory: Path, owner: Owner, progress: RunProgress | None) -> RunState:
    if (
        progress is None
        or not progress.running
        or (progress.pid, progress.host)
        != (
            owner.pid,
            owner.host,
        )
    ):
        return RunState(directory, "", State.STARTING, owner)
    return RunState(
        directory=directory,
        run_id=progress.run_id,
        state=State.STOPPING if progress.stopping else State.RUNNING,
        owner=owner,
        started=progress.started,
        messages=(PAUSED,) if progress.paused else (),
        benchmarks=progress.benchmarks,
    )


def _counted(directory: Path, lock: PlanLock) -> dict[str, BenchmarkState]:
    return {plan.slug: _in_journal(directory / plan.slug, plan) for plan in lock.benchmarks}


def _in_journal(folder: Path, plan: BenchmarkPlan) -> BenchmarkState:
    kinds: dict[RolloutKey, str] = {}

    def visit(event: Event) -> None:
        if isinstance(event, Errored):
            kinds[RolloutKey(event.problem_idx, event.repeat)] = event.error.kind.value
        elif isinstance(event, Scored):
            kinds.pop(RolloutKey(event.problem_idx, event.repeat), None)

    index = scan(folder / JOURNAL, plan, visit=visit)
    done = sum(state.scored for state in index.rollouts.values())
    text = f"{plan.slug} {done}/{plan.n_rollouts}"
    failed = Counter(kinds.values())
    if failed:
        text += f" failed: {failed.total()}"
    return BenchmarkState(
        name=plan.name,
        total=plan.n_rollouts,
        done=done,
        failed=dict(failed),
        finished=done == plan.n_rollouts,
        line=text,
    )
