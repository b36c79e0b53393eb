"""Reads files that another program may have written: only regular files, and never without a bound.

A FIFO, a device, a directory, a document that is too large, too deep or of the wrong shape is one
ConfigError that names the file. Nothing here follows what a file says to another file.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, TypeVar

import msgspec

from ..errors import ConfigError

DOCUMENT_BYTES = 64 << 20
"""A larger JSON document is refused; the largest we write is a bundle with about a megabyte."""
LINE_BYTES = 64 << 20
"""Bytes that are read of a line; the rest of a longer line is dropped."""
PIECE = 1 << 20
TAIL_BYTES = 4000
NOTHING_SAID = "it said nothing"
UNREADABLE = (ValueError, RecursionError)
"""What decoding foreign bytes raises: no JSON, no UTF-8, the wrong shape, nested too deeply."""

T = TypeVar("T")


def visible_folders(folder: Path) -> list[Path]:
    """The folders in a folder, in order, without hidden ones and links. Raises OSError."""
    children = sorted(folder.iterdir())
    return [
        child
        for child in children
        if not child.name.startswith(".") and child.is_dir() and not child.is_symlink()
    ]


def check_regular(fd: int, path: Path) -> None:
    """Raise ConfigError unless an open descriptor is of a regular file."""
    mode = os.fstat(fd).st_mode
    if not stat.S_ISREG(mode):
        raise ConfigError(f"is {_kind(mode)}, not a file", where=str(path), hint="move it away")


def open_regular(path: Path) -> BinaryIO:
    """Open for reading, without waiting for a writer of a FIFO. Raises FileNotFoundError, and
    ConfigError for what is not a regular file or cannot be opened."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except FileNotFoundError:
        raise
    except OSError as error:
        raise ConfigError(f"cannot be read: {error.strerror or error}", where=str(path)) from None
    try:
        check_regular(fd, path)
    except BaseException:
        os.close(fd)
        raise
    return os.fdopen(fd, "rb", buffering=1 << 18)


def read_document(path: Path, limit: int = DOCUMENT_BYTES) -> bytes:
    """A whole file. Raises FileNotFoundError, and ConfigError for everything else."""
    try:
        with open_regular(path) as file:
            data = file.read(limit + 1)
    except FileNotFoundError:
        raise
    except OSError as error:
        raise ConfigError(f"cannot be read: {error.strerror or error}", where=str(path)) from None
    if len(data) > limit:
        raise ConfigError(f"is larger than {limit >> 20} MB", where=str(path))
    return data


def read_json(path: Path, shape: type[T]) -> T:
    """A JSON document of a shape. Raises FileNotFoundError, and ConfigError for everything else."""
    data = read_document(path)
    if not data.strip(b"\0 \r\n\t"):
        raise ConfigError("is empty", where=str(path))
    try:
        return msgspec.json.decode(data, type=shape)
    except UNREADABLE as error:
        raise ConfigError(f"cannot be read: {first_line(error)}", where=str(path)) from None


def read_lines(file: BinaryIO, limit: int = LINE_BYTES) -> Iterator[tuple[int, bytes]]:
    """Each line with its offset and its end; of one beyond the limit only the beginning."""
    offset = 0
    while line := file.readline(PIECE):
        length = len(line)
        if length == PIECE and not line.endswith(b"\n"):
            line, length = _long_line(file, line, limit)
        yield offset, line
        offset += length


def _long_line(file: BinaryIO, begin: bytes, limit: int) -> tuple[bytes, int]:
    """The rest of a line, and how long it is."""
    parts, length = [begin], len(begin)
    while piece := file.readline(PIECE):
        if length < limit:
            parts.append(piece[: limit - length])
        length += len(piece)
        if piece.endswith(b"\n"):
            break
    return b"".join(parts), length


def lines_of(path: Path) -> Iterator[bytes]:
    """The lines of a file that may not be there. Raises ConfigError if it cannot be read."""
    try:
        with open_regular(path) as file:
            for _, line in read_lines(file):
                yield line
    except FileNotFoundError:
        return
    except OSError as error:
        raise ConfigError(f"cannot be read: {error.strerror or error}", where=str(path)) from None


def last_line(log: Path) -> str:
    """The last line of what a program said into a log, for a message."""
    if not log.is_file():
        return NOTHING_SAID
    with log.open("rb") as file:
        file.seek(max(0, file.seek(0, os.SEEK_END) - TAIL_BYTES))
        lines = file.read().decode(errors="replace").split("\n")
    return next((line.strip() for line in reversed(lines) if line.strip()), NOTHING_SAID)


def first_line(error: BaseException) -> str:
    """What an error says, for a message of one line."""
    return (str(error).splitlines() or [type(error).__name__])[0][:200]


def _kind(mode: int) -> str:
    kinds = {
        stat.S_IFDIR: "a directory",
        stat.S_IFIFO: "a FIFO",
        stat.S_IFSOCK: "a socket",
        stat.S_IFCHR: "a device",
        stat.S_IFBLK: "a device",
    }
    return kinds.get(stat.S_IFMT(mode), "something else")
