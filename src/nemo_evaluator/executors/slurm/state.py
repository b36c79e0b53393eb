"""The state of a run on Slurm: what its files say, and what Slurm says of its jobs, as one.

Files say what was done; Slurm says whether anybody goes on, and why not. Results that are whole are
done, whatever became of the job.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from ...engine.shards import ranges
from ...errors import ConfigError, ExitCode
from ...results.progress_file import read_progress
from ...results.run_info import RunStatus, read_run_info
from ...results.status import RunState, State, status_of
from ..combined import combined
from .client import JobState
from .reasons import LIVE, RESUME, WAITING, why_ended, why_waiting

EXECUTOR = "slurm"
WHOLE = (State.DONE, State.DECIDED)
WORST_FIRST = (State.FAILED, State.KILLED, State.CANCELLED, State.INTERRUPTED, State.INCOMPLETE)
CODES = {
    State.FAILED: ExitCode.INCOMPLETE,
    State.KILLED: ExitCode.INCOMPLETE,
    State.CANCELLED: ExitCode.INTERRUPTED,
}
"""Exit codes of runs that did not say theirs."""


SUBMITTING = "it is being submitted; if that broke off, nel eval resume goes on with it"
FOLLOWS = "it starts only if the job before it does not finish"
LASTING = (ExitCode.USER_ERROR, ExitCode.BUG)
"""Exit codes of a job that would end another one too."""


class Told(NamedTuple):
    """How a job ended, as it wrote itself."""

    code: int | None = None
    reason: str = ""


def state_in_files(folder: Path, directory: Path, *, copied: bool) -> RunState | None:
    """What the files of a run say; ``copied``: only its small files are there, and no lock."""
    if not copied:
        try:
            return replace(status_of(folder), executor=EXECUTOR)
        except ConfigError:
            return None
    progress = read_progress(folder)
    if progress is None:
        return _as_documented(folder, directory)
    ended = None if progress.running else progress.heartbeat
    return RunState(
        directory=directory,
        run_id=progress.run_id,
        state=State.RUNNING if progress.running else State(progress.state),
        started=progress.started,
        first_started=progress.first_started,
        ended=ended,
        exit_code=progress.exit_code,
        messages=progress.messages,
        benchmarks=progress.benchmarks,
        executor=EXECUTOR,
    )


def _as_documented(folder: Path, directory: Path) -> RunState | None:
    """What ``run.json`` says alone: merged runs have no progress."""
    try:
        info = read_run_info(folder)
    except ConfigError:
        return None
    state = State.STARTING if info.status is RunStatus.RUNNING else State(info.status)
    return RunState(directory, info.run_id, state, executor=EXECUTOR)


def part_state(
    directory: Path,
    files: RunState | None,
    jobs: Sequence[JobState],
    told: Mapping[str, Told],
    *,
    submitting: bool = False,
    copied: bool = False,
) -> RunState:
    """The state of a run that is not split, or of a shard. ``jobs``: those at it, in the order in
    which they were submitted; ``told``: how a job ended, by its id, as it wrote itself;
    ``submitting``: none may have been accepted yet."""
    known = files or RunState(directory, "", State.STARTING, executor=EXECUTOR)
    follows = ("it waits for the job it was told to wait for", *(len(jobs) * [FOLLOWS]))
    texts = (_job_text(job, why, told.get(job.id)) for job, why in zip(jobs, follows, strict=False))
    known = replace(known, directory=directory, jobs=tuple(texts))
    live = [job for job in jobs if job.state in LIVE]
    waiting = [job for job in jobs if job.state in WAITING]
    if files is not None and files.state in WHOLE:
        return known
    goes_on = replace(known, state=State.STARTING, ended=None, exit_code=None, messages=())
    if live:
        return known if known.state.active else goes_on
    ended = [job for job in jobs if job not in live and job not in waiting]
    if waiting:
        reason = why_waiting(waiting[-1])
        if ended:
            reason = f"after job {ended[-1].id}: {_short(ended[-1])}; {reason}"
        return replace(goes_on, state=State.PENDING, reason=reason)
    if not ended and submitting:
        return replace(goes_on, state=State.PENDING, reason=SUBMITTING)
    if not ended:
        reason = "Slurm knows none of its jobs any more"
        return replace(known, state=State.FAILED if files is None else known.state, reason=reason)
    if files is not None and files.state.active and not copied:
        reason = f"job {ended[-1].id} is over ({ended[-1].state}), and a process still writes"
        return replace(known, reason=reason)
    # A follow-up job that has nothing to do ends well, and says nothing; nor does one that was
    # taken back with a run that was asked to stop.
    stopped = known.exit_code == ExitCode.INTERRUPTED
    telling = [job for job in ended if job.state != "COMPLETED"] or ended
    telling = [job for job in telling if not (stopped and _never_began(job))] or telling
    return _state_of_ended(
        known, telling[-1], told.get(telling[-1].id, Told()), begun=files is not None
    )


def _never_began(job: JobState) -> bool:
    return job.state == "CANCELLED" and job.elapsed in ("0:00", "00:00:00")


def _state_of_ended(known: RunState, job: JobState, told: Told, *, begun: bool) -> RunState:
    asked = "it was asked to stop" if known.exit_code == ExitCode.INTERRUPTED else ""
    said = told.reason or asked
    why = f"{said}; {RESUME}" if said and job.state == "FAILED" else why_ended(job)
    reason = f"job {job.id}: {why}"
    if not begun and job.state in ("COMPLETED", "FAILED"):
        reason = f"{reason}; no rollout was made"
    state = known.state
    if job.state == "CANCELLED":
        state = State.CANCELLED
    elif state.active or state is State.KILLED:
        state = State.FAILED
    code = CODES.get(state) if known.exit_code is None else known.exit_code
    if known.exit_code is None and job.state == "FAILED" and told.code in LASTING:
        code = told.code
    return replace(known, state=state, reason=reason, exit_code=code)


def whole_state(
    directory: Path,
    merged: RunState | None,
    shards: Mapping[int, RunState],
    merging: Sequence[JobState],
    tasks: Sequence[JobState],
) -> RunState:
    """The state of a run in shards. ``merging``: the jobs that merge them; ``tasks``: those of the
    arrays that were submitted."""
    states = [shard.state for shard in shards.values()]
    merges = (_job_text(job, "it starts after the shards") for job in merging)
    jobs = (*_array_texts(tasks), *merges)
    base = RunState(directory, "", State.PENDING, executor=EXECUTOR, jobs=jobs, shards=shards)
    parts = [shard.benchmarks for shard in shards.values() if shard.benchmarks]
    benchmarks = combined(parts, len(shards))
    base = replace(base, benchmarks=benchmarks, started=_first(s.started for s in shards.values()))
    base = replace(base, first_started=_first(s.first_started for s in shards.values()))
    if any(state.active for state in states):
        running = [state for state in states if state.active and state is not State.PENDING]
        if running:
            known = State.RUNNING if State.RUNNING in running else running[0]
            return replace(base, state=known)
        reasons = [s.reason for s in shards.values() if s.state is State.PENDING]
        return replace(base, reason=reasons[0])
    current = [job for job in merging if job.state in LIVE or job.state in WAITING]
    if merged is not None and not current:
        return _merged(base, merged)
    if current:
        reason = f"job {current[-1].id} merges the shards"
        if current[-1].state in WAITING:
            reason = f"{reason}: {why_waiting(current[-1])}"
        return replace(base, state=State.RUNNING, reason=reason)
    return _unmerged(base, shards, merging)


def _merged(base: RunState, merged: RunState) -> RunState:
    """What the files of the merged run say, and the time its shards took: it has none itself."""
    ends = [shard.ended for shard in base.shards.values() if shard.ended is not None]
    return replace(
        merged,
        directory=base.directory,
        jobs=base.jobs,
        shards=base.shards,
        benchmarks=merged.benchmarks or base.benchmarks,
        started=base.started,
        first_started=base.first_started,
        ended=max(ends, default=None),
    )


def _unmerged(
    base: RunState, shards: Mapping[int, RunState], merging: Sequence[JobState]
) -> RunState:
    """Nothing goes on, and there is no merged result."""
    for state in WORST_FIRST:
        found = [index for index, shard in shards.items() if shard.state is state]
        if found:
            what = f"shard{'s' if len(found) > 1 else ''} {ranges(found)} {state}"
            reason = f"{what}: {shards[found[0]].reason}".removesuffix(": ")
            code = CODES.get(state, ExitCode.INCOMPLETE)
            return replace(base, state=state, reason=reason, exit_code=code)
    why = f"job {merging[-1].id}: {why_ended(merging[-1])}; " if merging else ""
    reason = f"every shard is done, and they were not merged: {why}nel eval merge {base.directory}"
    return replace(base, state=State.INCOMPLETE, reason=reason, exit_code=ExitCode.INCOMPLETE)


def _short(job: JobState) -> str:
    return why_ended(job).partition(";")[0]


def _job_text(job: JobState, follows: str, told: Told | None = None) -> str:
    where = f" on {job.nodes}" if job.nodes and job.nodes != "None assigned" else ""
    limit = f" of {job.limit}" if job.limit else ""
    if job.state in WAITING:
        return f"job {job.id} {job.state}{f': {follows}' if job.reason == 'Dependency' else ''}"
    why = f" ({told.reason})" if told is not None and told.reason else ""
    return f"job {job.id} {job.state}{where}, {job.elapsed}{limit}{why}"


def _array_texts(tasks: Iterable[JobState]) -> Iterator[str]:
    """How many tasks of each array are in which state."""
    arrays: dict[str, Counter[str]] = {}
    for task in tasks:
        arrays.setdefault(task.id.partition("_")[0], Counter())[task.state] += 1
    for array, states in arrays.items():
        counts = ", ".join(f"{count} {state}" for state, count in states.most_common())
        yield f"job {array}, an array of the shards: {counts}"


def _first(times: Iterable[float | None]) -> float | None:
    return min((time for time in times if time is not None), default=None)
