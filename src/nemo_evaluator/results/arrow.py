"""The tables of a run in Arrow: batches for Parquet files, and whole tables for data frames."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import islice
from typing import TYPE_CHECKING, Any

from .tables import Column, ColumnType, Table
from .view import RunView

if TYPE_CHECKING:
    import pyarrow as pa

BATCH = 4096


def arrow_schema(columns: Sequence[Column[Any]]) -> pa.Schema:
    """The schema of some columns; each may hold nulls."""
    import pyarrow as pa

    types = {
        ColumnType.TEXT: pa.string(),
        ColumnType.JSON: pa.string(),
        ColumnType.INTEGER: pa.int64(),
        ColumnType.REAL: pa.float64(),
        ColumnType.BOOLEAN: pa.bool_(),
    }
    return pa.schema([(column.name, types[column.type]) for column in columns])


def arrow_batches(
    records: Iterator[Any], columns: Sequence[Column[Any]]
) -> Iterator[pa.RecordBatch]:
    """Some columns of records, some thousand at a time."""
    import pyarrow as pa

    schema = arrow_schema(columns)
    while part := list(islice(records, BATCH)):
        arrays = [
            pa.array([_cell(column, one) for one in part], type=field.type)
            for column, field in zip(columns, schema, strict=True)
        ]
        yield pa.RecordBatch.from_arrays(arrays, schema=schema)


def arrow_table(table: Table[Any], run: RunView) -> pa.Table:
    """A whole table of a run."""
    import pyarrow as pa

    batches = list(arrow_batches(table.records(run), table.columns))
    return pa.Table.from_batches(batches, schema=arrow_schema(table.columns))


def _cell(column: Column[Any], record: object) -> object:
    value = column.cell(record)
    # Half a character, as models and users write them, is no UTF-8.
    return value.encode(errors="replace").decode() if isinstance(value, str) else value
