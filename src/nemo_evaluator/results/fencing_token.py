"""The fencing token of a run directory: a number that grows with each owner, claimed by one only.

Nothing here needs file locks. Whoever wants the directory makes ``.lock.<n>``, with the number
after the last one: making a file that must not exist is atomic on shared file systems too, so one
process only gets each number. The owner then writes its line into ``.lock``. Whoever finds a higher
number there has lost the directory.

The check opens ``.lock`` and reads it. A network file system asks its server when a file is opened
(close-to-open consistency), while the metadata of an open or unopened file may come from a cache
for a minute: neither ``stat`` nor ``fstat`` would do. For the same reason the line is replaced in
place and never by another file of that name.
"""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Iterator
from contextlib import suppress

from .owner import LINE_BYTES, Owner, free_line, owner_in, this_process, token_in

LOCK = ".lock"
MOST_CLAIMS = 64
"""Numbers that may stand beside ``.lock``; there is one, but for processes that died claiming."""


class FencingToken:
    """The token of this process, for a directory that is open as ``folder``."""

    def __init__(self, folder: int, owner: Owner) -> None:
        self._folder, self.owner = folder, owner
        self._line = owner.line()
        self._lost = False

    @property
    def lost(self) -> bool:
        """Whether another process has taken the directory over. Stays so."""
        if not self._lost:
            self._lost = self._is_lost()
        return self._lost

    def write(self) -> None:
        """Name this process in ``.lock``. Raises OSError."""
        _write(self._folder, self._line)
        for number in claims(self._folder):
            if number < self.owner.token:
                remove_claim(self._folder, number)

    def give_back(self) -> None:
        """Say that the directory has no owner, unless another process has it."""
        if not self.lost:
            with suppress(OSError):
                _write(self._folder, free_line(self.owner.token))
            remove_claim(self._folder, self.owner.token)

    def _is_lost(self) -> bool:
        try:
            text, _ = read(self._folder, LOCK)
        except FileNotFoundError:
            return self._put_back()
        except OSError:
            return False  # not known: the file system is away, and nothing can be written either
        if text == self._line:
            return False
        number = token_in(text)
        if 0 < number < self.owner.token:  # a late write of one that had been passed
            return self._put_back()
        return True

    def _put_back(self) -> bool:
        """Name this process again where the line is gone; whether the directory is lost."""
        numbers = claims(self._folder)
        if not numbers and os.fstat(self._folder).st_nlink == 0:
            return False  # the directory was deleted, and taken over by none
        if self.owner.token not in numbers or max(numbers) > self.owner.token:
            return True
        with suppress(OSError):
            _write(self._folder, self._line)
        return False


def claim(folder: int, before: bytes, number: int) -> FencingToken | None:
    """Take a number; None where another process was quicker, or ``.lock`` does not say any more
    what it said ``before``. Raises OSError."""
    token = FencingToken(folder, this_process(number))
    try:
        fd = os.open(_name(number), os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644, dir_fd=folder)
    except FileExistsError:
        return None
    with os.fdopen(fd, "wb") as file:
        file.write(token.owner.line())
    if line(folder) != before or max(claims(folder)) > number:
        remove_claim(folder, number)
        return None
    token.write()
    return None if max(claims(folder), default=number) > number or token.lost else token


def owner_at(folder: int, name: str) -> Owner | None:
    """The owner that a file names."""
    try:
        text, touched = read(folder, name)
    except OSError:
        return None
    return owner_in(text, max(0.0, time.time() - touched))


def touched_at(folder: int) -> float:
    """When ``.lock`` was touched; 0 where there is none."""
    try:
        return read(folder, LOCK)[1]
    except OSError:
        return 0.0


def claimant(folder: int) -> Owner | None:
    """Who has claimed the directory after the owner that ``.lock`` names, and not written that
    there yet."""
    number = last_number(folder)
    if number <= token_in(line(folder)):
        return None
    return owner_at(folder, _name(number)) or Owner(0, "another-host", 0.0)


def line(folder: int) -> bytes:
    """What ``.lock`` says now; empty where there is none."""
    try:
        return read(folder, LOCK)[0]
    except OSError:
        return b""


def last_number(folder: int) -> int:
    """The highest number that was ever given, as far as the directory knows."""
    return max([token_in(line(folder)), *claims(folder)])


def claims(folder: int) -> list[int]:
    """The numbers that are claimed."""
    prefix = f"{LOCK}."
    with os.scandir(folder) as entries:
        found = [entry.name.removeprefix(prefix) for entry in entries if _is_claim(entry.name)]
    return sorted(map(int, found))[-MOST_CLAIMS:]


def remove_claim(folder: int, number: int) -> None:
    """Remove a claim, if it is there."""
    with suppress(OSError):
        os.unlink(_name(number), dir_fd=folder)


def read(folder: int, name: str) -> tuple[bytes, float]:
    """A line in a directory as it is now, and when it was touched. Raises OSError."""
    with _open_plain(folder, name, os.O_RDONLY) as fd:
        return os.pread(fd, LINE_BYTES, 0), os.fstat(fd).st_mtime


def _write(folder: int, line: bytes) -> None:
    with _open_plain(folder, LOCK, os.O_WRONLY | os.O_CREAT) as fd:
        os.pwrite(fd, line, 0)
        os.fsync(fd)


@contextlib.contextmanager
def _open_plain(folder: int, name: str, flags: int) -> Iterator[int]:
    flags |= os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    fd = os.open(name, flags, 0o644, dir_fd=folder)
    try:
        yield fd
    finally:
        os.close(fd)


def _name(number: int) -> str:
    return f"{LOCK}.{number}"


def _is_claim(name: str) -> bool:
    prefix, _, number = name.rpartition(".")
    return prefix == LOCK and number.isdecimal() and len(number) < 16
