"""What a report shows of single rollouts: the first prompt, and some that are not right.

One pass over the files; right rollouts are passed over without reading their texts, and of the
others only as many are kept as are shown, with the number there are.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path

import msgspec

from ..files.reading import UNREADABLE, lines_of
from ..types import Outcome, Record
from .layout import RESULTS, UNSCORED
from .result_row import ResultRow, decode_row
from .rollout_filter import Kind, kind_of

SHOWN = 25
"""Rollouts of a kind that are kept."""


class Repeated(Record, frozen=True, kw_only=True):
    """A problem with the rewards of its repeats."""

    problem_idx: int
    prompt: str
    rewards: tuple[float | None, ...]


class Samples(Record, frozen=True, kw_only=True):
    """Single rollouts of a benchmark."""

    first: ResultRow | None = None
    """The first line: what a problem looks like."""
    shown: Mapping[Kind, tuple[ResultRow, ...]] = {}
    counts: Mapping[Kind, int] = {}
    repeated: tuple[Repeated, ...] = ()
    """The problems that were asked for, in the order asked."""


class _Details(msgspec.Struct):
    correct: bool | None = None


class _Head(msgspec.Struct):
    problem_idx: int
    outcome: Outcome
    reward: float | None
    scoring_details: _Details


_heads = msgspec.json.Decoder(_Head)


def collect_samples(folder: Path, problems: Collection[int] = ()) -> Samples:
    """The samples of a benchmark's folder; ``problems``: those whose repeats are wanted."""
    first: ResultRow | None = None
    shown: dict[Kind, list[ResultRow]] = {}
    counts: Counter[Kind] = Counter()
    wanted: dict[int, list[ResultRow]] = {problem: [] for problem in problems}
    for line in _lines(folder):
        head = _head(line)
        right = head is not None and _plainly_right(head)
        if right and first is not None and head is not None and head.problem_idx not in wanted:
            continue
        if (row := decode_row(line)) is None:
            continue
        first = first or row
        if row.problem_idx in wanted:
            wanted[row.problem_idx].append(row)
        kind = kind_of(row)
        if kind is not Kind.RIGHT:
            counts[kind] += 1
            if counts[kind] <= SHOWN:
                shown.setdefault(kind, []).append(row)
    return Samples(
        first=first,
        shown={kind: tuple(rows) for kind, rows in shown.items()},
        counts=dict(counts),
        repeated=tuple(_repeated(rows) for rows in wanted.values() if rows),
    )


def _lines(folder: Path) -> Iterator[bytes]:
    for path in (folder / RESULTS, folder / UNSCORED):
        yield from lines_of(path)


def _head(line: bytes) -> _Head | None:
    try:
        return _heads.decode(line)
    except UNREADABLE:
        return None


def _plainly_right(head: _Head) -> bool:
    is_correct = head.scoring_details.correct is True
    return is_correct and head.outcome is Outcome.SCORED and head.reward is not None


def _repeated(rows: list[ResultRow]) -> Repeated:
    rows = sorted(rows, key=lambda row: row.repeat)
    return Repeated(
        problem_idx=rows[0].problem_idx,
        prompt=rows[0].prompt or "",
        rewards=tuple(row.reward for row in rows),
    )
