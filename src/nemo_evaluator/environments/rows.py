"""Rows of a dataset, wherever they come from: a list, a callable, a file, or the hub."""

from __future__ import annotations

import hashlib
import inspect
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from ..errors import ConfigError
from ..types import Json
from .row_files import ENDINGS, Row, line_of, mapping, read_file

HUB_NAME = re.compile(r"[A-Za-z0-9][\w.-]*/[\w.-]+(\?[\w=&./-]*)?")
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
        return _rows_of_callable(source)
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
    rows = _checked_rows(source, "rows")
    return Dataset(rows=rows, name="rows", digest=digest_rows(rows))


def digest_rows(rows: Sequence[Row]) -> str:
    """sha256 over the rows' JSON, in order. Raises ConfigError for a row with what is no text, as
    the reader of files does."""
    digest = hashlib.sha256()
    encoder = msgspec.json.Encoder(enc_hook=_digestible)
    for position, row in enumerate(rows):
        try:
            digest.update(encoder.encode(row))
        except UnicodeEncodeError as error:
            half = ascii(error.object[error.start : error.end])
            hint = "text.encode(errors='replace').decode() replaces it"
            raise ConfigError(
                f"holds {half}, half of a character", where=f"rows[{position}]", hint=hint
            ) from None
        except Exception as error:  # it contains itself, or an object without a text
            raise ConfigError(
                f"cannot be written as JSON: {type(error).__name__}: {error}",
                where=f"rows[{position}]",
                hint="a row holds texts, numbers, lists and dicts",
            ) from None
        digest.update(b"\n")
    return f"sha256:{digest.hexdigest()}"


def _digestible(value: Any) -> Json:
    """What JSON lacks, by its text; an address in memory is not part of it."""
    return re.sub(r" at 0x[0-9a-fA-F]+", "", str(value))


def _checked_rows(rows: Any, where: str) -> list[Row]:
    if isinstance(rows, str | bytes | Mapping) or not isinstance(rows, Iterable):
        raise ConfigError(f"a dataset is a list of rows, not {type(rows).__name__}", where=where)
    if hasattr(rows, "columns") and hasattr(rows, "dtypes"):
        raise ConfigError(
            "a dataset is a list of rows, not a data frame",
            where=where,
            hint="use df.to_dict('records') of pandas, df.to_dicts() of Polars",
        )
    return [mapping(row, f"{where}[{position}]") for position, row in enumerate(rows)]


def _rows_of_callable(source: Callable[..., Any]) -> Dataset:
    name = getattr(source, "__name__", "callable")
    takes = inspect.signature(source).parameters
    try:
        rows = source(num_examples=None) if "num_examples" in takes else source()
        if isinstance(rows, Dataset):
            return rows
        rows = _checked_rows(rows, f"{name}()")
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
    if folders := [candidate for candidate in tried if candidate.is_dir()]:
        raise ConfigError(
            "is a folder, not a file of rows",
            where=str(folders[0]),
            hint=f"name a file in it: {', '.join(ENDINGS)}",
        )
    raise ConfigError(
        "dataset not found",
        where=str(path),
        hint=f"looked for {', '.join(str(candidate) for candidate in tried)}",
    )
