"""Which problems went from right to wrong, and which the other way, with both answers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

import numpy as np

from ..types import Json, Record
from .pairing import Pairs
from .rollouts import Rollouts

PREVIEW = 80


class Flip(Record, frozen=True, kw_only=True):
    """One problem that changed sides."""

    problem_idx: int
    repeat: int
    baseline_reward: float
    """Mean over the repeats."""
    candidate_reward: float
    expected_answer: Json = None
    category: str | None = None
    baseline_response: str | None = None
    """Shortened to 80 characters; of several repeats that in which the change shows most."""
    candidate_response: str | None = None
    baseline_answer: str | None = None
    """What was extracted from that response."""
    candidate_answer: str | None = None
    scoring_details: Json = None
    """The baseline's."""
    candidate_scoring_details: Json = None


class Contingency(Record, frozen=True, kw_only=True):
    """Problems by who was right."""

    both_correct: int
    baseline_only_correct: int
    candidate_only_correct: int
    both_wrong: int


class FlipReport(Record, frozen=True, kw_only=True):
    """All flips."""

    contingency: Contingency
    regressions: tuple[Flip, ...]
    improvements: tuple[Flip, ...]
    categories: Mapping[str, Mapping[str, int]]
    """Category → regressions, improvements; where there are any."""

    @property
    def n_paired(self) -> int:
        """Problems on both sides."""
        c = self.contingency
        flipped = c.baseline_only_correct + c.candidate_only_correct
        return c.both_correct + c.both_wrong + flipped


def flip_report(
    pairs: Pairs, baseline: Rollouts, candidate: Rollouts, *, correct_above: float = 0.0
) -> FlipReport:
    """Right is a mean reward above ``correct_above``."""
    one, other = pairs.baseline > correct_above, pairs.candidate > correct_above
    lost, won = np.flatnonzero(one & ~other), np.flatnonzero(~one & other)
    regressions = [_flip(pairs, baseline, candidate, int(i), worse=True) for i in lost]
    improvements = [_flip(pairs, baseline, candidate, int(i), worse=False) for i in won]
    categories: dict[str, Counter[str]] = {}
    for name, flips in (("regressions", regressions), ("improvements", improvements)):
        for flip in flips:
            if flip.category is not None:
                categories.setdefault(flip.category, Counter())[name] += 1
    return FlipReport(
        contingency=Contingency(
            both_correct=int((one & other).sum()),
            baseline_only_correct=len(regressions),
            candidate_only_correct=len(improvements),
            both_wrong=int((~one & ~other).sum()),
        ),
        regressions=tuple(regressions),
        improvements=tuple(improvements),
        categories={
            name: {key: counts[key] for key in ("regressions", "improvements")}
            for name, counts in sorted(categories.items())
        },
    )


def _flip(pairs: Pairs, baseline: Rollouts, candidate: Rollouts, i: int, *, worse: bool) -> Flip:
    at = _telling(baseline, int(pairs.baseline_rows[i]), best=worse)
    other_at = _telling(candidate, int(pairs.candidate_rows[i]), best=not worse)
    row, other = baseline.row(at), candidate.row(other_at)
    expected = row.get("expected_answer")
    return Flip(
        problem_idx=int(pairs.problems[i]),
        repeat=int(baseline.repeats[at]),
        baseline_reward=float(pairs.baseline[i]),
        candidate_reward=float(pairs.candidate[i]),
        expected_answer=_short(expected) if isinstance(expected, str) else expected,
        category=pairs.categories[i],
        baseline_response=answer_text(row),
        candidate_response=answer_text(other),
        baseline_answer=_extracted(row),
        candidate_answer=_extracted(other),
        scoring_details=row.get("scoring_details"),
        candidate_scoring_details=other.get("scoring_details"),
    )


def _telling(rollouts: Rollouts, first: int, *, best: bool) -> int:
    """Of a problem's repeats from ``first`` on the first one with the best, or worst, reward."""
    end = int(np.searchsorted(rollouts.problems, rollouts.problems[first], side="right"))
    rewards = rollouts.rewards[first:end]
    return first + int(np.nanargmax(rewards) if best else np.nanargmin(rewards))


def answer_text(row: Mapping[str, Any]) -> str | None:
    """The response of a line, or what was extracted where it has none, in one short line."""
    for name in ("model_response", "extracted_answer"):
        value = row.get(name)
        if value not in (None, ""):
            return _short(str(value))
    return None


def _extracted(row: Mapping[str, Any]) -> str | None:
    value = row.get("extracted_answer")
    return None if value is None else _short(str(value))


def _short(text: str) -> str:
    return text if len(text) <= PREVIEW else text[: PREVIEW - 3] + "..."
