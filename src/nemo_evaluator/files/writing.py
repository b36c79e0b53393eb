"""Replaces files as a whole: a reader, also after a crash, sees the old or the new content.

The new content is written under a name of its own in the same folder and renamed. Where it must
outlive a power failure (``durable``), the file is synced before the rename and the folder after it.
Below a directory that is ``fenced``, nothing is renamed before its owner has been asked.
"""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from ..errors import ConfigError

PARTIAL = ".partial"
_fences: dict[Path, Callable[[], None]] = {}
ABANDONED_SECONDS = 3600.0
"""A partial file that is older belongs to no process any more."""
FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
"""What a write is refused with that fits nowhere; the system names no file then."""


def replace_file(path: Path, data: bytes, *, durable: bool = False) -> None:
    """Replace a file, or make it. Raises OSError; the old file is then as it was."""
    with replacing(path, durable=durable) as file:
        file.write(data)


@contextmanager
def replacing(path: Path, *, durable: bool = False) -> Iterator[BinaryIO]:
    """A file to write that takes the place of ``path`` when the block ends well. An OSError of a
    full disk names ``path``."""
    partial = path.with_name(f".{path.name[:200]}.{secrets.token_hex(4)}{PARTIAL}")
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW
    try:
        with os.fdopen(os.open(partial, flags, 0o666), "wb", buffering=1 << 20) as file:
            yield file
            file.flush()
            if durable:
                os.fsync(file.fileno())
        _ask_fences(path)
        partial.replace(path)
    except BaseException as error:
        with contextlib.suppress(OSError):
            partial.unlink()
        if isinstance(error, OSError) and error.errno in FULL and error.filename is None:
            error.filename = str(path)
        raise
    if durable:
        sync_folder(path.parent)


@contextmanager
def output_file(path: Path) -> Iterator[BinaryIO]:
    """A file that a user named for results, to write: replaced as a whole, its folder made; a
    device or a pipe (``/dev/stdout``) is written into. Raises OSError, which names ``path``."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.exists() and not path.is_file():
        with path.open("wb") as file:
            yield file
    else:
        with replacing(path.resolve()) as file:
            yield file


def check_can_be_made(path: Path, where: str) -> None:
    """Raise ConfigError where a file can be neither made nor continued. Nothing is made: a plan
    leaves no files behind."""
    try:
        there = next(one for one in (path, *path.absolute().parents) if one.exists())
        if there == path:
            if not there.is_file():
                raise ConfigError("cannot write there: it is no file", where=where)
        elif not there.is_dir():
            raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR))
        if not os.access(there, os.W_OK):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
    except OSError as error:
        raise ConfigError(f"cannot write there: {error.strerror}", where=where) from None


@contextmanager
def fenced(directory: Path, check: Callable[[], None]) -> Iterator[None]:
    """While the block lasts, nothing below a directory is replaced where ``check`` raises."""
    place = directory.absolute()
    _fences[place] = check
    try:
        yield
    finally:
        del _fences[place]


def _ask_fences(path: Path) -> None:
    for place, check in [*_fences.items()]:
        if path.absolute().is_relative_to(place):
            check()


def write_afresh(path: Path) -> None:
    """Put a copy of a file in its place, durably: a process that still has the old one open can
    write nothing into the new one. Raises OSError; a missing file stays missing."""
    try:
        old = path.open("rb")
    except FileNotFoundError:
        return
    with old, replacing(path, durable=True) as new:
        shutil.copyfileobj(old, new, 1 << 20)


def sync_folder(folder: Path) -> None:
    """Make the names in a folder durable. Where folders cannot be synced, nothing is done."""
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        with contextlib.suppress(OSError):
            os.fsync(fd)
    finally:
        os.close(fd)


def make_folder(folder: Path) -> None:
    """Make a folder and those above it, durably. Raises OSError."""
    missing = [folder, *folder.parents]
    made = missing[: _depth_missing(missing)]
    folder.mkdir(parents=True, exist_ok=True)
    for path in reversed(made):
        sync_folder(path.parent)


def remove_abandoned(folder: Path) -> None:
    """Remove partial files that killed processes left behind."""
    now = time.time()
    for path in folder.glob(f".*{PARTIAL}"):
        with contextlib.suppress(OSError):
            if now - path.lstat().st_mtime > ABANDONED_SECONDS:
                path.unlink()


def _depth_missing(paths: list[Path]) -> int:
    return next((depth for depth, path in enumerate(paths) if path.exists()), len(paths))
