"""Why a difference may not be what it seems, though its interval is right. Nothing passes with a
doubt: each is named in the reasons of a verdict."""

from __future__ import annotations

import enum
import math
from collections.abc import Iterator, Mapping

import numpy as np

from ..config.gate_policy import MAX_TRUNCATION
from ..types import Record
from .categories import CategoryDelta
from .damage import LEVEL
from .metrics import Metric, correctness
from .pairing import Pairs, PerProblem
from .rollouts import Rollouts
from .sources import Source

CLOSE = 0.005
"""A published score and one recomputed from the rows may differ by this much of rounding."""
FEW = 6
"""Of fewer categories even all of them falling is what chance gives."""


class DoubtKind(enum.StrEnum):
    """What a doubt is about."""

    TRUNCATED = "truncated"
    """Answers were cut off: the score is one of the length limit."""
    CATEGORY = "category"
    """A category fell beyond the limit."""
    MOST_CATEGORIES = "most_categories"
    """Nearly all categories fell."""
    MIXTURE = "mixture"
    """The whole went one way, every category the other (Simpson)."""
    BUNDLE = "bundle"
    """A bundle does not say what its rows say."""


class Doubt(Record, frozen=True, kw_only=True, omit_defaults=False):
    """One doubt."""

    kind: DoubtKind
    text: str


def doubts_about(
    baseline: Source,
    candidate: Source,
    pairs: Pairs,
    metric: Metric,
    categories: Mapping[str, CategoryDelta],
) -> tuple[Doubt, ...]:
    """All doubts about a difference."""
    return (
        *_bundles(baseline, candidate, pairs, metric),
        *_truncated(pairs.candidate_side),
        *_categories(categories, metric),
        *_mixture(baseline, candidate, pairs, metric),
    )


def _bundles(baseline: Source, candidate: Source, pairs: Pairs, metric: Metric) -> Iterator[Doubt]:
    if metric.macro or metric.k > 1 or not metric.score:
        return
    for name, source, side in (
        ("baseline", baseline, pairs.baseline_side),
        ("candidate", candidate, pairs.candidate_side),
    ):
        published_score = source.value(metric.name) if source.counted is None else None
        if published_score is None or not side.scored or source.rollouts is None:
            continue
        low, high = _recomputed(source.rollouts, side, metric)
        close = CLOSE * max(1.0, abs(high))
        if not low - close <= published_score[0] <= high + close:
            says = f"says {metric.name} {published_score[0]:.4f}"
            text = f"the bundle of the {name} {says}, its rows say "
            yield Doubt(kind=DoubtKind.BUNDLE, text=f"{text}{_span(low, high)}")


def _recomputed(rollouts: Rollouts, side: PerProblem, metric: Metric) -> tuple[float, float]:
    """The least and the most that a tool may call the score of these rows: a mean over problems or
    over rollouts, with or without those that have no verdict, and right by the run's word or by the
    reward."""
    found = [float(side.means.mean())]
    values = [rollouts.rewards]
    if metric.verdicts:
        correct = np.where(np.isnan(rollouts.rewards), np.nan, rollouts.rewards > 0)
        values = [correctness(rollouts)] + [correct] * bool(np.isnan(rollouts.correct).any())
    for column in values:
        found += [float(np.nanmean(column)), float(np.nansum(column)) / len(column)]
    return min(found), max(found)


def _span(low: float, high: float) -> str:
    return f"{low:.4f}" if high - low < CLOSE else f"{low:.4f} to {high:.4f}"


def _truncated(side: PerProblem) -> Iterator[Doubt]:
    rate = side.truncated / side.scored if side.scored else 0.0
    if rate > MAX_TRUNCATION:
        text = f"{rate:.1%} of the candidate's answers were cut off"
        yield Doubt(kind=DoubtKind.TRUNCATED, text=text)


def _categories(categories: Mapping[str, CategoryDelta], metric: Metric) -> Iterator[Doubt]:
    fell = [(name, d) for name, d in categories.items() if d.fell]
    if fell:
        sign = -1 if metric.higher_is_better else 1
        name, d = max(fell, key=lambda item: sign * item[1].delta)
        more = f", and {len(fell) - 1} more like it" if len(fell) > 1 else ""
        text = f"category {name} went from {d.baseline:.4f} to {d.candidate:.4f}{more}"
        yield Doubt(kind=DoubtKind.CATEGORY, text=text)
    worse = sum((d.delta < 0) is metric.higher_is_better for d in categories.values() if d.delta)
    moved = sum(d.delta != 0 for d in categories.values())
    if moved >= FEW and _at_least(worse, moved) <= LEVEL:
        text = f"{worse} of {moved} categories that changed got worse"
        yield Doubt(kind=DoubtKind.MOST_CATEGORIES, text=text)


def _at_least(found: int, of: int) -> float:
    """How often a fair coin falls this often on one side."""
    return float(sum(math.comb(of, i) for i in range(found, of + 1)) / 2**of)


def _mixture(baseline: Source, candidate: Source, pairs: Pairs, metric: Metric) -> Iterator[Doubt]:
    """Simpson's paradox, over what each side has a verdict on: pairing keeps it out of the paired
    difference, not out of the scores that the runs published."""
    if baseline.rollouts is None or candidate.rollouts is None or metric.macro:
        return
    one = _means(baseline.rollouts, pairs.baseline_side)
    other = _means(candidate.rollouts, pairs.candidate_side)
    changes = [other[name] - one[name] for name in one if name in other]
    whole = float(pairs.candidate_side.means.mean() - pairs.baseline_side.means.mean())
    if len(changes) < 2 or 0 in changes or not whole:
        return
    if all(change * whole < 0 for change in changes):
        went, way = ("rose", "fell") if whole > 0 else ("fell", "rose")
        text = f"over all that each run has the score {went} by {abs(whole):.4f}, while every one "
        text += f"of {len(changes)} categories {way}: the runs hold different shares of them"
        yield Doubt(kind=DoubtKind.MIXTURE, text=text)


def _means(rollouts: Rollouts, side: PerProblem) -> dict[str, float]:
    names = [rollouts.categories[i] for i in side.first.tolist()]
    values: dict[str, list[float]] = {}
    for name, mean in zip(names, side.means.tolist(), strict=True):
        if name is not None:
            values.setdefault(name, []).append(mean)
    return {name: math.fsum(found) / len(found) for name, found in values.items()}
