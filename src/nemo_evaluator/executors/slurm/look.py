"""One look at a run on Slurm: its small files and all its jobs, by one question each."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import msgspec

from ...engine.shards import FOLDER
from ...errors import ConfigError
from ...results.layout import PLAN_LOCK, PROGRESS, RUN_INFO
from ...results.status import RunState, State
from ..host import Host
from ..submission import Submission, age_of
from .client import JobState, Slurm
from .plan import CHAIN, ENDS, EVALUATION, FOLLOW_UP, MERGE
from .reasons import LIVE, WAITING
from .record import JobRecord, record_of, with_jobs
from .state import EXECUTOR, WHOLE, Told, part_state, state_in_files, whole_state

SMALL = (PROGRESS, RUN_INFO, PLAN_LOCK, CHAIN, FOLLOW_UP, ENDS)
PATTERNS = (*SMALL, *(f"{FOLDER}*/{name}" for name in SMALL))
ABANDONED_SECONDS = 3600.0
"""A submission that is not complete after this time will never be."""
_ID = re.compile(r"\d+(_\d+)?")


@dataclass(frozen=True, slots=True)
class Look:
    """What a run was at one moment."""

    state: RunState
    jobs: tuple[JobState, ...] | None
    """Every job of the run; None: Slurm does not answer."""
    parts: Mapping[int | None, Sequence[str]] = field(default_factory=dict)
    """Ids of the jobs of each shard, in the order in which they were submitted; of a run without
    shards, of it (None)."""
    merging: Sequence[str] = ()
    """Ids of the jobs that merge the shards."""
    known: Mapping[str, JobState] = field(default_factory=dict)
    """The jobs by their ids."""

    @property
    def current(self) -> list[JobState]:
        """The jobs that run, or wait."""
        return [job for job in self.jobs or () if job.state in LIVE or job.state in WAITING]

    def of(self, ids: Iterable[str]) -> list[JobState]:
        """The jobs of some ids."""
        return jobs_with(self.known, ids)


async def look(host: Host, slurm: Slurm, submission: Submission, directory: Path) -> Look:
    """Look at a run. Raises ConfigError where the host or the directory cannot be read."""
    seen = await _look_once(host, slurm, submission, directory)
    states = [seen.state, *seen.state.shards.values()]
    if seen.jobs is None or all(s.state.active or s.state in WHOLE for s in states):
        return seen
    # A job may have written its last files, and ended, between the two questions.
    return await _look_once(host, slurm, submission, directory)


async def _look_once(host: Host, slurm: Slurm, submission: Submission, directory: Path) -> Look:
    copied = bool(host.name)
    indices: list[int | None] = [*range(submission.shards)] if submission.shards else [None]
    recorded = _recorded(submission, indices)
    async with host.files(directory, *PATTERNS) as folder:
        parts: dict[int | None, list[str]] = {}
        files: dict[int | None, RunState | None] = {}
        ends: dict[str, Told] = {}
        for index in indices:
            own = _own(folder, index)
            parts[index] = [*recorded[index], *_written(own)]
            files[index] = state_in_files(own, _own(directory, index), copied=copied)
            ends.update(_read_ends(own))
        merging = _recorded_merges(submission) + _written(folder) if submission.shards else []
        merged = None
        if submission.shards:
            merged = state_in_files(folder, directory, copied=copied)
    lost = unsubmitted(submission)
    try:
        asked = [*merging, *(job for ids in parts.values() for job in ids)]
        jobs = await slurm.numbered(sorted({job.partition("_")[0] for job in asked}))
        if lost and not asked:  # whether it answers at all
            await slurm.named([job.name for job in lost])
    except ConfigError as error:
        state = _without_slurm(directory, files, merged, error)
        return Look(state, None, parts, merging)
    known = by_id(jobs)
    submitting = bool(lost) and not asked and age_of(submission) < ABANDONED_SECONDS
    states = {
        index: part_state(
            _own(directory, index),
            files[index],
            jobs_with(known, parts[index]),
            ends,
            submitting=submitting,
            copied=copied,
        )
        for index in indices
    }
    if submission.shards is None:
        return Look(states[None], tuple(jobs), parts, known=known)
    shards = {index: state for index, state in states.items() if index is not None}
    arrays = [record.id for record in record_of(submission).jobs if record.job == EVALUATION]
    tasks = [job for ids in parts.values() for job in jobs_with(known, ids)]
    mine = [job for job in tasks if job.id.partition("_")[0] in arrays]
    state = whole_state(directory, merged, shards, jobs_with(known, merging), mine)
    return Look(_with_id(state, submission), tuple(jobs), parts, merging, known)


def _with_id(state: RunState, submission: Submission) -> RunState:
    """A run in shards has the id of its submission until it is merged."""
    if state.run_id or not any(shard.run_id for shard in state.shards.values()):
        return state
    return replace(state, run_id=submission.run_id)


def by_id(jobs: Iterable[JobState]) -> dict[str, JobState]:
    """Jobs by their ids; of the components of a job, the one that says most."""
    found: dict[str, JobState] = {}
    for job in jobs:
        base = job.id.partition("+")[0]
        known = found.get(base)
        if known is None or known.state in ("COMPLETED", "CANCELLED"):
            found[base] = replace(job, id=base)
    return found


def jobs_with(known: Mapping[str, JobState], ids: Iterable[str]) -> list[JobState]:
    """The jobs of some ids, earlier ones first. An array that ended before any of its tasks began
    may be listed as one: it stands for each."""
    each = ((job, known.get(job) or known.get(job.partition("_")[0])) for job in set(ids))
    found = [replace(state, id=job) for job, state in each if state is not None]
    return sorted(found, key=lambda job: (job.number, job.task or 0))


def _own(directory: Path, index: int | None) -> Path:
    return directory if index is None else directory / f"{FOLDER}{index}"


def _recorded(submission: Submission, indices: Iterable[int | None]) -> dict[int | None, list[str]]:
    """Ids of the recorded jobs that are at each part."""
    found: dict[int | None, list[str]] = {index: [] for index in indices}
    for job in record_of(submission).jobs:
        if job.job != EVALUATION or job.id is None:
            continue
        for index in found if job.tasks is None else job.tasks:
            found[index].append(job.id if index is None else f"{job.id}_{index}")
    return found


def _recorded_merges(submission: Submission) -> list[str]:
    return [j.id for j in record_of(submission).jobs if j.job == MERGE and j.id is not None]


def follow_ups(directory: Path) -> list[str]:
    """Ids of all jobs that wrote themselves down in a run of this host, follow-up jobs included."""
    return [job for own in (directory, *directory.glob(f"{FOLDER}*")) for job in _written(own)]


def _written(folder: Path) -> list[str]:
    """Ids that the jobs themselves wrote down: those that have begun, and the one that waits."""
    found: list[str] = []
    for name in (CHAIN, FOLLOW_UP):
        try:
            lines = (folder / name).read_text(errors="replace").split()
        except OSError:
            continue
        found += [line for line in lines if _ID.fullmatch(line)]
    return found


def _read_ends(folder: Path) -> dict[str, Told]:
    """How jobs ended, as they wrote themselves: ``ID CODE REASON``, the reason may be missing."""
    try:
        lines = (folder / ENDS).read_text(errors="replace").splitlines()
    except OSError:
        return {}
    ended = [line.split(maxsplit=2) for line in lines]
    return {
        words[0]: Told(int(words[1]), words[2] if len(words) > 2 else "")
        for words in ended
        if len(words) > 1 and words[1].isdecimal()
    }


def _without_slurm(
    directory: Path,
    files: Mapping[int | None, RunState | None],
    merged: RunState | None,
    error: ConfigError,
) -> RunState:
    """What files say, where Slurm says nothing."""
    shards = {
        index: state or RunState(_own(directory, index), "", State.PENDING, executor=EXECUTOR)
        for index, state in files.items()
        if index is not None
    }
    if shards and merged is None:
        base = whole_state(directory, None, shards, (), ())
    else:
        unknown = RunState(directory, "", State.PENDING, executor=EXECUTOR)
        base = merged or files.get(None) or unknown
    reason = f"{error.what}; this is what the files say"
    return replace(base, directory=directory, reason=reason, shards=shards)


def unsubmitted(submission: Submission) -> list[JobRecord]:
    """The jobs that were recorded, and whose submission was not confirmed."""
    return [job for job in record_of(submission).jobs if job.id is None]


async def found_again(slurm: Slurm, submission: Submission) -> Submission:
    """A submission with the ids of those jobs that were accepted while the answer was lost. Raises
    SlurmAway."""
    lost = [job.name for job in unsubmitted(submission)]
    if not lost:
        return submission
    ids = {job.name: str(job.number) for job in await slurm.named(lost)}
    jobs = [
        msgspec.structs.replace(job, id=ids[job.name]) if job.name in ids else job
        for job in record_of(submission).jobs
    ]
    return with_jobs(submission, jobs)
