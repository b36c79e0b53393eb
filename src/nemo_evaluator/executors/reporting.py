"""Finds what is to be reported on, and brings derived files up to date with their journals."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from ..engine.plan import read_lock
from ..errors import ConfigError
from ..reports.sources import Found, bundle_source, rows_source, run_sources
from ..results.derive import publish
from ..results.foreign import is_foreign
from ..results.layout import JOURNAL, PLAN_LOCK, RUN_INFO
from ..results.read_bundle import BUNDLES
from ..results.run_info import read_run_info
from ..results.summary import RunSummary

SHARDS = "shard_"


def refresh(directory: Path) -> RunSummary:
    """Derive everything again from the journals; no model, dataset or network is needed.

    Raises ConfigError if the directory holds no run, or cannot be written.
    """
    lock = read_lock(directory / PLAN_LOCK)
    if lock is None:
        raise ConfigError(
            "holds no run",
            where=str(directory),
            hint="give the directory `nel eval run` wrote (-o)",
        )
    info = read_run_info(directory)
    try:
        summaries = [
            publish(directory / plan.slug, plan, info)
            for plan in lock.benchmarks
            if (directory / plan.slug / JOURNAL).exists()
        ]
    except OSError as error:
        raise ConfigError(f"cannot be written: {error.strerror}", where=str(directory)) from None
    return RunSummary(run=info, benchmarks=tuple(summaries), directory=str(directory))


def find(paths: Sequence[Path], *, anew: bool = False) -> tuple[Found, ...]:
    """All results below some paths: run directories, benchmark directories, bundles, or folders of
    any of them. A run whose journals are newer than its bundles is derived first; ``anew``: always.

    Raises ConfigError for a path below which there is nothing.
    """
    found: dict[Path, Found] = {}
    for path in paths:
        here = list(_below(path, anew))
        if not here:
            raise ConfigError("holds no run and no bundle", where=str(path), hint=_hint(path))
        found |= {item.path.resolve(): item for item in here}
    return tuple(found.values())


def _below(path: Path, anew: bool) -> Iterator[Found]:
    if not path.exists():
        raise ConfigError("there is no such file or directory", where=str(path))
    if path.is_file():
        yield bundle_source(path)
    elif (path / PLAN_LOCK).is_file() and (path / RUN_INFO).is_file():
        if anew or _stale(path):
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
            yield from _below(child, anew)


def _folders(path: Path) -> list[Path]:
    try:
        children = sorted(path.iterdir())
    except OSError as error:
        raise ConfigError(f"cannot be read: {error.strerror}", where=str(path)) from None
    return [
        child
        for child in children
        if not child.name.startswith((".", SHARDS)) and child.is_dir() and not child.is_symlink()
    ]


def bring_up_to_date(directory: Path) -> None:
    """Derive a run whose journals are newer than its bundles; anything else stays as it is."""
    run = (directory / PLAN_LOCK).is_file() and (directory / RUN_INFO).is_file()
    if run and _stale(directory):
        refresh(directory)


def _stale(directory: Path) -> bool:
    lock = read_lock(directory / PLAN_LOCK)
    plans = lock.benchmarks if lock is not None else ()
    return any(_stale_one(directory / plan.slug) for plan in plans)


def _stale_one(folder: Path) -> bool:
    """Whether a journal has no bundle, or one from before its last line that can be replaced."""
    journal = folder / JOURNAL
    if not journal.is_file():
        return False
    bundles = list(folder.glob(BUNDLES))
    if bundles and not os.access(folder, os.W_OK):
        return False
    written = max((bundle.stat().st_mtime_ns for bundle in bundles), default=-1)
    return written < journal.stat().st_mtime_ns


def _hint(path: Path) -> str:
    if path.is_dir() and next(path.glob(f"{SHARDS}*"), None) is not None:
        return f"it holds shards; first: nel eval merge {path}"
    return "give the directory of a run (`nel eval run -o DIR`), or bundles (eval-*.json)"
