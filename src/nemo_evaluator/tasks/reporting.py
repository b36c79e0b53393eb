"""Finds what is to be reported on, and brings derived files up to date with their journals."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from ..errors import ConfigError
from ..files.reading import visible_folders
from ..reports.sources import Found, bundle_source, rows_source, run_sources
from ..results.derive import publish, summarise
from ..results.foreign import is_foreign
from ..results.layout import (
    FAILURES,
    JOURNAL,
    JUDGEMENTS,
    PLAN_LOCK,
    RESULTS,
    RUN_INFO,
    RUNTIME,
    TRAJECTORIES,
    UNSCORED,
)
from ..results.plan_lock import PlanLock, read_lock, write_lock
from ..results.read_bundle import BUNDLES
from ..results.run_directory import SHARDS, info_of, is_emptied, load_journal, plan_of
from ..results.run_info import RunInfo, read_run_info, write_run_info
from ..results.summary import RunSummary
from ..types import BenchmarkPlan

DERIVED = (RESULTS, TRAJECTORIES, RUNTIME, FAILURES)
"""What every benchmark's folder has beside its bundle."""

log = logging.getLogger("nemo_evaluator.results")


def refresh(directory: Path, *, must_write: bool = True) -> RunSummary:
    """Derive everything again from the journals; no model, dataset or network is needed.

    Raises ConfigError if the directory holds no run, or cannot be written; without ``must_write``
    the files of such a directory stay as they are.
    """
    lock = plan_of(directory)
    if lock is None:
        raise ConfigError(
            "holds no run",
            where=str(directory),
            hint="give the directory `nel eval run` wrote (-o)",
        )
    try:
        info = _complete(directory, lock)
        summaries = [
            publish(directory / plan.slug, plan, info)
            for plan in lock.benchmarks
            if _can_be_derived(directory / plan.slug, plan)
        ]
    except OSError as error:
        if must_write:
            what = f"cannot be written: {error.strerror}"
            raise ConfigError(what, where=str(directory)) from None
        info = info_of(directory, lock)
        summaries = [
            summarise(directory / plan.slug, plan)
            for plan in lock.benchmarks
            if _can_be_derived(directory / plan.slug, plan)
        ]
    return RunSummary(run=info, benchmarks=tuple(summaries), directory=str(directory))


def _can_be_derived(folder: Path, plan: BenchmarkPlan) -> bool:
    """Whether there is a journal; not one that lost what the results beside it were made from."""
    if not (folder / JOURNAL).exists():
        return False
    if not any(folder.glob(BUNDLES)) or not is_emptied(folder, load_journal(folder, plan)):
        return True
    log.warning("%s holds no answers any more; the results stay as they are", folder / JOURNAL)
    return False


def _complete(directory: Path, lock: PlanLock) -> RunInfo:
    """Write the documents of a run that it has lost; what was paid for stands in its journals."""
    info = info_of(directory, lock)
    if not _intact(directory):
        log.warning(
            "%s: %s or %s was missing; both are written again", directory, PLAN_LOCK, RUN_INFO
        )
        write_lock(directory / PLAN_LOCK, lock)
        write_run_info(directory, info)
    return info


def _intact(directory: Path) -> bool:
    """Whether the documents of a run can be read."""
    try:
        return read_lock(directory / PLAN_LOCK) is not None and bool(read_run_info(directory))
    except ConfigError:
        return False


def _run_in(directory: Path) -> PlanLock | None:
    """The plan of the run in a directory. A folder that only holds folders of benchmarks, copied
    from somewhere, is taken for a run only if it lacks what a run would have derived."""
    if any((directory / name).exists() for name in (PLAN_LOCK, RUN_INFO)):
        return plan_of(directory)
    try:
        lock = plan_of(directory)
    except ConfigError:
        return None
    return lock if lock is not None and _stale(directory, lock) else None


def find(paths: Sequence[Path], *, anew: bool = False) -> tuple[Found, ...]:
    """All results below some paths: run directories, benchmark directories, bundles, or folders of
    any of them. A run whose journals are newer than its bundles is derived first; ``anew``: always.

    Raises ConfigError for a path below which there is nothing.
    """
    found: dict[Path, Found] = {}
    for path in paths:
        here = list(_sources_below(path, anew))
        if not here:
            raise ConfigError("holds no run and no bundle", where=str(path), hint=_hint(path))
        found |= {item.path.resolve(): item for item in here}
    return tuple(found.values())


def result_folders(path: Path, benchmark: str | None = None) -> list[Path]:
    """The folders with results of a run, ours or another tool's, brought up to date first; or the
    one of a benchmark. Raises ConfigError."""
    if not path.exists():
        raise ConfigError("there is no such file or directory", where=str(path))
    path = path.parent if path.is_file() else path
    bring_up_to_date(path.parent if (path / JOURNAL).is_file() else path)
    found = [folder for folder in (path, *_folders(path)) if _has_results(folder)]
    if not found:
        raise ConfigError(f"holds no results ({RESULTS})", where=str(path), hint=_hint(path))
    if benchmark is None:
        return found
    chosen = [folder for folder in found if folder.resolve().name == benchmark]
    if not chosen:
        hint = f"one of {', '.join(folder.resolve().name for folder in found)}"
        raise ConfigError(f"there is no benchmark {benchmark!r}", where=str(path), hint=hint)
    return chosen


def _has_results(folder: Path) -> bool:
    return any((folder / name).is_file() for name in (RESULTS, UNSCORED))


def _sources_below(path: Path, anew: bool) -> Iterator[Found]:
    if not path.exists():
        raise ConfigError("there is no such file or directory", where=str(path))
    if path.is_file() and path.name == RESULTS:
        yield from _sources_below(path.parent, anew)
    elif path.is_file():
        yield bundle_source(path)
    elif (lock := _run_in(path)) is not None:
        if anew or not _intact(path) or _stale(path, lock):
            refresh(path)
        yield from run_sources(path)
    else:
        if (path.parent / PLAN_LOCK).is_file() and (path / JOURNAL).is_file() and _stale_one(path):
            refresh(path.parent)
        bundles = sorted(path.glob(BUNDLES))
        yield from map(bundle_source, bundles)
        if not bundles and is_foreign(path):
            yield rows_source(path)
        for child in _folders(path):
            yield from _sources_below(child, anew)


def _folders(path: Path) -> list[Path]:
    try:
        return [child for child in visible_folders(path) if not child.name.startswith(SHARDS)]
    except OSError as error:
        raise ConfigError(f"cannot be read: {error.strerror}", where=str(path)) from None


def bring_up_to_date(directory: Path) -> None:
    """Derive a run whose journals are newer than its bundles; anything else stays as it is."""
    lock = _run_in(directory) if directory.is_dir() else None
    if lock is not None and (not _intact(directory) or _stale(directory, lock)):
        refresh(directory)


def _stale(directory: Path, lock: PlanLock) -> bool:
    return any(_stale_one(directory / plan.slug) for plan in lock.benchmarks)


def _stale_one(folder: Path) -> bool:
    """Whether something that follows from a journal is missing, or is older than the journal or
    what judges said, and can be replaced."""
    journal = folder / JOURNAL
    if not journal.is_file():
        return journal.exists()  # a pipe or a folder in its place is refused where it is read
    bundles = list(folder.glob(BUNDLES))
    if bundles and not os.access(folder, os.W_OK):
        return False
    if not all((folder / name).exists() for name in DERIVED):
        return True
    written = max((bundle.lstat().st_mtime_ns for bundle in bundles), default=-1)
    sources = [path for path in (journal, folder / JUDGEMENTS) if path.is_file()]
    return written < max(path.stat().st_mtime_ns for path in sources)


def _hint(path: Path) -> str:
    if path.is_dir() and next(path.glob(f"{SHARDS}*"), None) is not None:
        return f"it holds shards; first: nel eval merge {path}"
    return "give the directory of a run (`nel eval run -o DIR`), or bundles (eval-*.json)"
