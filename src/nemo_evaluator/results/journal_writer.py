"""The only writer of a journal: appends whole lines in batches, off the event loop.

Events are encoded where they arise and handed to one thread every few milliseconds; the thread
writes a batch with one call and syncs it within a quarter of a second. An event is reported
durable only after its sync. When the disk refuses, nothing is dropped: the file is cut back to its
last whole line, later events are kept in memory, and ``close`` tries again before it puts them in
a rescue file.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import queue
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path

from ..errors import ConfigError
from .journal import Event, JournalIndex, encode

HAND_OVER_SECONDS = 0.01
SYNC_SECONDS = 0.25

Then = Callable[[], None]


class JournalWriter:
    """Appends events to one journal. Create it inside a running event loop."""

    def __init__(
        self,
        path: Path,
        index: JournalIndex,
        *,
        on_failure: Callable[[OSError], None] | None = None,
    ) -> None:
        """Open for appending after the last good line of ``index``.

        A torn tail is moved to ``<name>.torn`` first, so that the next line starts clean.
        """
        self.path = path
        self._loop = asyncio.get_running_loop()
        self._on_failure = on_failure
        self._fd = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
        self._end = index.good_bytes
        self._set_torn_tail_aside()
        self._lines: list[bytes] = []
        self._thens: list[Then] = []
        self._timer: asyncio.TimerHandle | None = None
        self._batches: queue.SimpleQueue[tuple[bytes, list[Then]] | None] = queue.SimpleQueue()
        self._unsaved: list[bytes] = []
        self.failure: OSError | None = None
        self._thread = threading.Thread(target=self._write_loop, name="journal", daemon=True)
        self._thread.start()

    def append(self, event: Event, then: Then | None = None) -> None:
        """Queue one event and return at once. ``then`` is called on the loop once it is on disk."""
        self._lines.append(encode(event))
        if then is not None:
            self._thens.append(then)
        if self._timer is None:
            self._timer = self._loop.call_later(HAND_OVER_SECONDS, self._hand_over)

    async def close(self) -> None:
        """Write and sync everything. Raises ConfigError if the disk still refuses."""
        if self._timer is not None:
            self._timer.cancel()
        self._hand_over()
        self._batches.put(None)
        await asyncio.to_thread(self._thread.join)
        try:
            if self._unsaved:
                await asyncio.to_thread(self._save_the_rest)
        finally:
            os.close(self._fd)

    def _hand_over(self) -> None:
        self._timer = None
        if self._lines:
            self._batches.put((b"".join(self._lines), self._thens))
            self._lines, self._thens = [], []

    def _write_loop(self) -> None:
        unsynced: list[Then] = []
        dirty = closing = False
        last_sync = time.monotonic()
        while not closing:
            try:
                batch = self._batches.get(timeout=SYNC_SECONDS if dirty else None)
                closing = batch is None
                if batch is not None and self._write(batch[0]):
                    dirty = True
                    unsynced += batch[1]
            except queue.Empty:
                pass
            if dirty and (closing or time.monotonic() - last_sync >= SYNC_SECONDS):
                self._sync(unsynced)
                dirty, unsynced, last_sync = False, [], time.monotonic()

    def _write(self, lines: bytes) -> bool:
        if self.failure is None:
            try:
                self._write_at_end(lines)
                return True
            except OSError as error:
                self._fail(error)
        self._unsaved.append(lines)
        return False

    def _write_at_end(self, data: bytes) -> None:
        view, written = memoryview(data), 0
        try:
            while written < len(data):
                written += os.pwrite(self._fd, view[written:], self._end + written)
        except OSError:
            with contextlib.suppress(OSError):
                os.ftruncate(self._fd, self._end)
            raise
        self._end += written

    def _sync(self, thens: list[Then]) -> None:
        try:
            os.fsync(self._fd)
        except OSError as error:
            self._fail(error)
            return
        with contextlib.suppress(RuntimeError):  # the loop is gone: nobody is watching
            self._loop.call_soon_threadsafe(_call_all, thens)

    def _fail(self, error: OSError) -> None:
        self.failure = error
        if self._on_failure is not None:
            with contextlib.suppress(RuntimeError):
                self._loop.call_soon_threadsafe(self._on_failure, error)

    def _save_the_rest(self) -> None:
        data = b"".join(self._unsaved)
        try:
            self._write_at_end(data)
            os.fsync(self._fd)
        except OSError as error:
            raise ConfigError(
                f"cannot write: {error.strerror or error}",
                where=str(self.path),
                hint=self._rescue(data),
            ) from error

    def _rescue(self, data: bytes) -> str:
        mend = "make room and repeat the command with --resume"
        try:
            fd, name = tempfile.mkstemp(prefix=f"nel-rescue-{self.path.parent.name}-")
            with os.fdopen(fd, "wb") as file:
                file.write(data)
        except OSError:
            lost = len(data.splitlines())
            return f"{mend}; the last {lost} events could not be kept"
        return f"{mend}; the last events are kept: first run `cat {name} >> {self.path}`"

    def _set_torn_tail_aside(self) -> None:
        size = os.fstat(self._fd).st_size
        if size > self._end:
            tail = os.pread(self._fd, size - self._end, self._end)
            with self.path.with_suffix(".torn").open("ab") as file:
                file.write(tail + b"\n")
            os.ftruncate(self._fd, self._end)


def _call_all(thens: list[Then]) -> None:
    for then in thens:
        then()
