"""The state of the run in a directory, from its files and its lock alone.

A run that holds its directory is alive; one that does not and never said how it ended was killed.
What a dead run has done is counted in its journals, for its last progress may be older.
"""

from __future__ import annotations

import contextlib
import enum
import os
import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import msgspec

from ..errors import ConfigError, ExitCode
from ..types import BenchmarkPlan, RolloutKey
from .fencing_token import LOCK
from .journal import Errored, Event, Scored, scan
from .layout import JOURNAL
from .lock import BEAT_SECONDS, FRESH_SECONDS, Owner, is_held, owner_of
from .owner_liveness import SKEW_SECONDS
from .plan_lock import PlanLock
from .progress_file import BenchmarkState, RunProgress, ScoreSoFar, read_progress
from .read_bundle import bundle_path, read_bundle
from .run_directory import info_of, plan_of
from .run_info import RunInfo, RunStatus

PATIENCE = 2 * BEAT_SECONDS
"""Seconds in which a process that is alive gives a sign of life."""
LOOK_SECONDS = 0.25
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


CODES = {
    State.DONE: ExitCode.DONE,
    State.DECIDED: ExitCode.DONE,
    State.INCOMPLETE: ExitCode.INCOMPLETE,
}
"""Exit codes of runs whose files say no other: those that were merged or imported."""


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
    first_started: float | None = None
    """Unix time at which the first one began."""
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


def status_of(directory: Path, *, patience: float = 0.0) -> RunState:
    """The state of a run. Raises ConfigError where the directory holds none.

    ``patience``: seconds to wait for a sign of life of a process elsewhere, where the age of its
    last one says nothing because clocks may differ.
    """
    owner = holder_of(directory, patience=patience)
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
        benchmarks = _counted(directory, lock, info.run_id)
    state = _told(info)
    return RunState(
        directory=directory,
        run_id=info.run_id,
        state=state,
        started=progress.started if progress is not None else None,
        first_started=progress.first_started if progress is not None else None,
        ended=progress.heartbeat if progress is not None else None,
        exit_code=progress.exit_code if progress is not None else CODES.get(state),
        messages=progress.messages if progress is not None else (),
        benchmarks=benchmarks,
    )


def state_of(directory: Path, info: RunInfo) -> State:
    """How a run ended, or whether it has: what its ``run.json`` says, and the lock where that says
    ``running``, which a process that was killed leaves there."""
    if info.status is RunStatus.RUNNING and holder_of(directory) is not None:
        return State.RUNNING
    return _told(info)


def _told(info: RunInfo) -> State:
    """Of a run that no process holds."""
    return State.KILLED if info.status is RunStatus.RUNNING else State(info.status)


def holder_of(directory: Path, *, patience: float = 0.0) -> Owner | None:
    """The living process that holds a directory, as far as can be told; see ``status_of``."""
    owner = owner_of(directory)
    if is_held(directory):
        return owner or Owner(0, "this host", 0.0)
    if owner is None:
        return None
    if patience and not owner.told_by_pid and not 0 < owner.seen < FRESH_SECONDS:
        return _with_sign_of_life(directory, owner, patience)
    if not owner.alive:
        return None
    # Of a process here the file lock tells, unless locks are granted to everybody.
    by_pid = owner.told_by_pid and bool(owner.begun)
    return owner if by_pid or not owner.here else None


def _with_sign_of_life(directory: Path, owner: Owner, patience: float) -> Owner | None:
    """The owner, where it gives a sign of life in this many seconds."""
    end, first = time.monotonic() + patience, _touched(directory)
    while owner.seen < SKEW_SECONDS and time.monotonic() < end:
        time.sleep(LOOK_SECONDS)
        if _touched(directory) != first:
            now = owner_of(directory)
            return None if now is None else replace(now, seen=0.0)
    return None


def _touched(directory: Path) -> float:
    """By the clock of who did it. A shared file system asks its server when a file is opened."""
    try:
        with (directory / LOCK).open("rb") as file:
            return os.fstat(file.fileno()).st_mtime
    except OSError:
        return 0.0


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
        first_started=progress.first_started,
        messages=(PAUSED,) if progress.paused else (),
        benchmarks=progress.benchmarks,
    )


def _counted(directory: Path, lock: PlanLock, run_id: str) -> dict[str, BenchmarkState]:
    return {plan.slug: _in_files(directory / plan.slug, plan, run_id) for plan in lock.benchmarks}


def _in_files(folder: Path, plan: BenchmarkPlan, run_id: str) -> BenchmarkState:
    """What a journal holds, and what was published of it once all had a verdict."""
    state = _in_journal(folder, plan)
    score = _published(folder, run_id) if state.finished else None
    if score is None:
        return state
    interval = f"[{score.lower:.3f}, {score.upper:.3f}]"
    line = f"{state.line} {score.measure} {score.value:.3f} {interval}"
    return msgspec.structs.replace(state, score=score, line=line)


def _published(folder: Path, run_id: str) -> ScoreSoFar | None:
    with contextlib.suppress(ConfigError, OSError):
        bundle = read_bundle(bundle_path(folder, run_id), strict=False)
        found = bundle.metrics.get(bundle.headline or "")
        if found is not None and found.ci_lower is not None and found.ci_upper is not None:
            return ScoreSoFar(
                measure=bundle.shown_headline,
                value=found.value,
                lower=found.ci_lower,
                upper=found.ci_upper,
            )
    return None


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
