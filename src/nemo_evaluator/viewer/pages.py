"""The pages about runs as HTML: functions of the runs' files and of what a link asks for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ..errors import ConfigError
from ..results.result_row import read_rows
from ..results.view import BenchmarkView
from . import content
from .index import Table
from .labels import WORDS, Label
from .library import Run
from .links import Links
from .rendering import Viewer, of_run, render, stamps
from .search import KINDS, PAGE, SORTS, Page, Query, categories, counts, first_rows, listed

FIRST_PAINT_SECONDS = 0.4
"""How long a list waits for its table before it is shown without rows."""


def runs_page(viewer: Viewer, links: Links, part: str | None = None) -> str:
    """All runs, with their scores."""
    items = [_listed(viewer, run, views) for run, views in viewer.runs()]
    names = [name for item in items for name in {score.benchmark for score in item["scores"]}]
    repeated = sorted({name for name in names if names.count(name) > 1})
    return render(
        "runs.html", links, part, title="Runs", items=items, repeated=repeated,
    )  # fmt: skip


def _listed(viewer: Viewer, run: Run, views: Sequence[BenchmarkView]) -> dict[str, Any]:
    """A row of the list. It names results that are damaged, or gone since they were found: the
    other runs are shown all the same."""
    scores: list[content.Score] = []
    problems = list(run.unreadable.values())
    try:
        scores = content.scores(views)
    except (ConfigError, OSError) as error:
        problems.append(str(error))
    state = viewer.state(run)
    return {
        "run": run,
        "scores": scores,
        "problems": problems,
        "state": state,
        "doing": content.doing(state),
        "reading": viewer.unfinished.is_reading(run),
        "started": run.created[:16].replace("T", " "),
    }


def run_page(viewer: Viewer, links: Links, key: str, part: str | None = None) -> str:
    """One run: its report, and how far it is."""
    run = viewer.run(key)
    views, state = viewer.benchmarks(run), viewer.state(run)
    report = (
        viewer.memory.of(("report", key, stamps(views)), lambda: content.report(run, views))
        if views
        else None
    )
    return render(
        "run.html", links, part, **of_run(run, state, "overview"),
        scores=content.scores(views), report=report, doing=content.doing(state),
        info=run.view.info, problems=list(run.unreadable.values()),
    )  # fmt: skip


def live(viewer: Viewer, key: str) -> dict[str, object]:
    """What a page of a run in progress asks for every few seconds."""
    run = viewer.run(key)
    state = viewer.state(run)
    views = viewer.unfinished.benchmarks(run)
    return {
        "active": state is not None and state.state.active,
        "state": str(state.state) if state is not None else "",
        "stamp": stamps(views),
        "benchmarks": [
            {"name": d.name, "done": d.done, "total": d.total, "score": d.score, "note": d.note}
            for d in content.doing(state)
        ],
    }


def audit_page(viewer: Viewer, links: Links, key: str) -> str:
    """Where the scores of a run may be wrong."""
    run = viewer.run(key)
    views = viewer.benchmarks(run)
    body = viewer.memory.of(("audit", key, stamps(views)), lambda: content.audits(views))
    return render("audit.html", links, **of_run(run, viewer.state(run), "audit"), body=body)


def samples_page(
    viewer: Viewer,
    links: Links,
    key: str,
    benchmark: str,
    query: Query,
    part: str | None = None,
    size: int = PAGE,
) -> str:
    """The rollouts of a benchmark, filtered, ordered and searched."""
    run, view, table = viewer.benchmark(key, benchmark)
    table.wait(FIRST_PAINT_SECONDS)
    labels = viewer.labels.of(run, benchmark)
    page, why = _rows_page(table, query, labels, size)
    progress = table.progress
    kinds, groups = viewer.memory.of(
        ("choices", table.path, progress.listed),
        lambda: (counts(table), categories(table)) if progress.listed else ({}, []),
    )
    return render(
        "samples.html", links, part, **of_run(run, viewer.state(run), "samples"),
        benchmark=benchmark, called=view.name, query=query, page=page, why=why, size=size,
        progress=progress, counts=kinds, categories=groups,
        labels=labels, kinds=KINDS, sorts=SORTS, words=WORDS, stamp=table.stamp,
    )  # fmt: skip


def _rows_page(
    table: Table, query: Query, labels: Mapping[tuple[int, int], Label], size: int
) -> tuple[Page, str]:
    """A page of rows, and why there are none where something is in the way."""
    nothing = Page((), 0, 1)
    progress = table.progress
    if progress.error:
        return nothing, f"The rows cannot be listed: {progress.error}"
    if not progress.listed:
        if query == Query():
            return first_rows(read_rows(table.folder), size), ""
        return nothing, "The rows are being read for the first time."
    try:
        words = {key: label.word for key, label in labels.items()}
        return listed(table, query, words, size), ""
    except ValueError:
        return nothing, "There is nothing to search for in that: write words or numbers."


def history_page(viewer: Viewer, links: Links, benchmark: str) -> str:
    """A benchmark in all runs that have it."""
    runs = viewer.runs()
    stamp = tuple(stamps(views) for _, views in runs)
    body = viewer.memory.of(
        ("history", benchmark, stamp), lambda: content.over_time(runs, benchmark)
    )
    return render("history.html", links, None, title=f"{benchmark} over time", body=body)


def error_page(viewer: Viewer, links: Links, what: str) -> str:
    """One sentence."""
    return render("error.html", links, None, title="Not shown", what=what)
