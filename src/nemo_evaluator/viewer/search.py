"""What of a table is listed: filters, an order, words that are searched, one page at a time.

A query is the query string of a link, so that whatever is on the screen can be sent to somebody.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from ..reports.rollout import as_text
from ..results.result_row import ResultRow
from ..results.rollout_filter import Kind, kind_of
from .index import CELL, HEAD, Table
from .search_words import matches

PAGE = 50
SORTS = ("problem", "reward", "tokens", "latency", "cost", "calls")
"""Columns that rows can be ordered by."""
KINDS = (*(kind.value for kind in Kind), "truncated")
LABELS = ("right", "wrong", "unclear", "any")


@dataclass(frozen=True, slots=True)
class Query:
    """What is asked for."""

    words: str = ""
    kind: str = ""
    category: str = ""
    label: str = ""
    problem: int | None = None
    sort: str = "problem"
    down: bool = False
    page: int = 1

    @classmethod
    def of(cls, told: Mapping[str, str]) -> Query:
        """What a query string asks for; what is not known in it is left out."""
        sort, page = told.get("sort", ""), told.get("page", "")
        number = told.get("problem", "").strip()
        return cls(
            words=told.get("q", "").strip()[:500],
            kind=told["kind"] if told.get("kind") in KINDS else "",
            category=told.get("category", ""),
            label=told["label"] if told.get("label") in LABELS else "",
            problem=int(number) if re.fullmatch(r"-?\d{1,18}", number) else None,
            sort=sort if sort in SORTS else "problem",
            down=told.get("order") == "down",
            page=max(1, int(page)) if re.fullmatch(r"\d{1,9}", page) else 1,
        )

    def link(self, **changed: Any) -> str:
        """The query string of this query, with some of it changed."""
        new = replace(self, **changed)
        params = {
            "q": new.words,
            "kind": new.kind,
            "category": new.category,
            "label": new.label,
            "problem": "" if new.problem is None else new.problem,
            "sort": "" if new.sort == "problem" else new.sort,
            "order": "down" if new.down else "",
            "page": "" if new.page == 1 else new.page,
        }
        return urlencode({name: value for name, value in params.items() if value != ""})


@dataclass(frozen=True, slots=True)
class Listed:
    """One rollout in a list."""

    problem: int
    repeat: int
    kind: Kind
    outcome: str
    reward: float | None
    category: str | None
    failure: str | None
    truncated: bool
    tokens: int | None
    latency_ms: float | None
    cost_usd: float | None
    calls: int
    extracted: str
    expected: str
    prompt: str
    answer: str


@dataclass(frozen=True, slots=True)
class Page:
    """Some rollouts, of this many."""

    rows: tuple[Listed, ...]
    total: int | None
    """None before they were counted."""
    first: int
    """Number of the first one, from 1."""


Key = tuple[int, int]


def listed(
    table: Table,
    query: Query,
    labels: Mapping[Key, str],
    size: int = PAGE,
    *,
    first: int | None = None,
) -> Page:
    """A page of what a query finds; or ``size`` rows from ``first`` on. Raises ValueError for words
    that name nothing to search for."""
    start = (query.page - 1) * size if first is None else first
    statement, values = _statement(query, labels)
    db = table.connection()
    rows = db.execute(statement, (*values, size, start)).fetchall()
    total = rows[0][0]
    if start >= total and first is None and total:
        start = (total - 1) // size * size
        rows = db.execute(statement, (*values, size, start)).fetchall()
    return Page(tuple(_listed_row(row) for _, *row in rows if row[0] is not None), total, start + 1)


def _statement(query: Query, labels: Mapping[Key, str]) -> tuple[str, list[object]]:
    """The rows of a page after their number. What the words find is read once for both, and leads:
    looking each row of a filter up in it takes five times as long."""
    conditions = list(_conditions(query, labels))
    where = " AND ".join(text for text, _ in conditions) or "true"
    source = "texts t CROSS JOIN samples s ON s.id = t.rowid" if query.words else "samples s"
    kept = "MATERIALIZED" if query.words else "NOT MATERIALIZED"
    down = "DESC" if query.down else "ASC"
    order = f"problem {down}, repeat {down}"
    if query.sort != "problem":
        order = f"{query.sort} {down} NULLS LAST, problem, repeat"
    return (
        f"WITH found AS {kept} (SELECT s.id, s.problem, s.repeat, s.{query.sort} FROM {source}"
        f" WHERE {where}) SELECT n.total, s.problem, s.repeat, s.kind, s.outcome, s.reward,"
        " s.category, s.failure, s.truncated, s.tokens, s.latency, s.cost, s.calls, h.extracted,"
        " h.expected, h.prompt, h.answer FROM (SELECT count(*) AS total FROM found) n"
        " LEFT JOIN (SELECT id, row_number() OVER () AS number FROM"
        f" (SELECT id FROM found ORDER BY {order} LIMIT ? OFFSET ?)) page"
        " LEFT JOIN samples s ON s.id = page.id LEFT JOIN heads h ON h.id = page.id"
        " ORDER BY page.number"
    ), [value for _, some in conditions for value in some]


def first_rows(rows: Iterator[ResultRow], size: int = PAGE) -> Page:
    """The first rows of a run whose table is still being made."""
    found = tuple(
        Listed(
            problem=row.problem_idx,
            repeat=row.repeat,
            kind=kind_of(row),
            outcome=row.outcome.value,
            reward=row.reward,
            category=None if (group := row.metadata.get("category")) is None else str(group),
            failure=row.failure.value if row.failure is not None else None,
            truncated=row.truncated,
            tokens=row.tokens,
            latency_ms=row.latency_ms,
            cost_usd=row.cost_usd,
            calls=row.calls,
            extracted=as_text(row.extracted_answer)[:CELL],
            expected=as_text(row.expected_answer)[:CELL],
            prompt=(row.prompt or "")[:HEAD],
            answer=(row.model_response or row.error or "")[:HEAD],
        )
        for row in islice(rows, size)
    )
    return Page(found, None, 1)


def counts(table: Table) -> dict[str, int]:
    """How many rollouts are of each kind; ``truncated`` overlaps with the others."""
    db = table.connection()
    found: dict[str, int] = dict(db.execute("SELECT kind, count(*) FROM samples GROUP BY kind"))
    [cut] = db.execute("SELECT count(*) FROM samples WHERE truncated").fetchone()
    return {**found, "truncated": cut}


def categories(table: Table) -> list[str]:
    """The categories that problems have."""
    found = table.connection().execute(
        "SELECT DISTINCT category FROM samples WHERE category IS NOT NULL ORDER BY category"
    )
    return [name for (name,) in found]


def place_of(table: Table, problem: int, repeat: int) -> tuple[Path, int] | None:
    """The file and the place in it where a rollout's row stands."""
    found = table.connection().execute(
        "SELECT m.value, s.place FROM samples s JOIN meta m ON m.name = 'file ' || s.file"
        " WHERE s.problem = ? AND s.repeat = ?",
        (problem, repeat),
    )
    return next(((table.folder / name, place) for name, place in found), None)


def places_of(table: Table, what: str, problem: int, repeat: int) -> list[int]:
    """Where the lines of a rollout begin in another file (``what``) of the benchmark."""
    found = table.connection().execute(
        "SELECT place FROM lines WHERE what = ? AND problem = ? AND repeat = ? ORDER BY place",
        (what, problem, repeat),
    )
    return [place for (place,) in found]


def _conditions(
    query: Query, labels: Mapping[Key, str]
) -> Iterator[tuple[str, Collection[object]]]:
    if query.words:
        if (wanted := matches(query.words)) is None:
            raise ValueError(query.words)
        yield "texts MATCH ?", (wanted,)
    if query.kind == "truncated":
        yield "s.truncated", ()
    elif query.kind:
        yield "s.kind = ?", (query.kind,)
    if query.category:
        yield "s.category = ?", (query.category,)
    if query.problem is not None:
        yield "s.problem = ?", (query.problem,)
    if query.label:
        keys = [key for key, label in labels.items() if query.label in ("any", label)]
        values = ", ".join(f"({problem}, {repeat})" for problem, repeat in keys)
        yield (f"(s.problem, s.repeat) IN (VALUES {values})" if keys else "0"), ()


def _listed_row(row: Sequence[Any]) -> Listed:
    problem, repeat, kind, *rest = row
    listed = Listed(problem, repeat, Kind(kind), *rest)
    return replace(listed, truncated=bool(listed.truncated))
