"""What changed between two results of the same rollouts."""

from __future__ import annotations

from collections.abc import Iterator

from ..types import Record
from .result_row import ResultRow


class Flip(Record, frozen=True, kw_only=True):
    """One rollout whose verdict changed."""

    problem_idx: int
    repeat: int
    before: float | None
    """Reward; None where there was no verdict."""
    after: float | None
    extracted_before: str
    extracted_after: str
    expected: str
    response: str


class Flips(Record, frozen=True, kw_only=True):
    """All of one benchmark."""

    benchmark: str
    same: int
    up: int
    down: int
    gained: int
    """A verdict where there was none."""
    lost: int
    flips: tuple[Flip, ...]


def compare_verdicts(
    benchmark: str, before: Iterator[ResultRow], after: Iterator[ResultRow]
) -> Flips:
    """The flips between the rows of two results, both in (problem_idx, repeat) order."""
    counts = {"same": 0, "up": 0, "down": 0, "gained": 0, "lost": 0}
    flips = []
    for old, new in _pairs(before, after):
        earlier = old.reward if old is not None else None
        counts[_kind(earlier, new.reward)] += 1
        if earlier != new.reward:
            flips.append(_flip(old, new))
    return Flips(benchmark=benchmark, **counts, flips=tuple(flips))


def _pairs(
    before: Iterator[ResultRow], after: Iterator[ResultRow]
) -> Iterator[tuple[ResultRow | None, ResultRow]]:
    """Each row of ``after`` with the row of the same rollout, if there was one."""
    old = next(before, None)
    for new in after:
        while old is not None and old.key < new.key:
            old = next(before, None)
        yield (old if old is not None and old.key == new.key else None), new


def _flip(before: ResultRow | None, after: ResultRow) -> Flip:
    return Flip(
        problem_idx=after.problem_idx,
        repeat=after.repeat,
        before=before.reward if before else None,
        after=after.reward,
        extracted_before=str(before.extracted_answer if before else None),
        extracted_after=str(after.extracted_answer),
        expected=str(after.expected_answer),
        response=(after.model_response or "")[-200:],
    )


def _kind(before: float | None, after: float | None) -> str:
    if before == after:
        return "same"
    if before is None:
        return "gained"
    if after is None:
        return "lost"
    return "up" if after > before else "down"
