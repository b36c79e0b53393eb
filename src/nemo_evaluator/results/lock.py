"""One process per run directory: a file lock, and a heartbeat for where file locks do not reach.

Both the directory itself and ``.lock`` in it are locked. ``.lock`` names the owner and can be
deleted; the directory cannot, as long as the run is there. File locks die with their process, but
shared file systems may not carry them to another host, so the owner also touches ``.lock`` every
few seconds: a directory whose owner is on another host and was seen lately is in use. A clean end
empties ``.lock``.
"""

from __future__ import annotations

import fcntl
import os
import re
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from ..errors import ConfigError
from ..files.reading import check_regular, open_regular
from ..files.writing import make_folder
from .progress_file import read_progress

LOCK = ".lock"
BEAT_SECONDS = 5.0
FRESH_SECONDS = 60.0
"""An owner that was seen within this time is taken to be alive where nothing better is known."""
SETTLE_SECONDS = 0.2
"""Without file locks: time after which of two processes that start at once only one remains."""
_OWNER = re.compile(r"pid (\d+) on (\S+)")


@dataclass(frozen=True, slots=True)
class Owner:
    """The process that a directory says it belongs to."""

    pid: int
    host: str
    seen: float
    """Seconds since its last heartbeat."""

    @property
    def here(self) -> bool:
        """Whether it is a process of this host."""
        return self.host == socket.gethostname()

    @property
    def fresh(self) -> bool:
        """Whether it was seen lately."""
        return self.seen < FRESH_SECONDS

    @property
    def alive(self) -> bool:
        """Whether it still runs, as far as can be told without its file lock."""
        if not self.here:
            return self.fresh
        return self.pid != os.getpid() and _exists(self.pid)

    def __str__(self) -> str:
        return f"pid {self.pid} on {self.host}"


class DirectoryLock:
    """A directory that this process holds."""

    def __init__(self, path: Path, fd: int) -> None:
        self._path, self._fd = path, fd
        self._text = f"pid {os.getpid()} on {socket.gethostname()}"
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._beat, name="nel-heartbeat", daemon=True)

    def begin(self) -> None:
        """Name the owner, and begin to beat."""
        with suppress(OSError):  # a full disk: the lock holds, only its owner has no name
            os.ftruncate(self._fd, 0)
            os.pwrite(self._fd, self._text.encode(), 0)
        self._thread.start()

    def end(self) -> None:
        """Give the directory back."""
        self._ended.set()
        self._thread.join()
        if not self.lost:
            with suppress(OSError):
                os.ftruncate(self._fd, 0)

    @property
    def lost(self) -> bool:
        """Whether another process has taken the directory over: this one was held up for so long
        that it was given up for dead."""
        try:
            with open_regular(self._path) as file:
                owner = file.read(200).decode(errors="replace").strip()
        except (OSError, ConfigError):
            return False  # a deleted name: the directory is still locked
        return owner not in ("", self._text)

    def _beat(self) -> None:
        while not self._ended.wait(BEAT_SECONDS):
            with suppress(OSError):
                os.utime(self._fd)


@contextmanager
def directory_lock(directory: Path) -> Iterator[DirectoryLock]:
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
        held = [_locked_soon(fd) for fd in (folder, file)]
        if False in held:
            raise _in_use(directory)
        _check_claims(directory, locks_work=held[1] is True)
        lock = DirectoryLock(directory / LOCK, file)
        lock.begin()
        try:
            if held[1] is None:
                time.sleep(SETTLE_SECONDS)
                if lock.lost:
                    raise _in_use(directory)
            yield lock
        finally:
            lock.end()


@contextmanager
def reading_lock(directory: Path) -> Iterator[None]:
    """Keep others from writing a directory that is only read; nothing in it is created or changed.
    Raises ConfigError naming the process that writes it."""
    with ExitStack() as stack:
        locks_work = False
        for path in (directory, directory / LOCK):
            try:
                fd = _opened(path, os.O_RDONLY | os.O_NONBLOCK, stack)
            except OSError:  # an archive: it has never been locked
                continue
            held = _locked(fd, fcntl.LOCK_SH)
            if held is False:
                raise _in_use(directory)
            locks_work = held is True
        _check_claims(directory, locks_work=locks_work)
        yield


def owner_of(directory: Path) -> Owner | None:
    """The process that holds a directory, or that died without giving it back."""
    path = directory / LOCK
    try:
        with open_regular(path) as file:
            text = file.read(200).decode(errors="replace")
            touched = os.fstat(file.fileno()).st_mtime
    except (OSError, ConfigError):
        return None
    match = _OWNER.match(text)
    return Owner(int(match[1]), match[2], max(0.0, time.time() - touched)) if match else None


def is_held(directory: Path) -> bool:
    """Whether a process of this host holds the file locks of a directory."""
    with ExitStack() as stack:
        try:
            fd = _opened(directory / LOCK, os.O_RDONLY | os.O_NONBLOCK, stack)
        except OSError:
            return False
        return _locked(fd, fcntl.LOCK_SH) is False


def is_holder(pid: int, directory: Path) -> bool:
    """Whether a process of this host has the lock of a directory open. The number that ``.lock``
    names may be another process here, where its owner is in a container."""
    lock = directory / LOCK
    try:
        wanted = lock.stat()
        for fd in Path(f"/proc/{pid}/fd").iterdir():
            with suppress(OSError):
                found = fd.stat()
                if (found.st_dev, found.st_ino) == (wanted.st_dev, wanted.st_ino):
                    return True
    except OSError:
        return False
    return False


def _claims(directory: Path) -> Iterator[Owner]:
    """Who says that the directory is theirs: in ``.lock``, and in the progress of a run."""
    if (owner := owner_of(directory)) is not None:
        yield owner
    progress = read_progress(directory)
    if progress is not None and progress.running:
        yield Owner(progress.pid, progress.host, max(0.0, time.time() - progress.heartbeat))


def _check_claims(directory: Path, *, locks_work: bool) -> None:
    """Where the file locks are ours, the owner may still be on a host they do not reach."""
    for owner in _claims(directory):
        elsewhere = not owner.here or not locks_work
        if elsewhere and owner.fresh and owner.alive:
            raise ConfigError(
                f"in use by {owner}, which was seen {owner.seen:.0f} s ago",
                where=str(directory),
                hint="wait for it, or choose another directory (-o); if it is dead, the directory"
                f" is free {FRESH_SECONDS:.0f} s after it was last seen",
            )


def _exists(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True  # somebody else's
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(errors="replace")
    except OSError:
        return True
    return stat.rpartition(")")[2].split()[:1] != ["Z"]  # a zombie has ended


def _opened(path: Path, flags: int, stack: ExitStack) -> int:
    fd = os.open(path, flags | os.O_CLOEXEC, 0o644)
    stack.callback(os.close, fd)
    return fd


def _locked(fd: int, kind: int) -> bool | None:
    """Lock a file; False if another process has it, None where files cannot be locked."""
    try:
        fcntl.flock(fd, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        return None
    return True


def _locked_soon(fd: int) -> bool | None:
    """Lock a file for writing. Who asks whether it is held has it for an instant."""
    for _ in range(3):
        if (held := _locked(fd, fcntl.LOCK_EX)) is not False:
            return held
        time.sleep(0.02)
    return False


def _in_use(directory: Path) -> ConfigError:
    owner = owner_of(directory)
    return ConfigError(
        f"in use by {owner or 'another process'}",
        where=str(directory),
        hint="wait for it, or choose another directory (-o)",
    )
