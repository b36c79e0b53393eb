"""One process per run directory: a file lock that names its owner and dies with it."""

from __future__ import annotations

import fcntl
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ..errors import ConfigError

LOCK = ".lock"


@contextmanager
def directory_lock(directory: Path) -> Iterator[None]:
    """Hold the directory while the block lasts. Raises ConfigError naming the other owner."""
    path = directory / LOCK
    try:
        directory.mkdir(parents=True, exist_ok=True)
        fd = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    except OSError as error:
        raise ConfigError(
            f"cannot write there: {error.strerror}",
            where=str(directory),
            hint="choose a directory you may write to (-o)",
        ) from None
    try:
        _take(fd, fcntl.LOCK_EX, directory)
        os.ftruncate(fd, 0)
        os.pwrite(fd, f"pid {os.getpid()} on {socket.gethostname()}".encode(), 0)
        yield
    finally:
        os.close(fd)


@contextmanager
def reading_lock(directory: Path) -> Iterator[None]:
    """Keep others from writing a directory that is only read; nothing in it is created or changed.
    Raises ConfigError naming the process that writes it."""
    try:
        fd = os.open(directory / LOCK, os.O_RDONLY)
    except OSError:  # an archive: nobody has ever locked it, or nobody may write
        yield
        return
    try:
        _take(fd, fcntl.LOCK_SH, directory)
        yield
    finally:
        os.close(fd)


def _take(fd: int, kind: int, directory: Path) -> None:
    try:
        fcntl.flock(fd, kind | fcntl.LOCK_NB)
    except OSError:
        owner = os.pread(fd, 200, 0).decode(errors="replace").strip() or "another process"
        raise ConfigError(
            f"in use by {owner}",
            where=str(directory),
            hint="wait for it, or choose another directory (-o)",
        ) from None
