"""One process per run directory: file locks, a heartbeat for where they do not reach, and a token
for where neither tells the truth.

Both the directory itself and ``.lock`` in it are locked. ``.lock`` names the owner and can be
deleted; the directory cannot, as long as the run is there. File locks die with their process, but
shared file systems may not carry them to another host, or grant them to everybody. So the owner
also touches ``.lock`` every few seconds, and has a token (``fencing_token``): a process that was
held up until it was given up for dead finds another token there, and must not write any more. A
clean end leaves ``.lock`` without an owner.
"""

from __future__ import annotations

import fcntl
import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from ..errors import ConfigError
from ..files.reading import check_regular
from ..files.writing import fenced, make_folder
from .fencing_token import LOCK as LOCK
from .fencing_token import FencingToken, claim, last_number, line, owner_at
from .owner import FRESH_SECONDS as FRESH_SECONDS
from .owner import Owner as Owner
from .owner_liveness import Liveness, OwnerWatch, Runs, not_known

BEAT_SECONDS = 5.0
LOOK_SECONDS = 0.5
SETTLE_SECONDS = 0.2
"""Without file locks: time after which of two processes that start at once only one remains."""
TRIES = 5

Say = Callable[[str], None]


class InUse(ConfigError):
    """Another process, which is alive, holds the directory."""


class DirectoryLock:
    """A directory that this process holds."""

    def __init__(self, path: Path, fd: int, token: FencingToken, taken_from: Owner | None) -> None:
        self._path, self._fd, self._token = path, fd, token
        self.taken_from = taken_from
        """An earlier owner that was given up, and may still be there: what it has open for writing
        must be replaced before it is written."""
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._beat, name="nel-heartbeat", daemon=True)

    def begin(self) -> None:
        """Begin to beat."""
        self._thread.start()

    def end(self) -> None:
        """Give the directory back."""
        self._ended.set()
        self._thread.join()
        self._token.give_back()

    @property
    def owner(self) -> Owner:
        """This process."""
        return self._token.owner

    @property
    def lost(self) -> bool:
        """Whether another process has taken the directory over: this one was held up for so long
        that it was given up for dead. It must not write there any more."""
        return self._token.lost

    def check(self) -> None:
        """Raise ConfigError where the directory is lost."""
        if self.lost:
            raise self.loss()

    def loss(self) -> ConfigError:
        """The error of a process that has lost its directory."""
        with suppress(OSError, ConfigError):
            if (other := owner_of(self._path)) is not None:
                return taken_over(self._path, str(other))
        return taken_over(self._path, "another process")

    def _beat(self) -> None:
        while not self._ended.wait(BEAT_SECONDS):
            if not self.lost:
                with suppress(OSError):
                    os.utime(self._fd)


def taken_over(directory: Path, by: str) -> ConfigError:
    """The error of a process whose directory was taken over."""
    return ConfigError(
        f"was taken over by {by} while this process was held up",
        where=str(directory),
        hint="this process has stopped and writes nothing more; the other one goes on with the"
        f" run: nel eval status {directory}",
    )


@contextmanager
def directory_lock(
    directory: Path,
    *,
    watch: OwnerWatch | None = None,
    runs: Runs = not_known,
    say: Say = lambda _: None,
) -> Iterator[DirectoryLock]:
    """Hold the directory while the block lasts. Raises ConfigError naming the other owner.

    An owner on another machine, of whom ``runs`` knows nothing, is watched for a minute before it
    is given up; ``watch`` has done that already.
    """
    with ExitStack() as stack:
        try:
            make_folder(directory)
            folder = _open_until_closed(directory, os.O_RDONLY | os.O_DIRECTORY, stack)
            flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK
            file = _open_until_closed(directory / LOCK, flags, stack)
            check_regular(file, directory / LOCK)
            held = [_lock_with_retries(fd) for fd in (folder, file)]
            if False in held:
                raise _in_use(directory)
            trusted = held[1] is True and _keeps_others_out(directory / LOCK)
            watch = watch or _watch_owners(directory, folder, runs, say)
            token, silent = _take(directory, folder, watch, trusted=trusted)
        except OSError as error:
            raise ConfigError(
                f"cannot write there: {error.strerror}",
                where=str(directory),
                hint="choose a directory you may write to (-o)",
            ) from None
        lock = DirectoryLock(directory, file, token, silent)
        lock.begin()
        try:
            if not trusted:
                time.sleep(SETTLE_SECONDS)
                if lock.lost:
                    raise _in_use(directory)
            with fenced(directory, lock.check):
                yield lock
        finally:
            lock.end()


@contextmanager
def reading_lock(directory: Path, *, runs: Runs = not_known) -> Iterator[None]:
    """Keep others from writing a directory that is only read; nothing in it is created or changed.
    Raises ConfigError naming the process that writes it."""
    with ExitStack() as stack:
        trusted, fds = False, []
        for path in (directory, directory / LOCK):
            try:
                fds.append(_open_until_closed(path, os.O_RDONLY | os.O_NONBLOCK, stack))
            except OSError:  # an archive: it has never been locked
                continue
            held = _try_lock(fds[-1], fcntl.LOCK_SH)
            if held is False:
                raise _in_use(directory)
            trusted = held is True and _keeps_others_out(path)
        if fds:
            watch = _watch_owners(directory, fds[0], runs, lambda _: None)
            _check(directory, fds[0], watch, trusted=trusted)
        yield


def still_watched(directory: Path, watch: OwnerWatch) -> tuple[float, str]:
    """Seconds for which an owner elsewhere has to be watched before it can be given up, and what
    to tell about that; 0 where a lock can be tried now."""
    with ExitStack() as stack:
        try:
            left, owner = watch.left(
                _open_until_closed(directory, os.O_RDONLY | os.O_DIRECTORY, stack)
            )
        except OSError:
            return 0.0, ""
    return left, f"{directory} belongs to {owner}: looking for a sign of life, up to {left:.0f} s"


def owner_of(directory: Path) -> Owner | None:
    """The process that holds a directory, or that died without giving it back."""
    with ExitStack() as stack:
        try:
            folder = _open_until_closed(directory, os.O_RDONLY | os.O_DIRECTORY, stack)
        except OSError:
            return None
        return owner_at(folder, LOCK)


def is_held(directory: Path) -> bool:
    """Whether a process of this host holds the file locks of a directory."""
    with ExitStack() as stack:
        try:
            fd = _open_until_closed(directory / LOCK, os.O_RDONLY | os.O_NONBLOCK, stack)
        except OSError:
            return False
        return _try_lock(fd, fcntl.LOCK_SH) is False


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


def _watch_owners(directory: Path, folder: int, runs: Runs, say: Say) -> OwnerWatch:
    """Watch who claims the directory until everything is known that can be."""
    watch, announced = OwnerWatch(directory, runs), False
    while (left := watch.left(folder)[0]) > 0:
        if not announced:
            say(still_watched(directory, watch)[1])
            announced = True
        time.sleep(min(left, LOOK_SECONDS))
    return watch


def _take(
    directory: Path, folder: int, watch: OwnerWatch, *, trusted: bool
) -> tuple[FencingToken, Owner | None]:
    """The token of this process, and the owner that was given up for it. Raises ConfigError where
    another process has the directory, or gets it first."""
    for _ in range(TRIES):
        before = line(folder)
        number = last_number(folder) + 1
        silent = _check(directory, folder, watch, trusted=trusted)
        if (token := claim(folder, before, number)) is not None:
            return token, silent
        time.sleep(SETTLE_SECONDS)
    raise _in_use(directory)


def _check(directory: Path, folder: int, watch: OwnerWatch, *, trusted: bool) -> Owner | None:
    """The owner that is given up though it may still be there. Raises ConfigError for one that is
    alive, as far as can be told."""
    silent = None
    for owner in watch.owners(folder):
        state = watch.liveness(folder, owner, locked=trusted)
        if state is Liveness.SILENT:
            silent = silent or owner
        elif state is not Liveness.DEAD:
            job = f", or end its job ({owner.job})" if owner.job else ""
            raise InUse(
                f"in use by {owner}, which was seen {owner.seen:.0f} s ago",
                where=str(directory),
                hint=f"wait for it{job}, or choose another directory (-o); if it is dead, the"
                f" directory is free {FRESH_SECONDS:.0f} s after it was last seen",
            )
    return silent


def _open_until_closed(path: Path, flags: int, stack: ExitStack) -> int:
    fd = os.open(path, flags | os.O_CLOEXEC, 0o644)
    stack.callback(os.close, fd)
    return fd


def _try_lock(fd: int, kind: int) -> bool | None:
    """Lock a file; False if another process has it, None where files cannot be locked."""
    try:
        fcntl.flock(fd, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        return None
    return True


def _lock_with_retries(fd: int) -> bool | None:
    """Lock a file for writing. Who asks whether it is held has it for an instant."""
    for _ in range(3):
        if (held := _try_lock(fd, fcntl.LOCK_EX)) is not False:
            return held
        time.sleep(0.02)
    return False


def _keeps_others_out(path: Path) -> bool:
    """Whether the lock that this process has on a file keeps anybody out: there are file systems
    that grant every lock."""
    with ExitStack() as stack:
        try:
            again = _open_until_closed(path, os.O_RDONLY | os.O_NONBLOCK, stack)
        except OSError:
            return False
        return _try_lock(again, fcntl.LOCK_EX) is False


def _in_use(directory: Path) -> InUse:
    owner = owner_of(directory)
    return InUse(
        f"in use by {owner or 'another process'}",
        where=str(directory),
        hint="wait for it, or choose another directory (-o)",
    )
