"""A run directory as it is found: a run of ours, one that lost documents, or what others wrote.

What was paid for stands in the journals. As long as a journal says what it is of, its run can be
resumed and reported on, whatever became of ``plan.lock`` and ``run.json``. What we did not write is
never written over: the caller refuses it, or moves it away.
"""

from __future__ import annotations

import datetime
import itertools
import logging
from collections.abc import Callable, Collection, Iterator, Sequence
from pathlib import Path

import msgspec

from ..errors import ConfigError
from ..files.reading import lines_of, read_document
from ..types import BenchmarkPlan
from .extending import count_keys, obstacle
from .identity import AFTERWARDS, SCORER_KEYS, changes
from .journal import Event, Header, JournalIndex, scan
from .layout import JOURNAL, PLAN_LOCK, PROGRESS, RESULTS, ROOT_NAMES, SUBMISSION, TRAJECTORIES
from .plan_lock import PlanLock, check_lock, read_lock
from .planned import is_name
from .read_bundle import BUNDLES, is_own_bundle
from .run_info import RunInfo, RunStatus, new_run_info, read_run_info

log = logging.getLogger("nemo_evaluator.results")

SHARDS = "shard_"
MOST_CHILDREN = 10_000
"""A directory with more entries than this is not searched: it is not a run of ours."""


def plan_of(directory: Path, candidates: Sequence[BenchmarkPlan] = ()) -> PlanLock | None:
    """The plan of the run in a directory; None if it holds none.

    Where ``plan.lock`` is missing or damaged, the plan is read from the headers of the journals; a
    header of the first format says only the digest, and is completed from ``candidates``. Raises
    ConfigError if it is unknown which benchmark the answers belong to.
    """
    try:
        lock = read_lock(directory / PLAN_LOCK)
    except ConfigError:
        lock = _plan_in_journals(directory, candidates)
        if lock is None and not _is_blank(directory / PLAN_LOCK):
            raise
    else:
        lock = lock or _plan_in_journals(directory, candidates)
    if lock is not None:
        _check_folders(directory, lock)
    return lock


def _plan_in_journals(directory: Path, candidates: Sequence[BenchmarkPlan]) -> PlanLock | None:
    found = {folder.name: scan(folder / JOURNAL) for folder in _journal_folders(directory)}
    plans = {slug: _plan_in(slug, index, candidates) for slug, index in found.items()}
    runs = {index.header.run_id for index in found.values() if index.header is not None}
    unknown = [slug for slug, plan in plans.items() if plan is None and _holds(found[slug])]
    if unknown or len(runs) > 1:
        answers = sum(index.answers for index in found.values())
        raise ConfigError(
            f"holds {answers} answers, but no {PLAN_LOCK} that can be read, and its journals do not"
            " say what they are of",
            where=str(directory),
            hint=f"restore {PLAN_LOCK} from a backup, or choose another directory (-o)",
        )
    known = tuple(plan for plan in plans.values() if plan is not None)
    if not known:
        return None
    lock = PlanLock(run_id=runs.pop(), benchmarks=known)
    check_lock(lock, str(directory))
    return lock


def _plan_in(
    slug: str, index: JournalIndex, candidates: Sequence[BenchmarkPlan]
) -> BenchmarkPlan | None:
    if index.header is None:
        return None
    if index.header.plan is not None:
        return index.header.plan if index.header.plan.slug == slug else None
    same = (plan for plan in candidates if plan.digest == index.header.plan_digest)
    return next((plan for plan in same if plan.slug == slug), None)


def info_of(directory: Path, lock: PlanLock) -> RunInfo:
    """``run.json``; where it is lost or damaged, what is known of the run without it."""
    try:
        info = read_run_info(directory)
    except ConfigError:
        begun = min((path.lstat().st_mtime for path in _children(directory)), default=0.0)
        created = datetime.datetime.fromtimestamp(begun, datetime.UTC)
        info = msgspec.structs.replace(
            new_run_info(),
            created=created.isoformat(timespec="milliseconds"),
            status=RunStatus.INTERRUPTED,
            git=None,
            benchmarks=tuple(plan.slug for plan in lock.benchmarks),
        )
    return msgspec.structs.replace(info, run_id=lock.run_id)


def load_journal(
    folder: Path,
    plan: BenchmarkPlan,
    run_id: str | None = None,
    visit: Callable[[Event], None] | None = None,
    *,
    keep: bool = False,
) -> JournalIndex:
    """What the journal of a benchmark holds of its plan; with ``keep`` it stays open. Raises
    ConfigError if it is the journal of something else (``run_id``: of any other run): answers of
    two models are never mixed."""
    index = scan(folder / JOURNAL, plan, visit=visit, keep=keep)
    check_header(folder, index.header, plan, run_id)
    return index


def check_header(
    folder: Path, header: Header | None, plan: BenchmarkPlan, run_id: str | None
) -> None:
    """Raise ConfigError if a journal is of something else than a plan (``run_id``: of any other
    run)."""
    if header is None:
        return
    if run_id in (None, header.run_id) and _is_of_plan(header.plan, plan, header.plan_digest):
        return
    raise ConfigError(
        f"is the journal of another run ({header.run_id[:100]}, {header.benchmark[:100]})",
        where=str(folder / JOURNAL),
        hint=f"move it away, or restore the {PLAN_LOCK} that it was written with",
    )


def _is_of_plan(journaled: BenchmarkPlan | None, plan: BenchmarkPlan, digest: str) -> bool:
    """Whether a journal is of a plan. Only what grades and sums up may have been replaced since;
    where the plan was extended, ``plan.lock`` was written before the journal's header."""
    if digest == plan.digest:
        return True
    if journaled is None or obstacle(journaled, plan) is not None:
        return False
    ignored = (*SCORER_KEYS, *AFTERWARDS, *count_keys(journaled, plan))
    return not any(changes(journaled.identity, plan.identity, ignored=ignored))


def damage_in(folder: Path, index: JournalIndex) -> str | None:
    """What was left out of a journal, for people."""
    if not index.damaged:
        return None
    places = ", ".join(f"line {d.line} at byte {d.offset} {d.reason}" for d in index.damage[:3])
    more = ", ..." if index.damaged > 3 else ""
    return (
        f"{folder / JOURNAL}: {index.damaged} damaged or foreign entries are left out"
        f" ({places}{more}); their rollouts count as not done"
    )


def warn_of_damage(folder: Path, index: JournalIndex) -> None:
    """Log what a journal does not contain because of damage."""
    if (text := damage_in(folder, index)) is not None:
        log.warning("%s", text)


def verdicts_beside(folder: Path) -> int:
    """Verdicts in the results derived from a journal, which held at least as many."""
    try:
        own = any(map(is_own_bundle, folder.glob(BUNDLES)))
        return sum(1 for _ in lines_of(folder / RESULTS)) if own else 0
    except ConfigError:
        return 0


def is_emptied(folder: Path, index: JournalIndex) -> bool:
    """Whether the results are all that is left of what a journal held."""
    return not index.paid and verdicts_beside(folder) > 0


def shortage_in(folder: Path, plan: BenchmarkPlan, index: JournalIndex) -> str | None:
    """What a journal has lost without a trace in itself, for people. Raises ConfigError if that is
    everything."""
    held = sum(state.scored for state in index.rollouts.values())
    if held == plan.n_rollouts:
        return None
    beside = verdicts_beside(folder)
    if beside and not index.paid:
        raise ConfigError(
            f"holds no answers, but the results beside it have {beside} verdicts",
            where=str(folder / JOURNAL),
            hint="restore it from a backup; to ask everything again, choose another directory (-o)",
        )
    if beside <= held or index.damaged:
        return None
    return (
        f"{folder / JOURNAL}: holds {held} verdicts, the results beside it {beside}; it was cut or"
        " replaced by an earlier copy; the missing ones count as not done"
    )


def strangers(directory: Path, lock: PlanLock | None, slugs: Collection[str] = ()) -> list[str]:
    """What stands in a directory that we did not write and would write over, or mix with ours:
    results of another program, files with the names of ours, folders with the names of ``slugs``.
    """
    ours = {plan.slug for plan in lock.benchmarks} if lock is not None else set()
    submitted = (
        directory / SUBMISSION
    ).is_file()  # whoever drives its shards says how far they are
    names = set(ROOT_NAMES) - ({PROGRESS} if submitted else set())
    found = []
    for child in _children(directory):
        if child.name.startswith(".") or child.name.startswith(SHARDS):
            continue
        if child.is_dir():
            taken = child.name in slugs and child.name not in ours and any(_visible(child))
            if taken or any(_foreign_results(child, ours=child.name in ours)):
                found.append(f"{child.name}/")
        elif (lock is None and child.name in names) or _is_foreign_bundle(child):
            found.append(child.name)
    return found


def _foreign_results(folder: Path, *, ours: bool) -> Iterator[Path]:
    names = () if ours else (RESULTS, TRAJECTORIES)
    yield from (folder / name for name in names if (folder / name).exists())
    yield from (path for path in folder.glob(BUNDLES) if not ours or _is_foreign_bundle(path))


def _is_foreign_bundle(path: Path) -> bool:
    return path.match(BUNDLES) and not is_own_bundle(path)


def _check_folders(directory: Path, lock: PlanLock) -> None:
    """Check that no benchmark folder leads out of the run's directory."""
    for plan in lock.benchmarks:
        if (directory / plan.slug).is_symlink():
            raise ConfigError(
                "is a symbolic link: nothing is read or written through it",
                where=str(directory / plan.slug),
                hint="put the folder itself there",
            )


def _journal_folders(directory: Path) -> Iterator[Path]:
    for child in _children(directory):
        if is_name(child.name) and not child.is_symlink() and (child / JOURNAL).is_file():
            yield child


def _holds(index: JournalIndex) -> bool:
    return bool(index.paid or index.damaged)


def _is_blank(path: Path) -> bool:
    """Whether a power failure left nothing of a document."""
    try:
        return not read_document(path).strip(b"\0 \r\n\t")
    except ConfigError:
        return False
    except FileNotFoundError:
        return True


def _visible(folder: Path) -> Iterator[Path]:
    return (path for path in _children(folder) if not path.name.startswith("."))


def _children(directory: Path) -> list[Path]:
    try:
        return sorted(itertools.islice(directory.iterdir(), MOST_CHILDREN))
    except FileNotFoundError:
        return []
    except OSError as error:
        raise ConfigError(f"cannot be read: {error.strerror}", where=str(directory)) from None
