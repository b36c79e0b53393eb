"""Rows of a file: .jsonl, .json, .csv, .tsv and .parquet."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator, Mapping
from itertools import islice
from pathlib import Path
from typing import Any, TextIO

import msgspec

from ..errors import ConfigError

ENDINGS = (".jsonl", ".json", ".csv", ".tsv", ".parquet")
BOM = b"\xef\xbb\xbf"
LARGEST_CELL = 2**31 - 1
"""Bytes of a cell; tables of images hold them in base64."""

Row = Mapping[str, Any]


def read_file(path: Path) -> list[Row]:
    """Rows of a .jsonl, .json, .csv, .tsv or .parquet file. Raises ConfigError with file:line."""
    readers = dict(zip(ENDINGS, (_jsonl, _json, _csv, _tsv, _parquet), strict=True))
    reader = readers.get(path.suffix.lower())
    if reader is None:
        raise ConfigError(
            f"cannot read {path.suffix or 'a file without ending'}",
            where=str(path),
            hint=f"one of {', '.join(readers)}",
        )
    try:
        return list(reader(path))
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"cannot be read: {error}", where=str(path)) from None


def line_of(path: Path, idx: int) -> str | None:
    """``file:line`` of a row (its last line), where rows stand on lines of a file."""
    ending = path.suffix.lower()
    if ending not in (".csv", ".tsv", ".jsonl"):
        return None
    with path.open(encoding="utf-8-sig", newline="") as file:
        if ending == ".jsonl":
            filled = (number for number, text in enumerate(file, 1) if text.strip())
        else:
            reader = csv.reader(file, delimiter=_delimiter(file) if ending == ".csv" else "\t")
            filled = (reader.line_num for cells in reader if cells)
            next(filled, None)  # the header
        return f"{path}:{next(islice(filled, idx, None), '?')}"


def _jsonl(path: Path) -> Iterator[Row]:
    with path.open("rb") as file:
        for number, line in enumerate(file, 1):
            if not line.strip():
                continue
            try:
                row = msgspec.json.decode(line.removeprefix(BOM))
            except (msgspec.DecodeError, UnicodeDecodeError) as error:
                raise ConfigError(
                    f"not JSON: {error}", where=f"{path}:{number}", hint="fix or remove the line"
                ) from None
            yield mapping(row, f"{path}:{number}")


def _json(path: Path) -> Iterator[Row]:
    try:
        data = json.loads(path.read_text(encoding="utf-8-sig"))
    except json.JSONDecodeError as error:
        raise ConfigError(f"not JSON: {error.msg}", where=f"{path}:{error.lineno}") from None
    if isinstance(data, dict):
        lists = [value for value in data.values() if isinstance(value, list)]
        data = lists[0] if len(lists) == 1 else data
    if not isinstance(data, list):
        raise ConfigError("must be a list of rows", where=str(path))
    for position, row in enumerate(data):
        yield mapping(row, f"{path} [{position}]")


def _delimiter(file: TextIO) -> str:
    """What parts the cells of a CSV file: spreadsheets of many countries write semicolons."""
    head = file.readline()
    file.seek(0)
    return next((mark for mark in (",", ";", "\t") if mark in head), ",")


def _csv(path: Path, delimiter: str | None = None) -> Iterator[Row]:
    csv.field_size_limit(LARGEST_CELL)
    with path.open(encoding="utf-8-sig", newline="") as file:
        reader = csv.DictReader(file, delimiter=delimiter or _delimiter(file))
        names = reader.fieldnames or ()
        if twice := {name for name in names if names.count(name) > 1}:
            raise ConfigError(f"two columns are called {twice.pop()!r}", where=f"{path}:1")
        try:
            for row in reader:
                if None in row or None in row.values():
                    raise ConfigError(
                        f"has not as many cells as the header ({len(names)})",
                        where=f"{path}:{reader.line_num}",
                    )
                yield row
        except csv.Error as error:
            raise ConfigError(f"not a table: {error}", where=f"{path}:{reader.line_num}") from None


def _tsv(path: Path) -> Iterator[Row]:
    return _csv(path, delimiter="\t")


def _parquet(path: Path) -> Iterator[Row]:
    import pyarrow.parquet

    try:
        table = pyarrow.parquet.read_table(path)
    except (OSError, ValueError) as error:
        raise ConfigError(f"not a parquet file: {error}", where=str(path)) from None
    yield from table.to_pylist()


def mapping(row: Any, where: str) -> Row:
    """The row. Raises ConfigError if it is none."""
    if not isinstance(row, dict):
        raise ConfigError(f"a row must be an object, not {type(row).__name__}", where=where)
    return row
