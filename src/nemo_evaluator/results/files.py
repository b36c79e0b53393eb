"""Writes derived files: whole or not at all."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec

from ..config.scrubber import encoded

_encoder = msgspec.json.Encoder(enc_hook=str)


def write_json(path: Path, value: Any) -> None:
    """One JSON document, indented, replaced atomically."""
    write_bytes(path, msgspec.json.format(encoded(value, _encoder.encode), indent=2) + b"\n")


def write_bytes(path: Path, data: bytes) -> None:
    """Replace a file atomically."""
    partial = path.with_name(f".{path.name}.partial")
    partial.write_bytes(data)
    partial.replace(path)


@contextmanager
def line_writer(path: Path, *, unless_empty: bool = False) -> Iterator[Callable[[Any], None]]:
    """A function that writes one JSON line; the file is put in place when the block ends well.

    ``unless_empty``: without a line there is no file, and an earlier one is removed.
    """
    partial = path.with_name(f".{path.name}.partial")
    with partial.open("wb", buffering=1 << 20) as file:

        def write(row: Any) -> None:
            file.write(encoded(row, _encoder.encode))
            file.write(b"\n")

        yield write
        empty = file.tell() == 0
    if unless_empty and empty:
        partial.unlink()
        path.unlink(missing_ok=True)
    else:
        partial.replace(path)
