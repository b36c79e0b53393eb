"""All scores of any number of runs as one CSV table: a line per benchmark and metric.

Exporting a run adds its lines, or replaces those it has there; lines of other runs stay. Processes
that export into the same table wait for each other.
"""

from __future__ import annotations

import csv
import fcntl
import io
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from ..errors import ConfigError
from ..files.writing import replace_file
from ..reports.escape import csv_text
from ..results.view import BenchmarkView, RunView
from .options import FileOptions

COLUMNS = (
    "run_id", "created", "benchmark", "model", "solver", "simulated", "metric", "headline", "value",
    "ci_lower", "ci_upper", "ci_method", "n", "problems", "repeats", "coverage", "total_tokens",
    "cost_usd", "digest",
)  # fmt: skip


class Table:
    """One line per benchmark and metric, in ``<output_dir>/<file>``."""

    class Options(FileOptions):
        """Which table."""

        file: str = "scores.csv"
        """Name of the table in ``output_dir``."""

    def __init__(self, options: Options) -> None:
        self._options = options

    async def export(self, run: RunView) -> Sequence[str]:
        """See ``Exporter.export``."""
        path = self._options.folder(run) / self._options.file
        with _folder_lock(path.parent):
            kept = [row for row in _rows_of(path) if row[0] != run.run_id]
            out = io.StringIO()
            writer = csv.writer(out, lineterminator="\n")
            writer.writerow(COLUMNS)
            writer.writerows(kept)
            for benchmark in run.benchmarks():
                writer.writerows(_lines(run, benchmark))
            replace_file(path, out.getvalue().encode())
        return [str(path)]


def _lines(run: RunView, benchmark: BenchmarkView) -> Iterator[list[str]]:
    bundle = benchmark.bundle
    for name, measure in bundle.metrics.items():
        cells = (
            run.run_id, bundle.created, bundle.name, bundle.model, bundle.solver, bundle.simulated,
            name, name == bundle.headline, measure.value, measure.ci_lower, measure.ci_upper,
            measure.method, measure.n, bundle.n_problems, bundle.repeats, bundle.coverage,
            bundle.runtime.total_tokens, bundle.runtime.cost_usd, bundle.digest,
        )  # fmt: skip
        yield [_cell(cell) for cell in cells]


def _cell(value: str | float | bool | None) -> str:
    if isinstance(value, str):
        return csv_text(value)
    if isinstance(value, bool):
        return str(value).lower()
    return "" if value is None else repr(value)


def _rows_of(path: Path) -> list[list[str]]:
    """The lines of a table that is there. Raises ConfigError for another kind of file."""
    if not path.exists() or not path.stat().st_size:
        return []
    try:
        with path.open(encoding="utf-8", newline="") as file:
            head, *rows = csv.reader(file)
    except (UnicodeDecodeError, csv.Error):
        head, rows = [], []
    if tuple(head) != COLUMNS or any(len(row) != len(COLUMNS) for row in rows):
        raise ConfigError(
            "is not a table of this exporter; nothing was written",
            where=str(path),
            hint="choose another file (-o file=NAME), or move it away",
        )
    return rows


@contextmanager
def _folder_lock(folder: Path) -> Iterator[None]:
    """While no other process writes a table in a folder."""
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX)
        yield
    finally:
        os.close(fd)
