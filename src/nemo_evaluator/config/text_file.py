"""Reads small text files a user names: regular files of bounded size, at once or not at all."""

from __future__ import annotations

from pathlib import Path

from ..errors import ConfigError
from ..files.reading import read_document

MAX_BYTES = 4 << 20


def read_text(path: Path) -> str:
    """The UTF-8 text of a file. Raises ConfigError."""
    if "\0" in str(path):
        raise ConfigError("no path holds the character '\\x00'", where=f"{path!r}")
    if path.is_dir():
        raise ConfigError("is a folder, not a file", where=str(path))
    try:
        return read_document(path, MAX_BYTES).decode("utf-8-sig")
    except FileNotFoundError:
        raise ConfigError("there is no such file", where=str(path)) from None
    except UnicodeDecodeError as error:
        raise ConfigError(f"is not UTF-8 text: {error.reason}", where=str(path)) from None
