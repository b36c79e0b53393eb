"""The pages as files: a site that any web server, or none, can show.

It holds runs, reports, audits, lists and the first rollouts of each benchmark. What needs a server
is left out: filters over all rows, comparisons, labels.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from ..errors import ConfigError
from ..files.writing import make_folder, replace_file
from . import pages, rollout_pages
from .app import ASSETS
from .library import Library, Run
from .links import FileLinks
from .rendering import Viewer
from .search import Query, listed
from .unfinished_runs import cache_folder

ROWS = 200
"""Rows on a page of a list."""
PATIENCE = 3600.0


def export(paths: Sequence[Path], site: Path, most: int) -> Path:
    """Write the pages into a folder; ``most``: rollouts of each benchmark that get a page. The
    first page. Raises ConfigError."""
    viewer = Viewer(Library(paths), cache_folder(), PATIENCE)
    if not viewer.library.runs():
        raise ConfigError("there are no runs", where=", ".join(map(str, paths)) or None)
    made: set[Path] = set()
    try:
        for name, text in _pages(viewer, most):
            path = site / name
            if path.parent not in made:
                make_folder(path.parent)
                made.add(path.parent)
            replace_file(path, text.encode("utf-8", "replace"))
        make_folder(site / "static")
        for name, (source, _) in ASSETS.items():
            replace_file(site / "static" / name, source.read_bytes())
    except OSError as error:
        raise ConfigError(f"cannot be written: {error.strerror}", where=str(site)) from None
    return site / "index.html"


def _pages(viewer: Viewer, most: int) -> Iterator[tuple[str, str]]:
    yield "index.html", pages.runs_page(viewer, FileLinks())
    for run in viewer.library.runs():
        here = f"run/{run.key}"
        yield f"{here}/index.html", pages.run_page(viewer, FileLinks(2), run.key)
        yield f"{here}/audit.html", pages.audit_page(viewer, FileLinks(2), run.key)
        for view in viewer.benchmarks(run):
            yield from _benchmark(viewer, run, view.folder.resolve().name, most)


def _benchmark(viewer: Viewer, run: Run, name: str, most: int) -> Iterator[tuple[str, str]]:
    here = f"run/{run.key}/{name}"
    _, _, table = viewer.benchmark(run.key, name)
    table.wait(PATIENCE)
    links, number = FileLinks(3, most), 1
    while True:
        query = Query(page=number)
        yield (
            f"{here}/samples-{number}.html",
            pages.samples_page(viewer, links, run.key, name, query, size=ROWS),
        )
        page = listed(table, query, {}, ROWS)
        if page.first + len(page.rows) > (page.total or 0):
            break
        number += 1
    for row in listed(table, Query(), {}, most, first=0).rows:
        yield (
            f"{here}/sample-{row.problem}-{row.repeat}.html",
            rollout_pages.sample_page(viewer, links, run.key, name, row.problem, row.repeat),
        )
