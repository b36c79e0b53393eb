"""Answers on disk: one SQLite file that several processes may share.

A read takes microseconds and happens where it is asked for. Writes are gathered by one thread and
committed at least every half a second; until then they are answered from memory. Nothing here ever
fails a call: a file that is no database any more is moved aside and begun anew, and where nothing
can be written, the cache says so once and stops.
"""

from __future__ import annotations

import logging
import math
import os
import sqlite3
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from .sqlite_file import (
    BUSY_SECONDS,
    FILE,
    SELECT,
    close,
    connected,
    is_busy,
    is_corrupt,
    prepared,
    read_only,
)

log = logging.getLogger("nemo_evaluator.traffic")

FLUSH_SECONDS = 0.5
TOUCH_SECONDS = 600.0
"""Precision of the time an answer was last read: noting every hit would cost more than the hit."""
BATCH = 256
"""Waiting answers, or hits to be noted, that are written without waiting any longer."""
MAX_WAITING_BYTES = 64 << 20
TOUCH = "UPDATE answers_1 SET used = ? WHERE key = ?"
UPSERT = """INSERT INTO answers_1 (key, body, status, latency_ms, ttft_ms, tries, created, used)
    VALUES (?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (key) DO UPDATE SET body = excluded.body,
    status = excluded.status, latency_ms = excluded.latency_ms, ttft_ms = excluded.ttft_ms,
    tries = excluded.tries, created = excluded.created, used = excluded.used
    WHERE answers_1.created < ?"""
OLDEST = "SELECT id, length(body) FROM answers_1 ORDER BY used"
DELETE = "DELETE FROM answers_1 WHERE id = ?"


class Answer(NamedTuple):
    """A stored answer. Times in milliseconds are those of the call that got it."""

    body: bytes
    """JSON."""
    status: int
    latency_ms: float
    ttft_ms: float | None
    tries: int
    created: float
    """Unix time, in seconds."""


class Waiting(NamedTuple):
    """An answer that is not on disk yet."""

    answer: Answer
    replaces_before: float
    """A stored answer older than this gives way; a younger one stays."""


class Limits(NamedTuple):
    """How much is kept; the answers that were not read for longest go first."""

    entries: float = math.inf
    bytes: float = math.inf

    def least(self, other: Limits) -> Limits:
        """What both allow."""
        return Limits(min(self.entries, other.entries), min(self.bytes, other.bytes))


class AnswerStore:
    """One open cache; made by ``open_store``. May be used from several threads."""

    def __init__(self, directory: Path, *, writes: bool) -> None:
        self.directory, self.path = directory, directory / FILE
        self.limits = Limits()
        self._writes = writes
        self._waiting: dict[bytes, Waiting] = {}
        self._waiting_bytes = 0
        self._touched: dict[bytes, float] = {}
        self._changed = threading.Condition()
        self._reading = threading.Lock()
        self._hurry = self._closing = self._corrupt = False
        self._thread: threading.Thread | None = None
        self._reader: sqlite3.Connection | None = self._open()

    def get(self, key: bytes, created_after: float = -math.inf) -> Answer | None:
        """The answer, unless it is older than that Unix time."""
        if waiting := self._waiting.get(key):
            answer, used = waiting.answer, math.inf
        elif row := self._read(key):
            answer, used = Answer._make(row[:-1]), row[-1]
        else:
            return None
        if answer.created < created_after:
            return None
        if self._writes and used < (now := time.time()) - TOUCH_SECONDS:
            self._touched[key] = now
            if len(self._touched) == BATCH:
                self._wake()
        return answer

    def put(self, key: bytes, answer: Answer, replaces_before: float = -math.inf) -> bool:
        """Keep an answer; False if nothing can be kept any more. An equal request's answer that
        is stored already stays, unless it is older than ``replaces_before`` (Unix time)."""
        with self._changed:
            if not self._writes or self._closing:
                return False
            if self._waiting_bytes > MAX_WAITING_BYTES:
                self._stop("the file is locked by another process for too long")
                return False
            if before := self._waiting.get(key):
                self._waiting_bytes -= len(before.answer.body)
            self._waiting[key] = Waiting(answer, replaces_before)
            self._waiting_bytes += len(answer.body)
            if self._thread is None:
                self._start()
            elif len(self._waiting) in (1, BATCH):
                self._changed.notify_all()
        return True

    def flush(self) -> None:
        """Write what waits; blocks until it is written."""
        with self._changed:
            if self._thread is None:
                if not self._touched:
                    return
                self._start()
            self._hurry = True
            self._changed.notify_all()
            self._changed.wait_for(lambda: not self._hurry, BUSY_SECONDS)

    def close(self) -> None:
        """Write what waits and close the file; blocks."""
        self.flush()
        with self._changed:
            thread, self._closing = self._thread, True
            self._changed.notify_all()
        if thread is not None:
            thread.join()
        if self._waiting:
            log.warning("%s: %d answers could not be stored", self.path, len(self._waiting))
        with self._reading:
            if self._reader is not None:
                self._reader.close()
                self._reader = None

    def _wake(self) -> None:
        with self._changed:
            if self._thread is None and not self._closing:
                self._start()
            self._changed.notify_all()

    def _start(self) -> None:
        self._thread = threading.Thread(target=self._write_on, name="answer cache", daemon=True)
        self._thread.start()

    def _stop(self, reason: str) -> None:
        """Nothing more is written; what is on disk can still be read."""
        if self._writes:
            log.warning("%s: no more answers are stored: %s", self.path, reason)
        self._writes = self._corrupt = False
        self._waiting, self._waiting_bytes, self._touched = {}, 0, {}

    def _read(self, key: bytes) -> tuple[Any, ...] | None:
        with self._reading:
            if self._reader is None:
                return None
            try:
                row: tuple[Any, ...] | None = self._reader.execute(SELECT, (key,)).fetchone()
            except sqlite3.OperationalError:  # locked for a moment
                return None
            except sqlite3.DatabaseError as error:
                self._reader.close()
                self._reader = None
                broken = error
            else:
                return row
        self._broken_while_reading(broken)
        return None

    def _broken_while_reading(self, error: sqlite3.DatabaseError) -> None:
        if self._writes:
            self._corrupt = True  # the thread fixes it
            self._wake()
        else:
            log.warning("%s: cannot be read any more: %s", self.path, error)

    def _open(self) -> sqlite3.Connection | None:
        """The connection that reads; None, with a warning, if there can be none."""
        try:
            if not self._writes:
                return read_only(self.path)
            return prepared(self.path)
        except (OSError, sqlite3.Error) as error:
            reason = error
        if self._writes:
            try:
                reader = read_only(self.path)
                self._stop(str(reason))
                return reader
            except (OSError, sqlite3.Error):
                self._writes = False
        log.warning("%s: the cache is off: %s", self.path, reason)
        return None

    def _repair(self) -> None:
        reader = prepared(self.path, check=True)
        with self._reading:
            if self._reader is not None:
                self._reader.close()
            self._reader = reader
        self._corrupt = False

    def _write_on(self) -> None:
        """The thread: gathers, writes, and ends when the store is closed."""
        writer: sqlite3.Connection | None = None
        while True:
            with self._changed:
                self._changed.wait_for(self._has_work)
                self._changed.wait_for(self._is_urgent, FLUSH_SECONDS)
                batch = dict(self._waiting)
                touched, self._touched = self._touched, {}
            if (batch or touched or self._corrupt) and self._writes:
                writer = self._write_safely(writer, batch, touched)
            with self._changed:
                for key, waiting in batch.items():
                    if writer is not None and self._waiting.get(key) is waiting:
                        del self._waiting[key]
                        self._waiting_bytes -= len(waiting.answer.body)
                self._hurry = False
                self._changed.notify_all()
                if self._closing:
                    break
        close(writer)

    def _has_work(self) -> bool:
        return bool(self._waiting) or self._is_urgent()

    def _is_urgent(self) -> bool:
        many = len(self._waiting) >= BATCH or len(self._touched) >= BATCH
        return many or self._hurry or self._closing or self._corrupt

    def _write_safely(
        self,
        writer: sqlite3.Connection | None,
        batch: dict[bytes, Waiting],
        touched: dict[bytes, float],
    ) -> sqlite3.Connection | None:
        """The connection if all is written, else None."""
        for last in (False, True):
            try:
                if self._corrupt:
                    close(writer)
                    writer = None
                    self._repair()
                writer = writer or connected(self.path)
                self._write(writer, batch, touched)
                return writer
            except (OSError, sqlite3.Error) as error:
                close(writer)
                writer = None
                if is_corrupt(error) and not last:
                    self._corrupt = True
                    continue
                if not is_busy(error):
                    with self._changed:
                        self._stop(str(error))
                return None
        return None

    def _write(
        self, db: sqlite3.Connection, batch: dict[bytes, Waiting], touched: dict[bytes, float]
    ) -> None:
        db.execute("BEGIN IMMEDIATE")
        try:
            db.executemany(UPSERT, _rows(batch))
            hits = list(touched.items())  # a reader may just be adding one more
            db.executemany(TOUCH, ((used, key) for key, used in hits))
            self._evict(db)
            db.execute("COMMIT")
        finally:
            if db.in_transaction:
                db.execute("ROLLBACK")

    def _evict(self, db: sqlite3.Connection) -> None:
        """Down to a twentieth below the limits, lest every write evicts."""
        entries, size = db.execute("SELECT entries, bytes FROM answers_1_total").fetchone()
        if entries <= self.limits.entries and size <= self.limits.bytes:
            return
        most, room = self.limits.entries * 0.95, self.limits.bytes * 0.95
        gone = []
        for number, length in db.execute(OLDEST):
            if entries < most + 1 and size <= room:
                break
            gone.append((number,))
            entries, size = entries - 1, size - length
        db.executemany(DELETE, gone)


_stores: dict[tuple[int, str, bool], tuple[AnswerStore, int]] = {}
"""The open stores of this process, and how many use each."""
_stores_lock = threading.Lock()


def open_store(directory: Path, *, writes: bool, limits: Limits | None = None) -> AnswerStore:
    """The store of a directory, the same for all who open it; the least of all limits holds."""
    directory = directory.absolute()
    name = (os.getpid(), os.path.realpath(directory), writes)
    with _stores_lock:
        store, users = _stores.get(name) or (AnswerStore(directory, writes=writes), 0)
        _stores[name] = store, users + 1
    store.limits = store.limits.least(limits or Limits())
    return store


def close_store(store: AnswerStore) -> None:
    """One user less: the last closes the file, every other only writes what waits. Blocks."""
    with _stores_lock:
        name = next((name for name, (known, _) in _stores.items() if known is store), None)
        users = 0 if name is None else _stores[name][1] - 1
        if name is not None and users:
            _stores[name] = store, users
        elif name is not None:
            del _stores[name]
    if users:
        store.flush()
    else:
        store.close()


def _rows(batch: dict[bytes, Waiting]) -> Iterator[tuple[object, ...]]:
    for key, (answer, replaces_before) in batch.items():
        yield (key, *answer, answer.created, replaces_before)
