"""One process per run directory: a file lock that names its owner and dies with it.

Both the directory itself and ``.lock`` in it are locked. ``.lock`` names the owner, and can be
deleted; the directory cannot, as long as the run is there. Where a directory cannot be locked (some
network file systems), ``.lock`` alone holds.
"""

from __future__ import annotations

import fcntl
import os
import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from ..errors import ConfigError
from ..files.reading import check_regular, open_regular
from ..files.writing import make_folder

LOCK = ".lock"


@contextmanager
def directory_lock(directory: Path) -> Iterator[None]:
    """Hold the directory while the block lasts. Raises ConfigError naming the other owner."""
    with ExitStack() as stack:
        try:
            make_folder(directory)
            folder = _opened(directory, os.O_RDONLY | os.O_DIRECTORY, stack)
            flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK
            file = _opened(directory / LOCK, flags, stack)
        except OSError as error:
            raise ConfigError(
                f"cannot write there: {error.strerror}",
                where=str(directory),
                hint="choose a directory you may write to (-o)",
            ) from None
        check_regular(file, directory / LOCK)
        if not (_locked(folder, fcntl.LOCK_EX, or_none=True) and _locked(file, fcntl.LOCK_EX)):
            raise _in_use(directory)
        with suppress(OSError):  # a full disk: the lock holds, only its owner has no name
            os.ftruncate(file, 0)
            os.pwrite(file, f"pid {os.getpid()} on {socket.gethostname()}".encode(), 0)
        yield


@contextmanager
def reading_lock(directory: Path) -> Iterator[None]:
    """Keep others from writing a directory that is only read; nothing in it is created or changed.
    Raises ConfigError naming the process that writes it."""
    with ExitStack() as stack:
        for path in (directory, directory / LOCK):
            try:
                fd = _opened(path, os.O_RDONLY | os.O_NONBLOCK, stack)
            except OSError:  # an archive: it has never been locked
                continue
            if not _locked(fd, fcntl.LOCK_SH, or_none=True):
                raise _in_use(directory)
        yield


def _opened(path: Path, flags: int, stack: ExitStack) -> int:
    fd = os.open(path, flags | os.O_CLOEXEC, 0o644)
    stack.callback(os.close, fd)
    return fd


def _locked(fd: int, kind: int, *, or_none: bool = False) -> bool:
    """Lock a file; False if another process has it. ``or_none``: what cannot be locked will do."""
    try:
        fcntl.flock(fd, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        return or_none
    return True


def _in_use(directory: Path) -> ConfigError:
    try:
        with open_regular(directory / LOCK) as file:
            owner = file.read(200).decode(errors="replace").strip()
    except (OSError, ConfigError):
        owner = ""
    return ConfigError(
        f"in use by {owner or 'another process'}",
        where=str(directory),
        hint="wait for it, or choose another directory (-o)",
    )
