"""Which problems went from right to wrong, and which the other way, with both answers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

import numpy as np

from ..types import Json, Record
from .metrics import ROUNDING, correctness
from .pairing import Pairs
from .rollouts import Bools, Floats, Ints, Rollouts

PREVIEW = 80
QUESTION = 200


class Flip(Record, frozen=True, kw_only=True):
    """One problem that changed sides."""

    problem_idx: int
    repeat: int
    baseline_reward: float
    """Mean over the repeats."""
    candidate_reward: float
    expected_answer: Json = None
    category: str | None = None
    question: str | None = None
    """The prompt, shortened to 200 characters."""
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


def right_sides(
    pairs: Pairs, baseline: Rollouts, candidate: Rollouts, *, correct_above: float = 0.0
) -> tuple[Bools, Bools]:
    """Which of the paired problems each side has right: those whose mean reward is above
    ``correct_above`` or, where the run says which answers are correct, those with a correct one
    among their repeats."""
    return (
        _right(pairs.problems, baseline, correct_above),
        _right(pairs.problems, candidate, correct_above),
    )


def _right(problems: Ints, rollouts: Rollouts, correct_above: float) -> Bools:
    values, above = rollouts.rewards, correct_above
    if not np.isnan(rollouts.correct).all():
        values, above = correctness(rollouts, correct_above=correct_above), 0.0
    found: Bools = _means(problems, rollouts, values) > above + ROUNDING
    return found


def _means(problems: Ints, rollouts: Rollouts, values: Floats) -> Floats:
    """The mean of each of the problems over its rollouts with a value."""
    kept = np.flatnonzero(~np.isnan(values) & np.isin(rollouts.problems, problems))
    at = np.searchsorted(problems, rollouts.problems[kept])
    sums = np.bincount(at, weights=values[kept], minlength=len(problems))
    counts = np.bincount(at, minlength=len(problems))
    return np.asarray(sums / np.maximum(counts, 1), dtype=np.float64)


def flip_report(
    pairs: Pairs, baseline: Rollouts, candidate: Rollouts, right: tuple[Bools, Bools]
) -> FlipReport:
    """The problems that are right on one side only, by ``right_sides``."""
    one, other = right
    means = tuple(
        _means(pairs.problems, side, side.rewards).tolist() for side in (baseline, candidate)
    )
    lost, won = np.flatnonzero(one & ~other), np.flatnonzero(~one & other)
    regressions = [_flip(pairs, baseline, candidate, int(i), means, worse=True) for i in lost]
    improvements = [_flip(pairs, baseline, candidate, int(i), means, worse=False) for i in won]
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


def _flip(
    pairs: Pairs,
    baseline: Rollouts,
    candidate: Rollouts,
    i: int,
    means: tuple[list[float], ...],
    *,
    worse: bool,
) -> Flip:
    at = _telling(baseline, int(pairs.baseline_rows[i]), best=worse)
    other_at = _telling(candidate, int(pairs.candidate_rows[i]), best=not worse)
    row, other = baseline.row(at), candidate.row(other_at)
    expected = row.get("expected_answer")
    return Flip(
        problem_idx=int(pairs.problems[i]),
        repeat=int(baseline.repeats[at]),
        baseline_reward=means[0][i],
        candidate_reward=means[1][i],
        expected_answer=_short(expected) if isinstance(expected, str) else expected,
        category=pairs.categories[i],
        question=_question(row) or _question(other),
        baseline_response=answer_text(row),
        candidate_response=answer_text(other),
        baseline_answer=_extracted(row),
        candidate_answer=_extracted(other),
        scoring_details=row.get("scoring_details"),
        candidate_scoring_details=other.get("scoring_details"),
    )


def _telling(rollouts: Rollouts, first: int, *, best: bool) -> int:
    """The repeat that shows a change: of a problem's repeats from ``first`` on the first one with
    the best, or worst, reward; a correct one, or one that is not, where the run says so."""
    end = _end(rollouts, first)
    if end == first + 1:
        return first
    rewards, correct = rollouts.rewards[first:end], rollouts.correct[first:end]
    correct = np.where(np.isnan(rewards), np.nan, correct)
    values = rewards if np.isnan(correct).all() else correct
    return first + int(np.nanargmax(values) if best else np.nanargmin(values))


def _end(rollouts: Rollouts, first: int) -> int:
    return int(np.searchsorted(rollouts.problems, rollouts.problems[first], side="right"))


def answer_text(row: Mapping[str, object]) -> str | None:
    """The response of a line, or what was extracted where it has none, in one short line."""
    for name in ("model_response", "extracted_answer"):
        value = row.get(name)
        if value not in (None, ""):
            return _short(str(value))
    return None


def _question(row: Mapping[str, object]) -> str | None:
    value = row.get("prompt")
    return _short(value, QUESTION) if isinstance(value, str) and value else None


def _extracted(row: Mapping[str, object]) -> str | None:
    value = row.get("extracted_answer")
    return None if value is None else _short(str(value))


def _short(text: str, most: int = PREVIEW) -> str:
    return text if len(text) <= most else text[: most - 3] + "..."
