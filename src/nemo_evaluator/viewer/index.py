"""A table of all rollouts of one benchmark: made from the run's files, filtered and searched.

An SQLite file in the user's cache, never in the run. It holds what a list shows and where each line
begins in the run's files; texts stay there. It is made of one state of the files: when they change,
another one is made. Rows can be listed a moment before all of their texts can be searched.
"""

from __future__ import annotations

import contextlib
import hashlib
import logging
import os
import sqlite3
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import msgspec

from ..files.reading import UNREADABLE, open_regular, read_lines
from ..reports.rollout import as_text
from ..results.layout import RESULTS, TRAFFIC, TRAJECTORIES, UNSCORED
from ..results.result_row import MOST, Index, ResultRow, decode_row, read_key
from ..results.rollout_filter import kind_of
from .search_words import searchable, sound

FORMAT = 3
"""Changes where the table does, so that tables of other versions are not read."""
HEAD = 300
"""Characters of a text in a list."""
CELL = 120
CHUNK = 500
KEPT_SECONDS = 30 * 86400
"""Tables that were not used for this long are removed."""
OTHERS_SECONDS = 3600.0
"""Those of another viewer, of earlier states of the same files, after this long."""
SOURCES = (RESULTS, UNSCORED)
LONGEST = 1 << 31
"""Bytes of a line; the trajectory of an agent may be long."""

log = logging.getLogger("nemo_evaluator.viewer")

SCHEMA = """
CREATE TABLE meta (name TEXT PRIMARY KEY, value TEXT);
CREATE TABLE samples (
  id INTEGER PRIMARY KEY, problem INTEGER, repeat INTEGER, kind TEXT, outcome TEXT, reward REAL,
  category TEXT, failure TEXT, truncated INTEGER, tokens INTEGER, latency REAL, cost REAL,
  calls INTEGER, file INTEGER, place INTEGER
);
CREATE TABLE heads (
  id INTEGER PRIMARY KEY, extracted TEXT, expected TEXT, prompt TEXT, answer TEXT
);
CREATE TABLE lines (what TEXT, problem INTEGER, repeat INTEGER, place INTEGER);
CREATE VIRTUAL TABLE texts USING fts5 (
  prompt, answer, reasoning, extracted, expected, error, content = '',
  tokenize = "unicode61 remove_diacritics 2"
);
"""
INDEXES = """
CREATE INDEX samples_key ON samples (problem, repeat);
CREATE INDEX samples_kind ON samples (kind);
CREATE INDEX samples_category ON samples (category);
CREATE INDEX lines_key ON lines (problem, repeat, what);
"""


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a table is."""

    listed: bool
    """All rows are in it."""
    searchable: bool
    """Their texts can be searched."""
    share: float
    """Part of the files that was read."""
    error: str = ""


class Table:
    """The table of one state of a benchmark's files, made in the background."""

    def __init__(self, folder: Path, cache: Path, stamp: str) -> None:
        self.folder, self.stamp = folder, stamp
        name = hashlib.blake2b(str(folder.resolve()).encode("utf-8", "surrogateescape"))
        self._stem = name.hexdigest()[:24]
        self._cache = cache
        self.path = cache / f"{self._stem}-{stamp}-{os.getpid()}.sqlite"
        self._progress = Progress(listed=False, searchable=False, share=0.0)
        self._listed = threading.Event()
        self._local = threading.local()

    @property
    def progress(self) -> Progress:
        """How far the index is."""
        return self._progress

    def start(self) -> None:
        """Make the index, unless an earlier viewer has."""
        whole = self._cache.glob(f"{self._stem}-{self.stamp}-*.sqlite")
        if (found := next(filter(_is_complete, whole), None)) is not None:
            self.path = found
            with contextlib.suppress(OSError):
                os.utime(found)
            self._progress = Progress(listed=True, searchable=True, share=1.0)
            self._listed.set()
            return
        threading.Thread(target=self._make, name="nel-view-index", daemon=True).start()

    def is_lost(self) -> bool:
        """Whether somebody has emptied the cache."""
        return self._progress.listed and not self.path.exists()

    def wait(self, seconds: float) -> bool:
        """Wait until its rows can be listed, for this long at most."""
        return self._listed.wait(seconds)

    def connection(self) -> sqlite3.Connection:
        """A connection of the calling thread."""
        found: sqlite3.Connection | None = getattr(self._local, "connection", None)
        if found is None:
            found = sqlite3.connect(f"file:{self.path}?mode=ro", uri=True)
            found.execute("PRAGMA mmap_size = 268435456")
            self._local.connection = found
        return found

    def _make(self) -> None:
        try:
            self._remove_others()
            self.path.unlink(missing_ok=True)
            with contextlib.closing(sqlite3.connect(self.path)) as db:
                self._fill(db)
        except Exception as error:  # of whatever a file holds: the page says why there are no rows
            log.warning("%s: its rows cannot be listed: %r", self.folder, error)
            self._progress = Progress(listed=False, searchable=False, share=0.0, error=str(error))
        finally:
            self._listed.set()

    def _fill(self, db: sqlite3.Connection) -> None:
        db.execute("PRAGMA journal_mode = WAL")
        db.execute("PRAGMA synchronous = OFF")
        db.executescript(SCHEMA)
        files = [path for name in SOURCES if (path := self.folder / name).is_file()]
        whole = sum(path.stat().st_size for path in files) or 1
        begun = 0
        for number, path in enumerate(files):
            for rows in _chunks(_rows(path)):
                _insert(db, number, rows)
                self._progress = Progress(
                    listed=False, searchable=False, share=(begun + rows[-1][0]) / whole / 2
                )
            begun += path.stat().st_size
        db.executescript(INDEXES)
        db.executemany("INSERT INTO meta VALUES (?, ?)", _files(files))
        db.commit()
        self._progress = Progress(listed=True, searchable=False, share=0.5)
        self._listed.set()
        self._fill_lines(db)
        self._fill_texts(db, files, whole)
        db.execute("INSERT INTO meta VALUES ('complete', ?)", (str(FORMAT),))
        db.commit()
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        self._progress = Progress(listed=True, searchable=True, share=1.0)

    def _fill_lines(self, db: sqlite3.Connection) -> None:
        for name in (TRAJECTORIES, TRAFFIC):
            path = self.folder / name
            if path.is_file():
                db.executemany("INSERT INTO lines VALUES (?, ?, ?, ?)", _places(path, name))
                db.commit()

    def _fill_texts(self, db: sqlite3.Connection, files: list[Path], whole: int) -> None:
        begun = 0
        for number, path in enumerate(files):
            for rows in _chunks(_rows(path)):
                db.executemany(
                    "INSERT INTO texts (rowid, prompt, answer, reasoning, extracted, expected,"
                    " error) SELECT id, ?, ?, ?, ?, ?, ? FROM samples"
                    " WHERE problem = ? AND repeat = ? AND file = ? AND place = ?",
                    ((*_texts(row), *row.key, number, place) for place, row in rows),
                )
                share = 0.5 + (begun + rows[-1][0]) / whole / 2
                self._progress = Progress(listed=True, searchable=False, share=share)
                db.commit()
            begun += path.stat().st_size

    def _remove_others(self) -> None:
        """Tables of earlier states of the same files, and those that were not used for long. What
        another viewer made a short while ago, it may still read or write."""
        self._cache.mkdir(parents=True, exist_ok=True, mode=0o700)
        for path in self._cache.glob("*.sqlite*"):
            with contextlib.suppress(OSError):
                age = time.time() - path.stat().st_mtime
                same = path.name.startswith(f"{self._stem}-")
                mine = f"-{os.getpid()}.sqlite" in path.name
                if age > KEPT_SECONDS or (same and (mine or age > OTHERS_SECONDS)):
                    path.unlink()


def _is_complete(path: Path) -> bool:
    try:
        with contextlib.closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as db:
            found = db.execute("SELECT value FROM meta WHERE name = 'complete'").fetchone()
    except sqlite3.Error:
        return False
    return bool(found == (str(FORMAT),))


class Tables:
    """The tables of a viewer, one for each benchmark that was looked at."""

    def __init__(self, cache: Path) -> None:
        self.cache = cache
        self._tables: dict[Path, Table] = {}
        self._lock = threading.Lock()

    def of(self, folder: Path) -> Table:
        """The table of a benchmark's folder, begun if there is none of its files as they are."""
        stamp = stamp_of(folder)
        with self._lock:
            table = self._tables.get(folder)
            if table is None or table.stamp != stamp or table.is_lost():
                table = self._tables[folder] = Table(folder, self.cache, stamp)
                table.start()
            return table


def stamp_of(folder: Path) -> str:
    """A digest of the sizes and times of the files that a table is made of."""
    parts = [str(FORMAT)]
    for name in (*SOURCES, TRAJECTORIES, TRAFFIC):
        with contextlib.suppress(OSError):
            found = (folder / name).stat()
            parts.append(f"{name} {found.st_size} {found.st_mtime_ns}")
    return hashlib.blake2b("\n".join(parts).encode(), digest_size=8).hexdigest()


def row_at(path: Path, place: int) -> ResultRow | None:
    """The row that begins at a place of a file; None where there is none any more."""
    return decode_row(line_at(path, place))


def line_at(path: Path, place: int) -> bytes:
    """The line that begins at a place of a file; empty where the file has become shorter."""
    with open_regular(path) as file:
        file.seek(place)
        for _, line in read_lines(file, limit=LONGEST):
            return line
    return b""


def _rows(path: Path) -> Iterator[tuple[int, ResultRow]]:
    with open_regular(path) as file:
        for place, line in read_lines(file):
            if (row := decode_row(line)) is not None:
                yield place, row


def _chunks(rows: Iterator[tuple[int, ResultRow]]) -> Iterator[list[tuple[int, ResultRow]]]:
    while chunk := list(islice(rows, CHUNK)):
        yield chunk


def _insert(db: sqlite3.Connection, file: int, rows: list[tuple[int, ResultRow]]) -> None:
    for place, row in rows:
        category = row.metadata.get("category")
        cursor = db.execute(
            "INSERT INTO samples (problem, repeat, kind, outcome, reward, category, failure,"
            " truncated, tokens, latency, cost, calls, file, place)"
            " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (
                row.problem_idx,
                row.repeat,
                kind_of(row).value,
                row.outcome.value,
                row.reward,
                None if category is None else sound(str(category)),
                row.failure.value if row.failure is not None else None,
                row.truncated,
                _bounded(row.tokens),
                row.wall_ms if row.wall_ms is not None else row.latency_ms,
                row.cost_usd,
                _bounded(row.calls),
                file,
                place,
            ),
        )
        db.execute(
            "INSERT INTO heads VALUES (?, ?, ?, ?, ?)",
            (
                cursor.lastrowid,
                sound(as_text(row.extracted_answer)[:CELL]),
                sound(as_text(row.expected_answer)[:CELL]),
                sound((row.prompt or "")[:HEAD]),
                sound((row.model_response or row.error or "")[:HEAD]),
            ),
        )


def _files(files: list[Path]) -> list[tuple[str, str]]:
    return [(f"file {number}", path.name) for number, path in enumerate(files)]


def _places(path: Path, name: str) -> Iterator[tuple[str, int, int, int]]:
    with open_regular(path) as file:
        for place, line in read_lines(file, limit=LONGEST):
            if (key := _key(line, name)) is not None:
                yield name, *key, place


class _Key(msgspec.Struct):
    problem_idx: Index = -1
    repeat: Index = 0


_keys = msgspec.json.Decoder(_Key)


def _key(line: bytes, name: str) -> tuple[int, int] | None:
    """Which rollout a line is of."""
    if name == TRAJECTORIES:
        return read_key(line)
    try:
        found = _keys.decode(line)
    except UNREADABLE:
        return None
    return (found.problem_idx, found.repeat) if found.problem_idx >= 0 else None


def _texts(row: ResultRow) -> tuple[str, ...]:
    texts = (
        row.prompt or "",
        row.model_response or "",
        row.reasoning or "",
        as_text(row.extracted_answer),
        as_text(row.expected_answer),
        row.error or "",
    )
    return tuple(searchable(sound(text)) for text in texts)


def _bounded(number: int | None) -> int | None:
    """A number that can be stored."""
    return None if number is None else max(-MOST, min(number, MOST))
