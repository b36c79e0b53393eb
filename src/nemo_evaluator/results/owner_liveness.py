"""Whether those who claim a run directory are alive, as far as that can be told from elsewhere.

File locks tell it on one machine, where they can be trusted. Of a process on another machine the
scheduler is asked first, if one runs it. Else its heartbeat tells, by the change that is seen and
never by comparing clocks, since those of two machines may differ by minutes.
"""

from __future__ import annotations

import enum
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from . import owner as owners
from .fencing_token import LOCK, claimant, owner_at, touched_at
from .owner import Owner
from .progress_file import read_progress

Runs = Callable[[Owner], bool | None]
"""Whether the job of an owner still runs; None where that is not known."""
SKEW_SECONDS = 600.0
"""More than the clocks of two machines of a cluster ever differ: an owner that was not seen for so
long need not be watched."""


class Liveness(enum.Enum):
    """What is known of an owner."""

    ALIVE = enum.auto()
    UNKNOWN = enum.auto()
    """It has to be watched for longer."""
    SILENT = enum.auto()
    """It is given up; but it may be held up, and go on one day."""
    DEAD = enum.auto()


def not_known(_owner: Owner) -> bool | None:
    """Where no scheduler can be asked."""
    return None


class OwnerWatch:
    """Watches who claims a directory, from when it is made."""

    def __init__(self, directory: Path, runs: Runs = not_known) -> None:
        self._directory, self._runs = directory, runs
        self._since = time.monotonic()
        self._first: dict[tuple[int, str, int], object] = {}
        """What each owner was seen doing at first."""
        self._told_by_scheduler: dict[tuple[int, str, int], bool | None] = {}

    def left(self, folder: int) -> tuple[float, Owner | None]:
        """Seconds for which nothing is known of an owner, and which one that is."""
        for owner in self.owners(folder):
            if self.liveness(folder, owner, locked=True) is Liveness.UNKNOWN:
                return max(0.0, self._since + owners.FRESH_SECONDS - time.monotonic()), owner
        return 0.0, None

    def owners(self, folder: int) -> Iterator[Owner]:
        """Who says that the directory is theirs: in ``.lock``, beside it while it is taken over,
        and in the progress of a run."""
        for owner in (owner_at(folder, LOCK), claimant(folder), self._in_progress()):
            if owner is not None:
                yield owner

    def liveness(self, folder: int, owner: Owner, *, locked: bool) -> Liveness:
        """What is known of an owner. ``locked``: this process has the file locks, which can be
        trusted on one machine."""
        if owner.here:
            if locked:
                return Liveness.DEAD
            if owner.alive and owner.fresh:
                return Liveness.ALIVE
            is_gone = owner.told_by_pid and not owner.alive
            return Liveness.DEAD if is_gone else Liveness.SILENT
        if (runs := self._by_scheduler(owner)) is not None:
            return Liveness.ALIVE if runs else Liveness.SILENT
        if owner.seen > SKEW_SECONDS:
            return Liveness.SILENT
        return self._by_change(folder, owner)

    def _by_scheduler(self, owner: Owner) -> bool | None:
        key = _key(owner)
        if key not in self._told_by_scheduler:
            self._told_by_scheduler[key] = self._runs(owner) if owner.job else None
        return self._told_by_scheduler[key]

    def _by_change(self, folder: int, owner: Owner) -> Liveness:
        seen = self._sign(folder)
        if self._first.setdefault(_key(owner), seen) != seen:
            return Liveness.ALIVE
        over = time.monotonic() - self._since >= owners.FRESH_SECONDS
        return Liveness.SILENT if over else Liveness.UNKNOWN

    def _sign(self, folder: int) -> object:
        """What an owner that is alive changes every few seconds."""
        progress = read_progress(self._directory)
        return touched_at(folder), progress.heartbeat if progress is not None else None

    def _in_progress(self) -> Owner | None:
        progress = read_progress(self._directory)
        if progress is None or not progress.running:
            return None
        return Owner(progress.pid, progress.host, max(0.0, time.time() - progress.heartbeat))


def _key(owner: Owner) -> tuple[int, str, int]:
    return owner.pid, owner.host, owner.token
