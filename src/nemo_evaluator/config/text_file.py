"""Reads small text files a user names: regular files of bounded size, at once or not at all.

A pipe nobody writes to, a device without an end or a file of gigabytes is refused, not waited for.
"""

from __future__ import annotations

import os
import stat
from pathlib import Path

from ..errors import ConfigError

MAX_BYTES = 4 << 20


def read_text(path: Path) -> str:
    """The UTF-8 text of a file. Raises ConfigError."""
    where = str(path).replace("\0", "\\0")
    try:
        is_regular = stat.S_ISREG(path.stat().st_mode)  # opening a device may do something
        data = _start(path) if is_regular else b""
    except FileNotFoundError:
        raise ConfigError("there is no such file", where=where) from None
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise ConfigError(f"cannot be read: {reason}", where=where) from None
    if not is_regular:
        raise ConfigError("is not a regular file", where=where, hint="save it as a file")
    if len(data) > MAX_BYTES:
        raise ConfigError(f"is larger than {MAX_BYTES >> 20} MB", where=where)
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ConfigError(f"is not UTF-8 text: {error.reason}", where=where) from None


def _start(path: Path) -> bytes:
    """As much of a file as is read of any, and a byte more."""
    with os.fdopen(os.open(path, os.O_RDONLY | os.O_NONBLOCK), "rb") as file:
        return file.read(MAX_BYTES + 1)
