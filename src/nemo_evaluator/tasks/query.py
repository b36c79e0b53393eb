"""SQL over the files of runs: what `nel query` does.

A statement is prepared on empty tables first: that tells which columns it reads, and only those are
loaded, into a private database that ends with the command. SQLite asks before everything a
statement does, and is allowed to select and nothing else: no statement can write, or read a file.
"""

from __future__ import annotations

import math
import re
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from ..errors import ConfigError, suggest
from ..results.tables import TABLES, Cell, Column, ColumnType, Table
from ..results.view import RunView

TYPES = {
    ColumnType.TEXT: "TEXT",
    ColumnType.JSON: "TEXT",
    ColumnType.INTEGER: "INTEGER",
    ColumnType.REAL: "REAL",
    ColumnType.BOOLEAN: "INTEGER",
}
SELECTING = (sqlite3.SQLITE_SELECT, sqlite3.SQLITE_READ, sqlite3.SQLITE_FUNCTION, 33)
"""33: a recursive common table expression."""
REFUSED = ("load_extension", "readfile", "writefile", "edit")
CACHE_KB = 256 << 10
STEPS = 100_000
"""Steps of SQLite after which an interrupt is noticed."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What a statement gives."""

    columns: tuple[str, ...]
    rows: Iterator[tuple[Cell, ...]]


@dataclass(slots=True)
class _Read:
    """What a statement reads: the columns of each table."""

    columns: dict[str, set[str]] = field(default_factory=dict)
    denied: bool = False

    def authorize(
        self, action: int, first: str | None, second: str | None, *_rest: str | None
    ) -> int:
        """Whether SQLite may do something; what is read is noted."""
        if action == sqlite3.SQLITE_READ and first is not None and first in TABLES:
            self.columns.setdefault(first, set()).add(second or "")
        allowed = action in SELECTING and second not in REFUSED
        self.denied = self.denied or not allowed
        return sqlite3.SQLITE_OK if allowed else sqlite3.SQLITE_DENY


def query(sql: str, runs: Sequence[RunView]) -> Iterator[Answer]:
    """The answer to a statement over all of some runs; valid while it is iterated. Raises
    ConfigError for a statement that is none, or that does more than select."""
    with closing(sqlite3.connect("", isolation_level=None)) as database:
        # What does not fit into the cache is put into a file without a name.
        database.executescript(
            f"PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF; PRAGMA cache_size = -{CACHE_KB}"
        )
        wrong: list[str] = []
        _functions(database, wrong)
        for table in TABLES.values():
            columns = ", ".join(f'"{column.name}" {TYPES[column.type]}' for column in table.columns)
            database.execute(f"CREATE TABLE {table.name} ({columns})")
        read = _prepared(database, sql)
        for name, names in read.columns.items():
            _load(database, TABLES[name], names, runs)
        database.set_authorizer(_Read().authorize)
        database.set_progress_handler(lambda: 0, STEPS)
        try:
            cursor = database.execute(sql)
            described = cursor.description or ()
            yield Answer(tuple(column[0] for column in described), _rows(cursor, wrong))
        except sqlite3.Error as error:
            raise _wrong(error, wrong) from None


def _rows(cursor: sqlite3.Cursor, wrong: Sequence[str]) -> Iterator[tuple[Cell, ...]]:
    try:
        yield from cursor
    except sqlite3.Error as error:
        raise _wrong(error, wrong) from None


def _prepared(database: sqlite3.Connection, sql: str) -> _Read:
    """What a statement reads. Raises ConfigError."""
    read = _Read()
    database.set_authorizer(read.authorize)
    try:
        database.text_factory = bytes  # the program holds the statement's constants as they are
        program = database.execute(f"EXPLAIN {sql}").fetchall()
    except (sqlite3.Error, sqlite3.Warning, ValueError) as error:
        raise _wrong(error, denied=read.denied) from None
    finally:
        database.text_factory = str
    if not re.match(r"\s*(select|with|values)\b", _without_comments(sql), re.IGNORECASE):
        raise _wrong(sqlite3.Error("it selects nothing"), denied=True)
    database.set_authorizer(None)
    for table, column in _opened(database, program):
        read.columns.setdefault(table, set()).add(column)
    return read


def _opened(
    database: sqlite3.Connection, program: Sequence[tuple[Any, ...]]
) -> Iterator[tuple[str, str]]:
    """The columns that a program reads. SQLite does not ask for those that a join implies."""
    pages = dict(database.execute("SELECT rootpage, name FROM sqlite_schema"))
    cursors = {op[2]: pages[op[3]] for op in program if op[1] == b"OpenRead" and op[3] in pages}
    for op in program:
        if op[1] == b"Column" and op[2] in cursors:
            table = TABLES[cursors[op[2]]]
            yield table.name, table.columns[op[3]].name


def _without_comments(sql: str) -> str:
    return re.sub(r"/\*.*?\*/|--[^\n]*", " ", sql, flags=re.DOTALL)


def _wrong(error: Exception, functions: Sequence[str] = (), *, denied: bool = False) -> ConfigError:
    """What is wrong with a statement, with the names that there are; ``functions`` is what our own
    said."""
    text = functions[0] if functions else str(error)
    if text == "interrupted":  # by a signal, whose exception SQLite has swallowed
        raise KeyboardInterrupt
    if denied:
        return ConfigError("a query may select, and nothing else", where="SQL")
    hint = None
    if found := re.fullmatch(r"no such table: (.+)", text):
        hint = suggest(found[1], list(TABLES))
    elif found := re.fullmatch(r"no such column: (?:\w+\.)?(.+)", text):
        names = {column.name: None for table in TABLES.values() for column in table.columns}
        close = suggest(found[1], list(names))
        hint = f"nel query --tables lists the columns; a text stands in quotes: '{found[1]}'"
        hint = hint if close.startswith("known:") else f"{close}; {hint}"
    return ConfigError(text, where="SQL", hint=hint)


def _load(
    database: sqlite3.Connection, table: Table[Any], names: set[str], runs: Sequence[RunView]
) -> None:
    """Load some columns of a table; where only lines are counted, the first."""
    columns: tuple[Column[Any], ...] = table.only(frozenset(names)) or table.columns[:1]
    cells = [column.cell for column in columns]
    listed = ", ".join(f'"{column.name}"' for column in columns)
    marks = ", ".join("?" * len(columns))
    texts = any(column.type in (ColumnType.TEXT, ColumnType.JSON) for column in columns)
    lines = (tuple([cell(one) for cell in cells]) for run in runs for one in table.records(run))
    database.execute("BEGIN")
    database.executemany(
        f"INSERT INTO {table.name} ({listed}) VALUES ({marks})",
        map(_encodable, lines) if texts else lines,
    )
    database.execute("COMMIT")


def _encodable(line: tuple[Cell, ...]) -> tuple[Cell, ...]:
    """Without halves of characters, which are no UTF-8."""
    try:
        for cell in line:
            if isinstance(cell, str) and not cell.isascii():
                cell.encode()
    except UnicodeEncodeError:
        return tuple(
            cell.encode(errors="replace").decode() if isinstance(cell, str) else cell
            for cell in line
        )
    return line


class _Values:
    """An aggregate of numbers; what is wrong with its arguments is noted, as SQLite drops it."""

    def __init__(self, wrong: list[str]) -> None:
        self.values: list[float] = []
        self.share = 0.5
        self._wrong = wrong

    def step(self, value: Cell, share: Cell = 0.5) -> None:
        """Take a value; what is missing is left out, as SQL does."""
        for number in (value, share):
            if isinstance(number, str | bytes):
                self._wrong.append(f"median, quantile and stddev take numbers (got {number!r:.60})")
                raise ValueError
        if isinstance(share, int | float):
            self.share = share
        if isinstance(value, int | float):
            self.values.append(float(value))

    def quantile(self) -> float | None:
        """The value below which a share of the values lies, between two where it falls there."""
        if not self.values or not 0 <= self.share <= 1:
            return None
        ordered = sorted(self.values)
        place = self.share * (len(ordered) - 1)
        low = math.floor(place)
        high = min(low + 1, len(ordered) - 1)
        return ordered[low] + (ordered[high] - ordered[low]) * (place - low)

    def spread(self) -> float | None:
        """The standard deviation of a sample."""
        if len(self.values) < 2:
            return None
        mean = math.fsum(self.values) / len(self.values)
        squares = math.fsum((value - mean) ** 2 for value in self.values)
        return math.sqrt(squares / (len(self.values) - 1))


class _Quantile(_Values):
    finalize = _Values.quantile


class _Stddev(_Values):
    finalize = _Values.spread


def _functions(database: sqlite3.Connection, wrong: list[str]) -> None:
    """What SQLite lacks: ``median``, ``quantile``, ``stddev``, and ``REGEXP``. They say in
    ``wrong`` what they are given and cannot take."""
    aggregates: list[tuple[str, int, Any]] = [
        ("median", 1, _Quantile),
        ("quantile", 2, _Quantile),
        ("stddev", 1, _Stddev),
    ]
    for name, arguments, aggregate in aggregates:
        database.create_aggregate(name, arguments, partial(aggregate, wrong))
    database.create_function("regexp", 2, partial(_matches, wrong), deterministic=True)
    with suppress(sqlite3.OperationalError):  # first used, they declare themselves: no select
        database.execute("SELECT 1 FROM json_each('[]'), json_tree('[]')")


def _matches(wrong: list[str], pattern: Cell, text: Cell) -> bool | None:
    """``text REGEXP pattern``."""
    try:
        return None if text is None else re.search(str(pattern), str(text)) is not None
    except (re.error, RecursionError, OverflowError) as error:
        wrong.append(f"REGEXP {str(pattern)!r:.80}: {error}")
        raise
