"""Results of benchmarks that have none yet: of a run that goes on, or was killed.

They are derived from the journals as at the end of a run, but into the user's cache: a viewer
writes nothing into a run. While a run goes on that is done again now and then, at a bounded cost.
"""

from __future__ import annotations

import atexit
import contextlib
import logging
import os
import shutil
import tempfile
import threading
import time
from dataclasses import dataclass
from pathlib import Path

from ..errors import ConfigError
from ..files.writing import replace_file
from ..results.derive import publish
from ..results.layout import JOURNAL, RESULTS, TRAFFIC
from ..results.read_bundle import BUNDLES
from ..results.run_directory import info_of, plan_of
from ..results.run_info import RunStatus
from ..results.view import BenchmarkView
from ..types import BenchmarkPlan
from ..version import __version__
from .library import Run

LEAST_SECONDS = 3.0
AT_ONCE = 2
"""Derivations at one time."""
SEEN = "journal.seen"
"""In a derived folder: of which program and which state of the journal it is."""
SHARE = 0.1
"""Part of the time that is spent on deriving a run that goes on, at most."""
PUBLISHED = (RunStatus.DONE, RunStatus.DECIDED, RunStatus.INCOMPLETE)
"""How runs end that have written their results."""

log = logging.getLogger("nemo_evaluator.viewer")


@dataclass(slots=True)
class _UnfinishedRun:
    folder: Path
    seen: str = ""
    """The state of the journal that it was derived from."""
    not_before: float = 0.0
    busy: bool = False


class UnfinishedRuns:
    """The benchmarks of runs as they are now, those in progress included."""

    def __init__(self, cache: Path) -> None:
        self._cache = cache
        self._unfinished: dict[Path, _UnfinishedRun] = {}
        self._lock = threading.Lock()
        self._turns = threading.Semaphore(AT_ONCE)
        self._waiting: set[Path] = set()

    def is_reading(self, run: Run) -> bool:
        """Whether the benchmarks that were found last lack one whose first results are derived."""
        return any(run.directory / name / JOURNAL in self._waiting for name in run.plans)

    def benchmarks(self, run: Run, *, wait: float = 0.0) -> tuple[BenchmarkView, ...]:
        """The benchmarks that have results, in the order of the run; ``wait``: seconds that a first
        derivation may take."""
        published = {view.folder.resolve().name: view for view in run.benchmarks()}
        found = []
        for name in run.benchmark_names():
            view = published.get(name)
            plan = run.plans.get(name)
            if plan is not None and _is_behind(run, name):
                view = self._view(run, plan, wait) or view
            if view is not None:
                found.append(view)
        return tuple(found)

    def benchmark(self, run: Run, name: str, *, wait: float = 0.0) -> BenchmarkView | None:
        """One benchmark of a run, by its folder."""
        found = self.benchmarks(run, wait=wait)
        return next((view for view in found if view.folder.resolve().name == name), None)

    def _view(self, run: Run, plan: BenchmarkPlan, wait: float) -> BenchmarkView | None:
        journal = run.directory / plan.slug / JOURNAL
        with self._lock:
            unfinished = self._unfinished.get(journal)
            if unfinished is None:
                folder = self._cache / "live" / run.key / plan.slug
                unfinished = self._unfinished[journal] = _UnfinishedRun(folder, _derived_of(folder))
            changed = _state(journal) != unfinished.seen
            if changed and not unfinished.busy and time.monotonic() >= unfinished.not_before:
                unfinished.busy = True
                arguments = (run, plan, journal, unfinished)
                threading.Thread(target=self._derive, args=arguments, daemon=True).start()
        end = time.monotonic() + wait
        while (bundle := _bundle(unfinished.folder)) is None and unfinished.busy:
            if time.monotonic() > end:
                self._waiting.add(journal)
                return None
            time.sleep(0.02)
        self._waiting.discard(journal)
        bundle = bundle or _bundle(unfinished.folder)  # it may have come between the two questions
        return BenchmarkView(unfinished.folder, bundle) if bundle is not None else None

    def _derive(
        self, run: Run, plan: BenchmarkPlan, journal: Path, unfinished: _UnfinishedRun
    ) -> None:
        with self._turns:
            began = time.monotonic()
            try:
                lock = plan_of(run.directory)
                if lock is None:
                    return
                unfinished.seen = state = _state(journal)
                unfinished.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
                publish(journal.parent, plan, info_of(run.directory, lock), into=unfinished.folder)
                _link(journal.parent / TRAFFIC, unfinished.folder / TRAFFIC)
                replace_file(unfinished.folder / SEEN, state.encode())
            except (ConfigError, OSError) as error:
                log.warning("%s: cannot be derived: %s", journal.parent, error)
            finally:
                took = time.monotonic() - began
                unfinished.not_before = time.monotonic() + max(LEAST_SECONDS, took / SHARE)
                unfinished.busy = False


def cache_folder() -> Path:
    """Where a viewer keeps what it makes: a folder of this user alone. Where that cannot be
    written, a temporary one, removed at the end."""
    try:
        base = os.environ.get("XDG_CACHE_HOME")
        folder = Path(base or Path.home() / ".cache") / "nemo-evaluator" / "view"
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        with tempfile.TemporaryFile(dir=folder):
            return folder
    except (OSError, RuntimeError) as error:  # a RuntimeError: this user has no home
        made = Path(tempfile.mkdtemp(prefix="nel-view-"))
        atexit.register(shutil.rmtree, made, ignore_errors=True)
        log.warning("nothing is kept for the next viewer: no cache can be written: %s", error)
        return made


def _state(journal: Path) -> str:
    try:
        found = journal.stat()
    except OSError:
        return ""
    return f"{__version__} {found.st_size} {found.st_mtime_ns}"


def _derived_of(folder: Path) -> str:
    """The state of the journal that an earlier viewer derived a folder from; empty: of none."""
    try:
        return (folder / SEEN).read_text("utf-8", "replace")
    except OSError:
        return ""


def _is_behind(run: Run, name: str) -> bool:
    """Whether a journal tells more than the results beside it, or those are damaged. Times tell
    that of a run that has not ended; of one that has, a copy may have mixed them up."""
    folder = run.directory / name
    try:
        journal = (folder / JOURNAL).stat().st_mtime_ns
    except OSError:
        return False
    try:
        results = (folder / RESULTS).stat().st_mtime_ns
    except OSError:
        return True
    if name in run.unreadable:
        return True
    ended = run.view.info is not None and run.view.info.status in PUBLISHED
    return journal > results and not ended


def _bundle(folder: Path) -> Path | None:
    return next(iter(sorted(folder.glob(BUNDLES))), None)


def _link(target: Path, link: Path) -> None:
    if target.is_file() and not link.exists():
        with contextlib.suppress(OSError):
            link.symlink_to(target.resolve())
