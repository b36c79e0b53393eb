"""Compares one benchmark of two runs: paired by problem, tested, and judged."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from ..config.gate_policy import Rules
from ..errors import ConfigError
from ..results.identity import Difference
from ..stats.paired import PairedDifference, paired_difference
from ..stats.power import minimum_detectable_effect, problems_needed
from ..types import Record
from .comparability import differences, doubts
from .damage import LEVEL, Bounds, Damage
from .flips import FlipReport, flip_report
from .metrics import REWARD, Metric, metric_named
from .missing import damage_of
from .paired_tests import TestName, TestResult, run_test
from .pairing import Pairs, PerProblem, pair
from .published import ALPHA, PublishedEvidence, judge_published
from .sources import Source
from .verdicts import MIN_COVERAGE, Evidence, Shown, Verdict, judge

MAX_DROP = 0.05
"""The largest drop that is allowed where nobody says."""


class CompareOptions(Record, frozen=True, kw_only=True):
    """How to compare."""

    max_drop: float = MAX_DROP
    """Largest drop that is allowed, in units of the score."""
    alpha: float | None = None
    """One-sided level; by default 0.025, the ends of a 95 % interval, and 0.05 by the published
    rules."""
    rules: Rules = Rules.SOUND
    metric: str = REWARD
    """What is compared: a metric of the runs, by its published name."""
    higher_is_better: bool | None = None
    """Direction of the metric; by default its own."""
    test: TestName = "auto"
    correct_above: float = 0.0
    """A reward above this is a right answer, in flips and for McNemar's test."""
    min_coverage: float | None = None
    """Share of the planned problems that must be paired; by default what the runs demanded of
    themselves, else 0.9."""
    force: bool = False
    """Compare what is not comparable, and say so."""
    resamples: int = 10_000
    seed: int = 42

    @property
    def level(self) -> float:
        """One-sided level of the verdict."""
        if self.alpha is not None:
            return self.alpha
        return LEVEL if self.rules is Rules.SOUND else ALPHA


class SideCoverage(Record, frozen=True, kw_only=True, omit_defaults=False):
    """What of one side is evidence."""

    planned: int | None
    """Problems."""
    problems: int
    """Problems with a verdict."""
    rollouts: int
    scored: int
    truncated: int
    only_here: int
    """Problems with a verdict on this side alone."""


class CategoryDelta(Record, frozen=True, kw_only=True, omit_defaults=False):
    """One category, over its paired problems."""

    baseline: float
    candidate: float
    delta: float
    n: int
    ci_lower: float
    ci_upper: float


class Comparison(Record, frozen=True, kw_only=True, omit_defaults=False):
    """Everything that is known of the difference. Scores are over the paired problems."""

    benchmark: str
    baseline: Mapping[str, Any]
    """``run_id``, ``model``, ``path`` and ``config``."""
    candidate: Mapping[str, Any]
    verdict: Verdict
    reasons: tuple[str, ...]
    options: CompareOptions
    baseline_score: float | None = None
    candidate_score: float | None = None
    difference: PairedDifference | None = None
    """Of the paired problems; by sound rules its ends hold for what is missing too."""
    damage: Bounds | None = None
    evidence: Damage | None = None
    """What the verdict was read off; None by the published rules."""
    shown: Shown | None = None
    test: TestResult | None = None
    detectable: float | None = None
    """Smallest drop that a comparison of this size finds in four of five cases."""
    needed: int | None = None
    """Paired problems that would rule out a drop of ``max_drop`` where there is none."""
    n_paired: int = 0
    coverage: float = 0.0
    """Share of the planned problems that are paired."""
    coverage_floor: float = MIN_COVERAGE
    sides: Mapping[str, SideCoverage] = {}
    score_deltas: Mapping[str, Mapping[str, Any]] = {}
    runtime_deltas: Mapping[str, Mapping[str, Any]] = {}
    categories: Mapping[str, CategoryDelta] = {}
    flips: FlipReport | None = None
    worse: int = 0
    """Problems whose score fell, whether or not they changed sides."""
    better: int = 0
    differs: tuple[Difference, ...] = ()
    doubts: tuple[str, ...] = ()
    """What forbids a PASS."""
    warnings: tuple[str, ...] = ()


def compare(baseline: Source, candidate: Source, options: CompareOptions) -> Comparison:
    """Compare. Raises ConfigError if the two are not of the same thing, unless forced."""
    metric = metric_named(options.metric, higher_is_better=options.higher_is_better)
    pairs = None
    if baseline.rollouts is not None and candidate.rollouts is not None:
        pairs = pair(
            baseline.rollouts, candidate.rollouts, metric, correct_above=options.correct_above
        )
    differs = differences(baseline, candidate, pairs)
    if differs and not options.force:
        raise _incomparable(baseline, candidate, differs)
    head = Comparison(
        benchmark=baseline.name,
        baseline=_run(baseline),
        candidate=_run(candidate),
        verdict=Verdict.INCONCLUSIVE,
        reasons=(),
        options=options,
        coverage_floor=_floor(baseline, candidate, options),
        score_deltas=_score_deltas(baseline, candidate),
        runtime_deltas=_runtime_deltas(baseline, candidate),
        differs=tuple(differs),
        warnings=tuple(_warnings(baseline, candidate, differs)),
    )
    if pairs is None or not pairs.n:
        return msgspec.structs.replace(head, reasons=(_nothing(baseline, candidate, pairs),))
    measured = _measured(head, baseline, candidate, pairs, metric)
    if options.rules is Rules.SOUND:
        return judged(_shown(measured, baseline, candidate, pairs, metric))
    assert measured.test is not None
    return judged_as_published(measured, measured.test.p_worse, measured.test.p_better)


def judged(c: Comparison) -> Comparison:
    """A measured comparison with the verdict by the events shown, which may have been corrected."""
    assert c.damage is not None and c.shown is not None
    evidence = Evidence(
        n=c.n_paired,
        coverage=c.coverage,
        floor=c.coverage_floor,
        damage=c.damage,
        shown=c.shown,
        needed=c.needed,
        doubts=c.doubts,
    )
    verdict, reasons = judge(evidence, max_drop=c.options.max_drop)
    return msgspec.structs.replace(c, verdict=verdict, reasons=tuple(reasons))


def judged_as_published(c: Comparison, p_worse: float, p_better: float) -> Comparison:
    """The verdict by the published rule and these p-values."""
    assert c.difference is not None
    evidence = PublishedEvidence(
        n=c.n_paired,
        coverage=c.coverage,
        floor=c.coverage_floor,
        changed=c.worse + c.better,
        delta=c.difference.delta,
        lower=c.difference.lower,
        p_worse=p_worse,
        p_better=p_better,
        needed=c.needed,
    )
    verdict, reasons = judge_published(evidence, max_drop=c.options.max_drop, alpha=c.options.level)
    return msgspec.structs.replace(c, verdict=verdict, reasons=tuple(reasons))


def _shown(
    c: Comparison, baseline: Source, candidate: Source, pairs: Pairs, metric: Metric
) -> Comparison:
    """With the damage, what is missing included, and the events that its bounds show."""
    options, difference = c.options, c.difference
    assert difference is not None
    damage = damage_of(baseline, candidate, pairs, metric, correct_above=options.correct_above)
    bounds = damage.bounds(options.level)
    lower, upper = (
        (-bounds.upper, -bounds.lower) if metric.higher_is_better else (bounds.lower, bounds.upper)
    )
    method = difference.method + (", worst case of what is missing" if damage.worst else "")
    return msgspec.structs.replace(
        c,
        difference=replace(difference, lower=lower, upper=upper, method=method),
        damage=bounds,
        evidence=damage,
        shown=Shown(
            worse=bounds.lower > 0,
            beyond=bounds.lower > options.max_drop,
            within=bounds.upper <= options.max_drop,
            better=bounds.upper < 0,
        ),
    )


def _measured(
    head: Comparison, baseline: Source, candidate: Source, pairs: Pairs, metric: Metric
) -> Comparison:
    assert baseline.rollouts is not None and candidate.rollouts is not None
    options, limit = head.options, head.options.max_drop
    difference = paired_difference(pairs.baseline, pairs.candidate, pairs.clusters)
    test = run_test(
        pairs,
        options.test,
        correct_above=options.correct_above,
        resamples=options.resamples,
        seed=options.seed,
    )
    coverage, sides = _coverage(baseline, candidate, pairs)
    spread = difference.error * math.sqrt(difference.n)
    known = math.isfinite(spread) and spread > 0
    needed = problems_needed(spread, limit, sides=2) if known and limit else None
    return msgspec.structs.replace(
        head,
        baseline_score=float(pairs.baseline.mean()),
        candidate_score=float(pairs.candidate.mean()),
        difference=difference,
        test=test,
        detectable=minimum_detectable_effect(spread, pairs.n, step=_step(baseline, candidate))
        if known
        else None,
        needed=needed,
        n_paired=pairs.n,
        coverage=coverage,
        sides=sides,
        categories=_categories(pairs),
        worse=int((pairs.differences < 0).sum()),
        better=int((pairs.differences > 0).sum()),
        flips=flip_report(
            pairs,
            baseline.rollouts,
            candidate.rollouts,
            correct_above=options.correct_above,
        ),
    )


def _step(*sources: Source) -> float:
    """The smallest difference of two means of single verdicts; 0 for graded rewards."""
    most = 1
    for source in sources:
        assert source.rollouts is not None
        scored = ~np.isnan(source.rollouts.rewards)
        if not np.isin(source.rollouts.rewards[scored], (0.0, 1.0)).all():
            return 0.0
        most = max(most, int(source.rollouts.repeats[scored].max()) + 1)
    return 1 / most


def _coverage(
    baseline: Source, candidate: Source, pairs: Pairs
) -> tuple[float, dict[str, SideCoverage]]:
    """Of all problems that either side planned or shows, the share that is paired."""
    planned = [p for p in (baseline.planned(), candidate.planned()) if p is not None]
    whole = max([pairs.union, *planned])
    sides = {
        name: _side(source, side, pairs.n)
        for name, source, side in (
            ("baseline", baseline, pairs.baseline_side),
            ("candidate", candidate, pairs.candidate_side),
        )
    }
    return pairs.n / whole, sides


def _side(source: Source, side: PerProblem, n: int) -> SideCoverage:
    return SideCoverage(
        planned=source.planned(),
        problems=len(side.problems),
        rollouts=side.rollouts,
        scored=side.scored,
        truncated=side.truncated,
        only_here=len(side.problems) - n,
    )


def _floor(baseline: Source, candidate: Source, options: CompareOptions) -> float:
    if options.min_coverage is not None:
        return options.min_coverage
    own = [floor for floor in (baseline.floor(), candidate.floor()) if floor is not None]
    return max(own) if own else MIN_COVERAGE


def _categories(pairs: Pairs) -> dict[str, CategoryDelta]:
    found = {}
    labels = np.array([name or "" for name in pairs.categories], dtype=object)
    for name in sorted({name for name in pairs.categories if name}):
        mask = labels == name
        one, other = pairs.chosen(mask)
        clusters = None
        if pairs.clusters is not None:
            clusters = [c for c, keep in zip(pairs.clusters, mask, strict=True) if keep]
        difference = paired_difference(one, other, clusters)
        found[name] = CategoryDelta(
            baseline=float(one.mean()),
            candidate=float(other.mean()),
            delta=difference.delta,
            n=difference.n,
            ci_lower=difference.lower,
            ci_upper=difference.upper,
        )
    return found


def _run(source: Source) -> dict[str, Any]:
    return {
        "run_id": source.run_id,
        "model": source.model,
        "path": str(source.path),
        "config": dict(source.config),
    }


def _score_deltas(baseline: Source, candidate: Source) -> dict[str, dict[str, Any]]:
    """Every metric both bundles have, as they stand there."""
    found = {}
    for metric in baseline.scores:
        one, other = baseline.value(metric), candidate.value(metric)
        if one is None or other is None:
            continue
        bounds = (one[1], one[2], other[1], other[2])
        overlap = None in bounds or not (other[2] < one[1] or one[2] < other[1])  # type: ignore[operator]
        found[metric] = {**_delta(one[0], other[0]), "ci_overlap": overlap}
    return found


def _runtime_deltas(baseline: Source, candidate: Source) -> dict[str, dict[str, Any]]:
    one, other = baseline.scores.get("runtime"), candidate.scores.get("runtime")
    if not isinstance(one, Mapping) or not isinstance(other, Mapping):
        return {}
    return {
        name: _delta(float(one[name]), float(other[name]))
        for name in ("total_tokens", "steps_per_second", "tokens_per_second")
        if isinstance(one.get(name), int | float) and isinstance(other.get(name), int | float)
    }


def _delta(one: float, other: float) -> dict[str, float]:
    return {
        "baseline": one,
        "candidate": other,
        "delta": other - one,
        "relative_pct": (other - one) / one * 100 if one else 0.0,
    }


def _warnings(baseline: Source, candidate: Source, differs: list[Difference]) -> list[str]:
    found = [f"compared by force although they differ in {item}" for item in differs]
    found += [f"the models were served differently: {item}" for item in doubts(baseline, candidate)]
    for side, source in (("baseline", baseline), ("candidate", candidate)):
        rollouts = source.rollouts
        if rollouts is None:
            found.append(f"{side}: no results.jsonl with rollouts in {source.folder}")
            continue
        found += [f"{side}: {count} × {why}" for why, count in rollouts.ignored.items()]
        missing = int(np.isnan(rollouts.rewards).sum())
        if missing:
            text = f"{side}: {missing} of {len(rollouts)} rollouts have no verdict"
            found.append(f"{text}; they count as missing, not as wrong")
        if source.benchmark.get("simulated") is True:
            found.append(f"{side}: the model, or a judge, is simulated")
    return found


def _nothing(baseline: Source, candidate: Source, pairs: Pairs | None) -> str:
    if pairs is not None:
        return "no problem has a verdict on both sides"
    without = [
        side
        for side, source in (("baseline", baseline), ("candidate", candidate))
        if source.rollouts is None
    ]
    return f"no results.jsonl of the {' nor of the '.join(without)}: problems cannot be paired"


def _incomparable(baseline: Source, candidate: Source, differs: list[Difference]) -> ConfigError:
    lines = "".join(f"\n  {item}" for item in differs)
    return ConfigError(
        f"the results are not of the same thing; they differ in{lines}",
        where=f"{Path(baseline.path)} and {Path(candidate.path)}",
        hint="--force compares them all the same",
    )
