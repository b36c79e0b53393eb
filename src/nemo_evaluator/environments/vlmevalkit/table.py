"""A table of VLMEvalKit: its rows, and the images that they show.

Invariant: an image is given as it stands in the table or its file, of a kind that endpoints know,
or a ConfigError says what is wrong with it. Rows without an image are left out, as VLMEvalKit does.
"""

from __future__ import annotations

import ast
import base64
import binascii
import hashlib
import logging
import mimetypes
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from string import ascii_uppercase
from typing import Any

from ...errors import ConfigError
from ...traffic.images import SIGNATURES, sniff
from ...types import Image
from ..row_files import Row, read_file

_LOG = logging.getLogger(__name__)
REFERENCE = 64
"""A cell of at most this many characters is not an image but the index of the row that has it."""
NEEDED = ("question", "answer")
EMPTY = ("", "nan", "NaN")
"""How tables write a cell without a value."""
HEAD = 16
"""The first bytes of a file, from which its kind is known."""
KINDS = ", ".join(dict.fromkeys(kind for _, _, kind in SIGNATURES))


class ImageTable:
    """The rows of a table that have an image, in order."""

    def __init__(self, path: Path) -> None:
        """Read a table. Blocks. Raises ConfigError."""
        self.path = path
        self._stored = read_file(path)
        columns = self._stored[0].keys() if self._stored else ()
        lacks = [name for name in NEEDED if name not in columns]
        lacks += [] if {"image", "image_path"} & set(columns) else ["image (or image_path)"]
        if lacks:
            raise ConfigError(
                f"is not a table of VLMEvalKit with answers: it lacks {', '.join(lacks)}"
                "; it needs the columns question and answer, and image or image_path",
                where=str(path),
                hint="answers of TEST splits are not published; the DEV or VAL table has them",
            )
        self._kept = [n for n, row in enumerate(self._stored) if _has_image(row)]
        self.rows: Sequence[Row] = [self._stored[n] for n in self._kept]
        """The rows that can be asked about."""
        self._places = {str(row.get("index", n)): n for n, row in enumerate(self._stored)}
        if not self._kept:
            raise ConfigError("no row has an image", where=str(path))
        if without := len(self._stored) - len(self._kept):
            _LOG.warning("%s: rows without an image, which are left out: %d", path, without)

    def place(self, idx: int) -> int:
        """Where a row stands in the file, from 0."""
        return self._kept[idx]

    def digest(self) -> str:
        """Of the file's content. Blocks."""
        with self.path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()[:16]

    def images(self, row: Row) -> tuple[Image, ...]:
        """The images of a row, in order, at least one. Raises ConfigError."""
        if has_value(row.get("image")):
            found = tuple(_decoded(text) for text in self._texts(row["image"]))
        else:
            found = tuple(self._file(name) for name in cell_texts(row["image_path"]))
        if not found:
            raise ConfigError("its list of images is empty")
        return found

    def _texts(self, cell: object, passed: tuple[int, ...] = ()) -> Iterator[str]:
        """The images of a cell in base64; those of another row where the cell names it."""
        for text in cell_texts(cell):
            if len(text) > REFERENCE:
                yield text
                continue
            place = self._places.get(text.strip())
            if place is None or not has_value(self._stored[place].get("image")):
                raise ConfigError(f"its image is that of row {text!r}, which is not there")
            if place in passed:
                raise ConfigError(f"its image is that of row {text!r}, which refers back to it")
            yield from self._texts(self._stored[place]["image"], (*passed, place))

    def _file(self, name: str) -> Image:
        if name.startswith(("http://", "https://")):
            return Image(url=name)
        near = (self.path.parent / name, self.path.parent / "images" / self.path.stem / name)
        found = next((path for path in near if path.is_file()), None)
        if found is None:
            looked = ", ".join(dict.fromkeys(map(str, near)))
            raise ConfigError(f"there is no image {name}", hint=f"looked for {looked}")
        with found.open("rb") as file:
            known = sniff(file.read(HEAD)) or mimetypes.guess_type(name)[0] or ""
        if not known.startswith("image/"):
            raise ConfigError(f"{found} is not an image of a known kind", hint=f"one of {KINDS}")
        return Image(path=str(found))


def has_value(value: object) -> bool:
    """Whether a cell has a value."""
    if value is None or value != value:
        return False
    text = value if isinstance(value, str) else str(value)
    return len(text) > HEAD or text.strip() not in EMPTY


def options(row: Mapping[str, Any]) -> dict[str, str]:
    """Letter and text of each option that a row has."""
    return {
        letter: str(row[letter])
        for letter in ascii_uppercase
        if letter in row and has_value(row[letter])
    }


def cell_texts(cell: object) -> list[str]:
    """The texts of a cell: a list as Python or JSON writes it, or one text."""
    if isinstance(cell, list | tuple):
        return [str(item) for item in cell]
    text = str(cell)
    if text.startswith("[") and text.endswith("]"):
        try:
            found = ast.literal_eval(text)
        except (ValueError, SyntaxError):
            return [text]
        if isinstance(found, list):
            return [str(item) for item in found]
    return [text]


def _has_image(row: Row) -> bool:
    return has_value(row.get("image")) or has_value(row.get("image_path"))


def _decoded(text: str) -> Image:
    """An image in base64, whose lines may be broken, and which a data URL may hold."""
    if text.startswith("data:"):
        text = text.partition(",")[2]
    try:
        data = base64.b64decode("".join(text.split()), validate=True)
    except (binascii.Error, ValueError) as error:
        raise ConfigError(
            f"an image is no base64: {error}", hint="write the image's file in base64"
        ) from None
    if sniff(data) is None:
        raise ConfigError(
            f"an image is of no known kind: it begins with {data[:8]!r}", hint=f"one of {KINDS}"
        )
    return Image(data=data)
