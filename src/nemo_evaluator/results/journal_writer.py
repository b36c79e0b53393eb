"""The only writer of a journal: appends whole lines in batches, off the event loop.

Events are encoded where they arise and handed to one thread every few milliseconds; the thread
writes a batch with one call and syncs it within a quarter of a second. An event is reported
durable only after its sync, and is kept in memory until then. When the disk refuses, or the journal
is deleted or written by somebody else, ``on_failure`` is told at once; the reserve is given up,
every later batch tries again, and what the journal still has not taken at the end goes into a
rescue file that ``close`` names. A process that has lost its directory writes nothing more: it is
asked before every batch whether it still has it.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import queue
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Protocol

from ..errors import ConfigError
from ..files.lines import LineFile
from ..files.writing import make_folder, replacing, sync_folder
from .disk_reserve import DiskReserve
from .journal import Event, Header, JournalIndex, encode
from .rescue_files import write_rescue

HAND_OVER_SECONDS = 0.01
SYNC_SECONDS = 0.25
PATIENCE_SECONDS = 3.0
"""How long ``close`` tries again before it writes a rescue file."""
FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)

Then = Callable[[], None]


class Hold(Protocol):
    """The hold of this process on the directory of the journal."""

    @property
    def lost(self) -> bool:
        """Whether another process has taken it over."""

    def loss(self) -> ConfigError:
        """What to tell where it is lost."""


class _Batch:
    """Lines that belong together, and whom to tell once they are on disk."""

    __slots__ = ("lines", "thens")

    def __init__(self, lines: bytes, thens: list[Then]) -> None:
        self.lines, self.thens = lines, thens


class JournalWriter:
    """Appends events to one journal. Create it inside a running event loop."""

    def __init__(
        self,
        path: Path,
        index: JournalIndex,
        *,
        header: Header | None = None,
        on_failure: Callable[[OSError], None] | None = None,
        hold: Hold | None = None,
    ) -> None:
        """Open for appending after the last whole line of ``index``; a torn end is moved to
        ``<name>.torn`` first. ``header`` is what the journal belongs to: written first where
        the journal does not end with it. Raises ConfigError.
        """
        self.path = path
        self._header = header or index.header
        self._loop = asyncio.get_running_loop()
        self._on_failure, self._hold = on_failure, hold
        try:
            self._file = LineFile(path, end=index.good_bytes)
            sync_folder(path.parent)
        except OSError as error:
            raise ConfigError(
                f"cannot write: {error.strerror or error}",
                where=str(path),
                hint="no request was sent; make it writable and repeat the command",
            ) from None
        self._reserve = DiskReserve(path.parent)
        self._lines: list[bytes] = []
        self._thens: list[Then] = []
        self._timer: asyncio.TimerHandle | None = None
        self._batches: queue.SimpleQueue[_Batch | None] = queue.SimpleQueue()
        self._unwritten: list[_Batch] = []
        self._unsynced: list[_Batch] = []
        self._detached = False
        """The file has no name any more: only its open descriptor leads to it."""
        self.failure: OSError | None = None
        if header is not None and header != index.header:
            self.append(header)
        self._thread = threading.Thread(target=self._write_loop, name="journal", daemon=True)
        self._thread.start()

    def append(self, event: Event, then: Then | None = None) -> None:
        """Queue one event and return at once. ``then`` is called on the loop once it is on disk."""
        self._lines.append(encode(event))
        if then is not None:
            self._thens.append(then)
        if self._timer is None:
            self._timer = self._loop.call_later(HAND_OVER_SECONDS, self._hand_over)

    async def close(self) -> ConfigError | None:
        """Write and sync everything. What went wrong, if anything did, and where the rest is."""
        if self._timer is not None:
            self._timer.cancel()
        self._hand_over()
        self._batches.put(None)
        await asyncio.to_thread(self._thread.join)
        try:
            return await asyncio.to_thread(self._end)
        finally:
            self._reserve.give_up()
            self._file.close()

    def _hand_over(self) -> None:
        self._timer = None
        if self._lines:
            self._batches.put(_Batch(b"".join(self._lines), self._thens))
            self._lines, self._thens = [], []

    def _write_loop(self) -> None:
        closing, last_sync = False, time.monotonic()
        while not closing:
            with contextlib.suppress(queue.Empty):
                batch = self._batches.get(timeout=SYNC_SECONDS if self._pending else None)
                closing = batch is None
                if batch is not None:
                    self._unwritten.append(batch)
            self._write()
            if closing or time.monotonic() - last_sync >= SYNC_SECONDS:
                self._sync()
                last_sync = time.monotonic()

    def _write(self) -> None:
        """Write what is in memory, oldest first. The first refusal gives up the reserve."""
        while self._unwritten and not self._check_lost:
            try:
                self._file.append(self._unwritten[0].lines)
            except OSError as error:
                first = self.failure is None
                self._fail(error)
                if not first:
                    return
            else:
                self._unsynced.append(self._unwritten.pop(0))

    @property
    def _check_lost(self) -> bool:
        """Whether another process writes the journal now: then nothing more of this one's does."""
        if self._hold is None or not self._hold.lost:
            return False
        self._unwritten, self._unsynced = [], []
        self._fail(OSError(errno.ESTALE, "was taken over by another process"))
        return True

    def _sync(self) -> None:
        if not self._unsynced:
            return
        try:
            self._file.sync()
            if self._check_lost:
                return
            self._check_place()
        except OSError as error:
            # What was not synced may be gone: it is written again.
            self._unwritten = self._unsynced + self._unwritten
            self._unsynced = []
            self._fail(error)
            return
        thens = [then for batch in self._unsynced for then in batch.thens]
        self._unsynced = []
        with contextlib.suppress(RuntimeError):  # the loop is closed: no caller is waiting
            self._loop.call_soon_threadsafe(_call_all, thens)

    def _check_place(self) -> None:
        """Check that the journal is still in its place and that no other program writes to it."""
        if self._file.moved:
            self._detached = True
            self._fail(OSError(errno.ESTALE, "was deleted or replaced during the run"))
            self._put_back()
        elif self._file.tampered:
            raise OSError(errno.ESTALE, "was changed by another program during the run")

    def _put_back(self) -> None:
        """Give a journal that was deleted its name again; one that was replaced stays."""
        if self.path.exists():
            return
        with contextlib.suppress(OSError):
            make_folder(self.path.parent)
            with replacing(self.path, durable=True) as copy:
                for chunk in self._file.content():
                    copy.write(chunk)
            deleted, self._file = self._file, LineFile(self.path)
            deleted.close()
            self._detached = False

    @property
    def _pending(self) -> bool:
        return bool(self._unwritten or self._unsynced)

    def _fail(self, error: OSError) -> None:
        self._reserve.give_up()
        if self.failure is not None:
            return
        self.failure = error
        if self._on_failure is not None:
            with contextlib.suppress(RuntimeError):
                self._loop.call_soon_threadsafe(self._on_failure, error)

    def _end(self) -> ConfigError | None:
        """After the last batch: try again for a while, then rescue."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        while self._pending and time.monotonic() < deadline:
            self._write()
            self._sync()
            if self._unwritten:
                time.sleep(SYNC_SECONDS)
        if self._hold is not None and self._check_lost:
            return self._hold.loss()
        with contextlib.suppress(OSError):
            self._check_place()
        if self.failure is None:
            return None
        return ConfigError(
            refusal(self.failure), where=str(self.path), hint=self._where_the_rest_is()
        )

    def _where_the_rest_is(self) -> str:
        again = "repeat the command with --resume"
        if self.failure is not None and self.failure.errno in FULL:
            again = f"free disk space and {again}"
        if not self._unwritten and not self._detached:
            return f"every answer so far is in the journal; {again}"
        lines = b"".join(batch.lines for batch in self._unwritten)
        count = lines.count(b"\n")
        header = self._header or Header(benchmark="", plan_digest="", run_id="")
        path = write_rescue(self.path.parent, header, _Chunks(self._file, lines, self._detached))
        if path is None:
            return f"the last {count} events could not be written anywhere; {again}"
        held = "all answers are" if self._detached else f"the last {count} events are"
        return f"{held} in {path}; {again}, which takes them in"


def refusal(error: OSError) -> str:
    """Why the journal could not be written, for people."""
    reason = error.strerror or str(error)
    return reason if error.errno == errno.ESTALE else f"cannot write: {reason}"


class _Chunks:
    """What a rescue file is to hold. Can be iterated again, for the next place."""

    def __init__(self, file: LineFile, lines: bytes, whole: bool) -> None:
        self._file, self._lines, self._whole = file, lines, whole

    def __iter__(self) -> Iterator[bytes]:
        if self._whole:
            yield from self._file.content()
        yield self._lines


def _call_all(thens: list[Then]) -> None:
    for then in thens:
        then()
