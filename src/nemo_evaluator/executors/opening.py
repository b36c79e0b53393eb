"""Claims a run directory: for a new run, to go on with the one that is there, or not at all.

What was paid for is never written over, and neither is what this program did not write. Everything
is decided, and every document of the run is on disk, before the first request is sent.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import msgspec

from ..config.load import Loaded
from ..engine.plan import check_resumable
from ..engine.prepare import Prepared
from ..errors import ConfigError
from ..files.writing import remove_abandoned, replace_file, sync_folder, write_afresh
from ..results.journal import Event, JournalIndex, scan
from ..results.layout import CONFIG, JOURNAL, JUDGEMENTS, PLAN_LOCK, TRAFFIC
from ..results.lock import directory_lock
from ..results.plan_lock import PlanLock, write_lock
from ..results.rescue_files import rescue_files, take_in_rescued
from ..results.run_directory import (
    damage_in,
    info_of,
    is_emptied,
    load_journal,
    plan_of,
    shortage_in,
    strangers,
)
from ..results.run_info import RunInfo, RunStatus, new_run_info, write_run_info
from .scheduler import job_runs

Say = Callable[[str], None]
NAMED = 3
APPENDED = (JOURNAL, JUDGEMENTS, TRAFFIC)
"""What a run appends to, and has open while it lasts."""


@dataclass(frozen=True, slots=True)
class Opened:
    """A directory that is this run's."""

    info: RunInfo
    journals: Mapping[str, JournalIndex]
    """What earlier invocations of the run left, by slug."""
    extended: frozenset[str] = frozenset()
    """Benchmarks that have more rollouts than those had planned."""


def set_aside(directory: Path, say: Say) -> None:
    """Move what is there out of the default directory: never mixed with, never written over."""
    try:
        earlier = plan_of(directory)
        others = strangers(directory, earlier)
    except ConfigError:  # a run that cannot be told
        earlier, others = None, [directory.name]
    if not others and (earlier is None or not _worth_keeping(directory, earlier)):
        return
    with directory_lock(directory, runs=job_runs, say=say):
        aside = _free_name(directory, earlier.run_id if earlier is not None else "earlier")
        directory.rename(aside)
    sync_folder(aside.parent)
    held = "an earlier run" if earlier is not None else "results of another program"
    say(f"{directory} holds {held}: it was renamed to {aside}")


def kept_run(directory: Path) -> str | None:
    """The id of the run in a directory, if anything of it was paid for. Raises ConfigError."""
    earlier = plan_of(directory)
    kept = earlier is not None and _worth_keeping(directory, earlier)
    return earlier.run_id if earlier is not None and kept else None


def already_holds(directory: Path, run_id: str) -> ConfigError:
    """What is said of a directory that holds a run which is not to be resumed."""
    hint = "add --resume to continue it, or choose another directory (-o)"
    return ConfigError(f"already holds the run {run_id}", where=str(directory), hint=hint)


def open_run(
    directory: Path,
    prepared: Prepared,
    loaded: Loaded,
    *,
    resume: bool,
    afresh: bool = False,
    command: str,
    say: Say,
    visit: Callable[[str, Event], None],
) -> Opened:
    """Claim the directory for this plan, or refuse, and write the documents of the run.

    ``afresh``: an earlier process may still have its files open for writing. ``visit`` is called
    with the slug and each event that earlier invocations left. Raises ConfigError, and OSError
    where the directory cannot be written.
    """
    plans = {plan.slug: plan for plan in prepared.plans}
    earlier = plan_of(directory, prepared.plans)
    if earlier is not None and resume and afresh:
        for plan in earlier.benchmarks:
            for name in APPENDED:
                write_afresh(directory / plan.slug / name)
    if earlier is not None and resume:
        _take_in_rescued(directory, earlier, say)
    found: Mapping[str, JournalIndex] = {}
    if earlier is not None:
        found = _journals(directory, earlier, visit)
    keep = earlier is not None and _worth_keeping(directory, earlier, found)
    _check_strangers(directory, earlier, plans, resumed=keep)
    info = new_run_info(command=command)
    extended: Mapping[str, str] = {}
    if earlier is not None and (keep or resume):
        if not resume:
            raise already_holds(directory, earlier.run_id)
        found, extended = _resumed(directory, earlier, prepared, found, keep=keep)
    else:
        found = _begun_anew(directory, found)
    if found and earlier is not None:
        info = _continued(info, info_of(directory, earlier), extended)
        for text in extended.values():
            say(f"the run is extended: {text}; what was answered stays")
    for slug, index in found.items():
        lost = damage_in(directory / slug, index), shortage_in(directory / slug, plans[slug], index)
        for text in filter(None, lost):
            say(f"warning: {text} and are requested again")
    info = msgspec.structs.replace(info, status=RunStatus.RUNNING, benchmarks=tuple(plans))
    _write_documents(directory, prepared, loaded, info, command)
    return Opened(info, found, frozenset(extended))


def _continued(info: RunInfo, first: RunInfo, extended: Mapping[str, str]) -> RunInfo:
    """The run goes on as the one that is there."""
    return msgspec.structs.replace(
        info,
        run_id=first.run_id,
        created=first.created,
        extended=(*first.extended, *extended.values()),
    )


def _resumed(
    directory: Path,
    earlier: PlanLock,
    prepared: Prepared,
    found: Mapping[str, JournalIndex],
    *,
    keep: bool,
) -> tuple[Mapping[str, JournalIndex], Mapping[str, str]]:
    """The journals that the run goes on with, and what it is extended by, by slug. Raises
    ConfigError if they are of another plan, unless nothing in them was paid for."""
    unscored = [
        slug
        for slug, index in found.items()
        if not any(state.scored for state in index.rollouts.values())
    ]
    where, fixed = directory / PLAN_LOCK, _not_extended(prepared, found)
    try:
        extended = check_resumable(
            earlier, prepared.plans, where=where, unscored=unscored, fixed=fixed
        )
    except ConfigError:
        if keep:
            raise
        return _begun_anew(directory, found), {}
    return found, extended


def _not_extended(prepared: Prepared, found: Mapping[str, JournalIndex]) -> dict[str, str]:
    """Why benchmarks cannot have more rollouts than they were planned with, by slug."""
    why = {}
    for job in prepared.jobs:
        index = found.get(job.plan.slug, JournalIndex())
        if job.environment.harness is not None:
            why[job.plan.slug] = "its own harness makes the rollouts that were planned first"
        elif job.watch is not None or index.stopping is not None:
            why[job.plan.slug] = (
                "a gate looks at its answers while they come in, by a plan for this number"
            )
        elif index.header is not None and index.header.plan is None:
            why[job.plan.slug] = "its journal is of a version that did not write down its plan"
    return why


def _begun_anew(directory: Path, found: Mapping[str, JournalIndex]) -> Mapping[str, JournalIndex]:
    """Journals in which nothing was paid for make room for new ones."""
    for slug in found:
        (directory / slug / JOURNAL).unlink(missing_ok=True)
    return {}


def _write_documents(
    directory: Path, prepared: Prepared, loaded: Loaded, info: RunInfo, command: str
) -> None:
    for job in prepared.jobs:
        job.folder.mkdir(exist_ok=True)
        remove_abandoned(job.folder)
    remove_abandoned(directory)
    lock = PlanLock(run_id=info.run_id, benchmarks=tuple(prepared.plans))
    write_lock(directory / PLAN_LOCK, lock)
    replace_file(directory / CONFIG, loaded.snapshot(command).encode(), durable=True)
    write_run_info(directory, info)


def _check_strangers(
    directory: Path, earlier: PlanLock | None, slugs: Collection[str], *, resumed: bool
) -> None:
    found = strangers(directory, earlier, slugs)
    if resumed and earlier is not None:
        # Others may stand beside the benchmarks of a run that goes on, but not in the way.
        new = {*slugs} - {plan.slug for plan in earlier.benchmarks}
        found = [name for name in found if name.rstrip("/") in new]
    if found:
        names = ", ".join(found[:NAMED]) + (", ..." if len(found) > NAMED else "")
        raise ConfigError(
            f"contains files that this program did not write: {names}",
            where=str(directory),
            hint="choose another directory (-o), or move the files away",
        )


def _take_in_rescued(directory: Path, earlier: PlanLock, say: Say) -> None:
    for plan in earlier.benchmarks:
        for text in take_in_rescued(directory / plan.slug, plan, earlier.run_id):
            say(text)


def _journals(
    directory: Path, lock: PlanLock, visit: Callable[[str, Event], None]
) -> dict[str, JournalIndex]:
    return {
        plan.slug: load_journal(
            directory / plan.slug, plan, lock.run_id, partial(visit, plan.slug), keep=True
        )
        for plan in lock.benchmarks
    }


def _worth_keeping(
    directory: Path, lock: PlanLock, found: Mapping[str, JournalIndex] | None = None
) -> bool:
    """Whether anything was paid for; damaged lines and what was rescued may have been."""
    for plan in lock.benchmarks:
        folder = directory / plan.slug
        index = scan(folder / JOURNAL, plan) if found is None else found[plan.slug]
        if index.paid or index.damaged or any(rescue_files(folder, lock.run_id)):
            return True
        if is_emptied(folder, index):
            return True
    return False


def _free_name(directory: Path, mark: str) -> Path:
    """``<directory>-<mark>``, with a number where that is taken."""
    name = f"{directory.name}-{mark}"
    candidate, number = directory.with_name(name), 1
    while candidate.exists() or candidate.is_symlink():
        number += 1
        candidate = directory.with_name(f"{name}-{number}")
    return candidate
