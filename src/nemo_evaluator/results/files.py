"""Writes derived files: whole or not at all."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec

from ..config.scrubber import encoded
from ..files.writing import replace_file, replacing

_encoder = msgspec.json.Encoder(enc_hook=str)


def write_json(path: Path, value: object, *, durable: bool = False) -> None:
    """One JSON document, indented, replaced atomically."""
    document = msgspec.json.format(encoded(value, _encoder.encode), indent=2)
    replace_file(path, document + b"\n", durable=durable)


@contextmanager
def line_writer(path: Path, *, unless_empty: bool = False) -> Iterator[Callable[[Any], None]]:
    """A function that writes one JSON line; the file is put in place when the block ends well.

    ``unless_empty``: a file without a line is removed.
    """
    with replacing(path) as file:

        def write(row: object) -> None:
            file.write(encoded(row, _encoder.encode))
            file.write(b"\n")

        yield write
        empty = file.tell() == 0
    if unless_empty and empty:
        path.unlink(missing_ok=True)
