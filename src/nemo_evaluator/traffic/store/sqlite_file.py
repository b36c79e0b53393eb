"""The file of the answer cache: how it is opened, prepared, and moved aside when it is broken."""

from __future__ import annotations

import fcntl
import logging
import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

log = logging.getLogger("nemo_evaluator.traffic")

FILE = "adapter_cache.db"
LOCK_FILE = "adapter_cache.lock"
BUSY_SECONDS = 15.0
READ_BUSY_SECONDS = 0.02
SCHEMA = (
    """CREATE TABLE IF NOT EXISTS answers_1 (
        id INTEGER PRIMARY KEY, key BLOB NOT NULL UNIQUE, body BLOB NOT NULL,
        status INTEGER NOT NULL, latency_ms REAL NOT NULL, ttft_ms REAL, tries INTEGER NOT NULL,
        created REAL NOT NULL, used REAL NOT NULL)""",
    "CREATE INDEX IF NOT EXISTS answers_1_used ON answers_1 (used)",
    "CREATE TABLE IF NOT EXISTS answers_1_total (entries INTEGER NOT NULL, bytes INTEGER NOT NULL)",
    """INSERT INTO answers_1_total SELECT 0, 0
        WHERE NOT EXISTS (SELECT 1 FROM answers_1_total)""",
    """CREATE TRIGGER IF NOT EXISTS answers_1_added AFTER INSERT ON answers_1 BEGIN
        UPDATE answers_1_total SET entries = entries + 1, bytes = bytes + length(new.body); END""",
    """CREATE TRIGGER IF NOT EXISTS answers_1_changed AFTER UPDATE OF body ON answers_1 BEGIN
        UPDATE answers_1_total SET bytes = bytes + length(new.body) - length(old.body); END""",
    """CREATE TRIGGER IF NOT EXISTS answers_1_gone AFTER DELETE ON answers_1 BEGIN
        UPDATE answers_1_total SET entries = entries - 1, bytes = bytes - length(old.body); END""",
)
SELECT = """SELECT body, status, latency_ms, ttft_ms, tries, created, used FROM answers_1
    WHERE key = ?"""


def prepared(path: Path, *, check: bool = False) -> sqlite3.Connection:
    """The file as it must be, open for reading; a broken one (``check``: read it all to know) is
    moved aside. One process at a time. Raises OSError and sqlite3.Error."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with _locked(path.with_name(LOCK_FILE)):
        try:
            return _created(path, check=check)
        except sqlite3.DatabaseError as error:
            if not is_corrupt(error):
                raise
            aside = _move_aside(path)
            log.warning("%s: is broken (%s); moved to %s", path, error, aside.name)
        return _created(path)


def connected(path: Path) -> sqlite3.Connection:
    """A connection that writes."""
    db = sqlite3.connect(path, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False)
    db.execute("PRAGMA synchronous = NORMAL")
    return db


def _created(path: Path, *, check: bool = False) -> sqlite3.Connection:
    db = connected(path)
    try:
        db.execute("PRAGMA journal_mode = WAL")
        for statement in SCHEMA:
            db.execute(statement)
        if check and (found := db.execute("PRAGMA quick_check(1)").fetchone()[0]) != "ok":
            broken = sqlite3.DatabaseError(str(found))
            broken.sqlite_errorcode = sqlite3.SQLITE_CORRUPT
            raise broken
        db.execute(SELECT, (b"",)).fetchone()
        db.execute(f"PRAGMA busy_timeout = {READ_BUSY_SECONDS * 1000:.0f}")
    except BaseException:
        db.close()
        raise
    return db


def read_only(path: Path) -> sqlite3.Connection:
    """Raises sqlite3.Error if there is nothing to read."""
    try:
        return _read_as(path, "mode=ro")
    except sqlite3.OperationalError:  # a read-only folder has no place for the -shm file
        return _read_as(path, "mode=ro&immutable=1")


def _read_as(path: Path, how: str) -> sqlite3.Connection:
    db = sqlite3.connect(
        f"{path.as_uri()}?{how}",
        uri=True,
        timeout=READ_BUSY_SECONDS,
        isolation_level=None,
        check_same_thread=False,
    )
    try:
        db.execute(SELECT, (b"",)).fetchone()
    except BaseException:
        db.close()
        raise
    return db


def close(db: sqlite3.Connection | None) -> None:
    """Close what is open."""
    if db is not None:
        db.close()


def _code(error: Exception) -> int:
    return getattr(error, "sqlite_errorcode", 0) & 0xFF


def is_corrupt(error: Exception) -> bool:
    """Whether the file is no database, or none any more."""
    return _code(error) in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)


def is_busy(error: Exception) -> bool:
    """Whether another process is writing."""
    return _code(error) in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)


def _move_aside(path: Path) -> Path:
    number = 1
    while (aside := path.with_name(f"{path.name}.corrupt-{number}")).exists():
        number += 1
    path.rename(aside)
    for suffix in ("-wal", "-shm"):
        beside = path.with_name(path.name + suffix)
        if beside.exists():
            beside.rename(aside.with_name(aside.name + suffix))
    return aside


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    fd = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX)
        yield
    finally:
        os.close(fd)
