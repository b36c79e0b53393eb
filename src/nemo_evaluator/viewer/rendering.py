"""What the pages of a viewer share: the runs behind them, and how a template becomes a page."""

from __future__ import annotations

import time
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined, Template

from ..reports import figures
from ..reports.rollout import KINDS as KIND_WORDS
from ..reports.rollout import as_text
from ..results.rollout_filter import Kind
from ..results.status import RunState, holder_of
from ..results.view import BenchmarkView
from .detail import Rollouts
from .file_cache import FileCache
from .index import Table, Tables
from .labels import Labels
from .library import Library, Run
from .links import Links
from .pictures import Pictures
from .texts import parts_of, shown
from .unfinished_runs import UnfinishedRuns

SHADOW_SECONDS = 2.0
"""How long a page waits for the first results of a run in progress."""
MOST_RUNS = 10_000
"""Runs whose states are remembered."""
TONES = {Kind.RIGHT: "good", Kind.WRONG: "bad", Kind.NO_ANSWER: "unsure", Kind.ERROR: "unsure"}


class NotThere(Exception):
    """What a link names does not exist, or not any more."""


class Viewer:
    """What all pages share."""

    def __init__(self, library: Library, cache: Path, patience: float = SHADOW_SECONDS) -> None:
        """``patience``: seconds that a page waits for first results of runs that have none."""
        self.library, self._patience = library, patience
        self.tables, self.unfinished = Tables(cache), UnfinishedRuns(cache)
        self.labels, self.rollouts, self.memory = Labels(), Rollouts(), FileCache()
        self.pictures, self._states = Pictures(), FileCache(MOST_RUNS)

    def run(self, key: str) -> Run:
        """Raises NotThere."""
        found = self.library.run(key)
        if found is None:
            raise NotThere("there is no such run here")
        return found

    def benchmarks(self, run: Run) -> tuple[BenchmarkView, ...]:
        """The benchmarks of a run as they are now."""
        return self.unfinished.benchmarks(run, wait=self._patience)

    def runs(self) -> list[tuple[Run, tuple[BenchmarkView, ...]]]:
        """All runs with their benchmarks; those that take long to read have none yet."""
        end = time.monotonic() + self._patience
        return [
            (run, self.unfinished.benchmarks(run, wait=max(0.0, end - time.monotonic())))
            for run in self.library.runs()
        ]

    def state(self, run: Run) -> RunState | None:
        """What a run is doing. What a dead one has done is counted once for each state of its
        files."""
        if holder_of(run.directory) is not None:
            return run.state()
        return self._states.of((run.key, run.files()), run.state)

    def benchmark(self, key: str, name: str) -> tuple[Run, BenchmarkView, Table]:
        """Raises NotThere."""
        run = self.run(key)
        view = self.unfinished.benchmark(run, name, wait=self._patience)
        if view is None:
            raise NotThere("this run has no results of that benchmark yet")
        return run, view, self.tables.of(view.folder)


def stamps(views: Sequence[BenchmarkView]) -> str:
    """Changes where the results of a run do."""
    found = []
    for view in views:
        try:
            at = view.bundle_path.stat()
        except OSError:
            continue
        found.append(f"{view.bundle_path.name}:{at.st_mtime_ns}:{at.st_size}")
    return " ".join(found)


def of_run(run: Run, state: Any, tab: str) -> dict[str, Any]:
    """What the head of every page about a run shows."""
    names = run.benchmark_names()
    return {
        "title": run.name,
        "run": run,
        "state": state,
        "tab": tab,
        "names": names,
        "active": state is not None and state.state.active,
    }


def known(links: Links) -> dict[str, Any]:
    """What every template may use."""
    return {
        "links": links,
        "kind_words": KIND_WORDS,
        "tones": TONES,
        "parts_of": parts_of,
        "as_text": as_text,
        "shown": shown,
        "usd": figures.usd,
        "duration": figures.duration,
    }


def render(name: str, links: Links, part: str | None = None, **told: Any) -> str:
    """A page, or the part of it that a script asks for."""
    found = template(name)
    context = found.new_context({**known(links), **told})
    if part is not None and part in found.blocks:
        return "".join(found.blocks[part](context))
    return found.render(context)


@cache
def _environment() -> Environment:
    loader = FileSystemLoader(Path(__file__).parent / "templates")
    return Environment(
        loader=loader, autoescape=True, undefined=StrictUndefined, trim_blocks=True,
        lstrip_blocks=True,
    )  # fmt: skip


def template(name: str) -> Template:
    """A template by the name of its file."""
    return _environment().get_template(name)
