"""The runs a viewer shows: found below some folders, each under a key that stays the same.

A key stands in links, so it is made of the run's path and nothing else. What a key names is looked
up among the runs that were found: no part of a URL ever becomes a path.
"""

from __future__ import annotations

import contextlib
import hashlib
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from ..errors import ConfigError
from ..files.reading import visible_folders
from ..results.layout import JOURNAL, PLAN_LOCK, PROGRESS, RUN_INFO, ascii_slug
from ..results.read_bundle import BUNDLES
from ..results.run_directory import plan_of
from ..results.status import RunState, status_of
from ..results.times import order
from ..results.view import BenchmarkView, RunView
from ..tasks.find_run import known_runs
from ..types import BenchmarkPlan

DEPTH = 4
"""Folders below the given ones that are looked into."""
RESCAN_SECONDS = 2.0


@dataclass(frozen=True, slots=True)
class _Results:
    """What the bundles of a run say."""

    created: str
    models: tuple[str, ...]
    unreadable: Mapping[str, str]


@dataclass(frozen=True)
class Run:
    """A run that was found."""

    key: str
    directory: Path
    view: RunView = field(repr=False)

    @property
    def name(self) -> str:
        """What links to the run say: its folder; of a folder with a common name that above it
        too."""
        return self.directory.name

    @cached_property
    def plans(self) -> dict[str, BenchmarkPlan]:
        """What the run was to do, by slug; empty where another tool made it."""
        try:
            lock = plan_of(self.directory)
        except ConfigError:
            return {}
        return {plan.slug: plan for plan in lock.benchmarks} if lock is not None else {}

    @property
    def created(self) -> str:
        """When the run began, as ISO 8601; empty where no file tells."""
        if self.view.info is not None:
            return self.view.info.created
        return self._results.created

    @property
    def order(self) -> tuple[float, str]:
        """What runs are sorted by: when they began, then where they are."""
        return order(self.created), str(self.directory)

    @property
    def model(self) -> str:
        """The model, or the models."""
        planned = (plan.model for plan in self.plans.values() if plan.model)
        return ", ".join(self._results.models or dict.fromkeys(planned))

    def state(self) -> RunState | None:
        """What the run is doing; None where another tool made it."""
        try:
            return status_of(self.directory)
        except (ConfigError, OSError):
            return None

    def files(self) -> tuple[object, ...]:
        """Changes where what its files tell of its state does."""
        documents = [self.directory / name for name in (RUN_INFO, PLAN_LOCK, PROGRESS)]
        return _sizes(*documents, *(self.directory / plan / JOURNAL for plan in self.plans))

    @property
    def unreadable(self) -> Mapping[str, str]:
        """Benchmarks whose results are damaged, by their folders, and what is wrong with them."""
        return self._results.unreadable

    def benchmarks(self) -> tuple[BenchmarkView, ...]:
        """Benchmarks with results that can be read."""
        views = self.view.benchmarks()
        return tuple(view for view in views if view.folder.resolve().name not in self.unreadable)

    @cached_property
    def _results(self) -> _Results:
        """What is kept of the bundles, which are too large to be kept as a whole."""
        created, models, unreadable = "", dict[str, None](), dict[str, str]()
        for view in self.view.benchmarks():
            try:
                bundle = view.bundle
            except (ConfigError, OSError) as error:
                unreadable[view.folder.resolve().name] = str(error)
                continue
            created = created or bundle.created or ""
            if bundle.model:
                models[bundle.model] = None
        return _Results(created, tuple(models), unreadable)

    def folder(self, name: str) -> Path | None:
        """The folder of one of its benchmarks; None for a name that is none of them."""
        folders = {view.folder.resolve().name: view.folder for view in self.benchmarks()}
        folders |= {plan: self.directory / plan for plan in self.plans}
        return folders.get(name)

    def benchmark_names(self) -> list[str]:
        """The folders' names, those without results included."""
        found = [view.folder.resolve().name for view in self.benchmarks()]
        return [*found, *(name for name in self.plans if name not in found)]


class Library:
    """The runs below some folders; without any, the known runs of this user."""

    def __init__(self, paths: Sequence[Path]) -> None:
        """Raises ConfigError for a path that is not there."""
        for path in paths:
            if not path.exists():
                raise ConfigError("there is no such file or directory", where=str(path))
        self._paths = [path.resolve() for path in paths]
        self._found: dict[str, Run] = {}
        self._states: dict[str, tuple[object, ...]] = {}
        self._scanned = float("-inf")

    def runs(self) -> list[Run]:
        """All runs, the latest first."""
        if time.monotonic() - self._scanned > RESCAN_SECONDS:
            directories = dict.fromkeys(self._directories())
            self._found = {run.key: run for run in map(self._known, directories)}
            self._scanned = time.monotonic()
        return sorted(self._found.values(), key=lambda run: run.order, reverse=True)

    def run(self, key: str) -> Run | None:
        """The run with a key; None where there is none."""
        if key not in self._found or time.monotonic() - self._scanned > RESCAN_SECONDS:
            self.runs()
        return self._found.get(key)

    def _known(self, directory: Path) -> Run:
        """The run in a directory: the record that is known, unless its files have changed."""
        key, state = key_of(directory), _state(directory)
        found = self._found.get(key)
        if found is None or self._states.get(key) != state:
            found = Run(key, directory, RunView(directory))
        self._states[key] = state
        return found

    def _directories(self) -> Iterator[Path]:
        if not self._paths:
            yield from known_runs()
        for path in self._paths:
            yield from _runs_below(path if path.is_dir() else path.parent, DEPTH)


def key_of(directory: Path) -> str:
    """The key of a run: its folder's name, for people, and a digest of its path."""
    path = str(directory.resolve())
    digest = hashlib.blake2b(path.encode(errors="surrogateescape"), digest_size=4).hexdigest()
    return f"{ascii_slug(directory.resolve().name)[:60]}-{digest}"


def _state(directory: Path) -> tuple[object, ...]:
    """Changes where what a run caches of its files does."""
    documents = (directory / RUN_INFO, directory / PLAN_LOCK)
    return _sizes(*documents, *directory.glob(f"*/{BUNDLES}"), *directory.glob(BUNDLES))


def _sizes(*paths: Path) -> tuple[object, ...]:
    sizes: list[object] = []
    for path in paths:
        with contextlib.suppress(OSError):
            found = path.stat()
            sizes.append((path.name, found.st_mtime_ns, found.st_size))
    return tuple(sizes)


def _runs_below(folder: Path, depth: int) -> Iterator[Path]:
    if is_run(folder):
        yield folder
        return
    if depth:
        with contextlib.suppress(OSError):
            for child in visible_folders(folder):
                yield from _runs_below(child, depth - 1)


def is_run(folder: Path) -> bool:
    """Whether a folder is that of a run, ours or another tool's."""
    if any((folder / name).is_file() for name in (RUN_INFO, PLAN_LOCK)):
        return True
    return any(True for _ in folder.glob(f"*/{BUNDLES}")) or any(True for _ in folder.glob(BUNDLES))
