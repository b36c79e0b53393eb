"""A table of a run as a Parquet file, for pandas, Polars, DuckDB or Spark.

Columns have the same types in every run, so that files of many runs are read as one table. A run
has one file per table, which is replaced as a whole.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Literal

from ..files.writing import replacing
from ..results.arrow import arrow_batches, arrow_schema
from ..results.tables import TABLES, TEXTS, Column
from ..results.view import RunView
from .options import FileOptions


class Parquet:
    """One file per table, ``<output_dir>/<run id>.<table>.parquet``."""

    class Options(FileOptions):
        """What is written, and where."""

        tables: tuple[Literal["rows", "scores", "calls", "runs"], ...] = ("rows",)
        """Which tables: `rows` (rollouts), `scores`, `calls` (of models), `runs`."""
        texts: bool = True
        """Write prompts, responses and reasoning texts."""

    def __init__(self, options: Options) -> None:
        self._options = options

    async def export(self, run: RunView) -> Sequence[str]:
        """See ``Exporter.export``."""
        folder = self._options.folder(run)
        paths = []
        for name in dict.fromkeys(self._options.tables):
            table = TABLES[name]
            left_out = frozenset() if self._options.texts else TEXTS
            columns = [column for column in table.columns if column.name not in left_out]
            paths.append(folder / f"{run.run_id}.{name}.parquet")
            write_parquet(paths[-1], columns, table.records(run))
        return [str(path) for path in paths]


def write_parquet(path: Path, columns: Sequence[Column[Any]], records: Iterator[Any]) -> None:
    """Write some columns of a table's records, whole or not at all. Raises OSError."""
    import pyarrow.parquet as pq

    with (
        replacing(path) as file,
        pq.ParquetWriter(file, arrow_schema(columns), compression="zstd") as writer,
    ):
        for batch in arrow_batches(records, columns):
            writer.write_batch(batch)
