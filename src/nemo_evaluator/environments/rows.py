"""Rows of a dataset, wherever they come from: a list, a callable, a file, or the hub."""

from __future__ import annotations

import csv
import hashlib
import inspect
import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import msgspec

from ..errors import ConfigError
from ..types import Json

HUB_NAME = re.compile(r"[A-Za-z0-9][\w.-]*/[\w.-]+(\?[\w=&./-]*)?")
ENDINGS = (".jsonl", ".json", ".csv", ".tsv", ".parquet")
BOM = b"\xef\xbb\xbf"
LARGEST_CELL = 2**31 - 1
"""Bytes of a cell; tables of images hold them in base64."""

Row = Mapping[str, Any]
Source = str | Path | Sequence[Row] | Callable[..., Any]
"""An ``hf://`` address (or ``org/name``), a file, rows, or a function that gives rows (or a
``Dataset``)."""


@dataclass(frozen=True, slots=True)
class Dataset:
    """Loaded rows and what identifies them."""

    rows: Sequence[Row]
    name: str
    revision: str | None = None
    """Resolved commit of a hub dataset."""
    digest: str = ""
    """sha256 over the rows."""
    path: Path | None = None
    """The file they were read from."""

    def line_of(self, idx: int) -> str | None:
        """``file:line`` of a row (its last line), where rows stand on lines of a file."""
        return line_of(self.path, idx) if self.path is not None else None


def load(source: Source, *, folder: Path | None = None) -> Dataset:
    """Load a dataset. Relative paths are looked up beside the defining file, then in the current
    directory. Blocks; call it in a thread. Raises ConfigError saying what to do."""
    if callable(source):
        return _called(source)
    if isinstance(source, str) and source.startswith("hf://"):
        from .hub import load_hub

        rows, name, revision = load_hub(source)
        return Dataset(rows=rows, name=name, revision=revision, digest=digest_rows(rows))
    if isinstance(source, str) and _names_hub(source, folder):
        return load(f"hf://{source}")
    if isinstance(source, str | Path):
        path = _find(Path(source), folder)
        rows = read_file(path)
        return Dataset(rows=rows, name=path.name, digest=digest_rows(rows), path=path)
    rows = _checked(source, "rows")
    return Dataset(rows=rows, name="rows", digest=digest_rows(rows))


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
            reader = csv.reader(file, delimiter="," if ending == ".csv" else "\t")
            filled = (reader.line_num for cells in reader if cells)
            next(filled, None)  # the header
        return f"{path}:{next(islice(filled, idx, None), '?')}"


def digest_rows(rows: Sequence[Row]) -> str:
    """sha256 over the rows' JSON, in order."""
    digest = hashlib.sha256()
    encoder = msgspec.json.Encoder(enc_hook=_plain)
    for row in rows:
        digest.update(encoder.encode(row))
        digest.update(b"\n")
    return f"sha256:{digest.hexdigest()}"


def _plain(value: Any) -> Json:
    """What JSON lacks, by its text; an address in memory is not part of it."""
    return re.sub(r" at 0x[0-9a-fA-F]+", "", str(value))


def _checked(rows: Any, where: str) -> list[Row]:
    if isinstance(rows, str | bytes | Mapping) or not isinstance(rows, Iterable):
        raise ConfigError(f"a dataset is a list of rows, not {type(rows).__name__}", where=where)
    return [_mapping(row, f"{where}[{position}]") for position, row in enumerate(rows)]


def _called(source: Callable[..., Any]) -> Dataset:
    name = getattr(source, "__name__", "callable")
    takes = inspect.signature(source).parameters
    try:
        rows = source(num_examples=None) if "num_examples" in takes else source()
        if isinstance(rows, Dataset):
            return rows
        rows = _checked(rows, f"{name}()")
    except ConfigError:
        raise
    except Exception as error:
        raise ConfigError(
            f"the dataset function {name}() failed: {type(error).__name__}: {error}"
        ) from error
    return Dataset(rows=rows, name=name, digest=digest_rows(rows))


def _names_hub(source: str, folder: Path | None) -> bool:
    """Whether it is a dataset of the hub (``org/name?split=test``) and not a file."""
    if HUB_NAME.fullmatch(source) is None:
        return False
    plain = source.partition("?")[0]
    here = [Path(plain)] if folder is None else [folder / plain, Path(plain)]
    return Path(plain).suffix.lower() not in ENDINGS and not any(p.exists() for p in here)


def _find(path: Path, folder: Path | None) -> Path:
    tried = [folder / path, path] if folder is not None and not path.is_absolute() else [path]
    for candidate in tried:
        if candidate.is_file():
            return candidate
    raise ConfigError(
        "dataset not found",
        where=str(path),
        hint=f"looked for {', '.join(str(candidate) for candidate in tried)}",
    )


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
            yield _mapping(row, f"{path}:{number}")


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
        yield _mapping(row, f"{path} [{position}]")


def _csv(path: Path, delimiter: str = ",") -> Iterator[Row]:
    csv.field_size_limit(LARGEST_CELL)
    with path.open(encoding="utf-8-sig", newline="") as file:
        reader = csv.DictReader(file, delimiter=delimiter)
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


def _mapping(row: Any, where: str) -> Row:
    if not isinstance(row, dict):
        raise ConfigError(f"a row must be an object, not {type(row).__name__}", where=where)
    return row
