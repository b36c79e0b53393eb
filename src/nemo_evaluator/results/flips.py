"""What changed between two results of the same rollouts."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ..types import Record
from .layout import RESULTS
from .traffic import calls as rows


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


def compare_verdicts(before: Path, after: Path) -> Flips:
    """The flips between the ``results.jsonl`` of two benchmark folders."""
    old = {(row["problem_idx"], row["repeat"]): row for row in rows(before / RESULTS)}
    found = [
        (old.get((row["problem_idx"], row["repeat"]), {}), row) for row in rows(after / RESULTS)
    ]
    counts = {"same": 0, "up": 0, "down": 0, "gained": 0, "lost": 0}
    for a, b in found:
        counts[_kind(a.get("reward"), b.get("reward"))] += 1
    return Flips(benchmark=after.name, **counts, flips=tuple(_flips(found)))


def _flips(pairs: list[tuple[dict[str, Any], dict[str, Any]]]) -> Iterator[Flip]:
    for before, after in pairs:
        if before.get("reward") != after.get("reward"):
            yield Flip(
                problem_idx=after["problem_idx"],
                repeat=after["repeat"],
                before=before.get("reward"),
                after=after.get("reward"),
                extracted_before=str(before.get("extracted_answer")),
                extracted_after=str(after.get("extracted_answer")),
                expected=str(after.get("expected_answer")),
                response=str(after.get("model_response") or "")[-200:],
            )


def _kind(before: float | None, after: float | None) -> str:
    if before == after:
        return "same"
    if before is None:
        return "gained"
    if after is None:
        return "lost"
    return "up" if after > before else "down"
