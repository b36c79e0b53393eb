"""Compares one benchmark of two runs: paired by problem, measured, and judged."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec

from ..config.gate_policy import Rules
from ..errors import ConfigError
from ..results.extending import ORDER, PROBLEMS
from ..results.identity import Difference, words
from ..stats.paired import PairedDifference, paired_difference
from ..types import Record
from .calibrated import Calibrated, calibrated
from .categories import HETEROGENEOUS, CategoryDelta, category_deltas, heterogeneity
from .comparability import between, differences
from .coverage import SideCoverage, coverage, floor_of
from .damage import Bounds, Damage
from .deltas import runtime_deltas, score_deltas
from .doubts import Doubt, doubts_about
from .flips import FlipReport, flip_report, right_sides
from .interim_looks import METHOD, StoppedEarly, as_decided, stopped_early, stopped_of
from .measured import Told, coverage_of, told_by_both
from .measured import damage_of as damage_of_measure
from .metrics import Metric, metric_named
from .missing import damage_of, span_of, watched_of
from .notes import nothing_paired, warnings_about
from .options import CompareOptions
from .paired_tests import TestResult, run_test
from .pairing import Pairs, pair
from .planning import detectable_drop, spread_of_pairs, to_rule_out
from .provenance import created
from .published import PublishedEvidence, judge_published
from .sentences import Scale, scale_of, told
from .sources import Source
from .verdicts import MIN_COVERAGE, Evidence, Shown, Verdict, judge, p_text, worst

NOT_PUBLISHED = (
    "the candidate stopped early when a gate was decided, and the published rules do not hold at "
    "an end that the answers have chosen; leave out rules: published"
)


class Comparison(Record, frozen=True, kw_only=True, omit_defaults=False):
    """Everything that is known of the difference. Scores are over the paired problems."""

    benchmark: str
    baseline: Mapping[str, Any]
    """``run_id``, ``model``, ``path`` and ``config``."""
    candidate: Mapping[str, Any]
    verdict: Verdict
    reasons: tuple[str, ...]
    options: CompareOptions
    higher_is_better: bool = True
    baseline_score: float | None = None
    candidate_score: float | None = None
    by_measure: bool = False
    """Not of paired problems, but of a measure that both runs tell with its error."""
    difference: PairedDifference | None = None
    """Of the paired problems; by sound rules its ends hold for what is missing too."""
    damage: Bounds | None = None
    evidence: Damage | None = None
    """What the verdict was read off; None by the published rules."""
    shown: Shown | None = None
    test: TestResult | None = None
    detectable: float | None = None
    """Smallest drop that a comparison of this size shows in four of five cases, as `nel power` has
    it."""
    needed: int | None = None
    """Paired problems that would rule out a drop of ``max_drop`` where there is none."""
    n_paired: int = 0
    coverage: float = 0.0
    """Share of the planned rollouts that are paired, of the side that has less."""
    coverage_floor: float = MIN_COVERAGE
    sides: Mapping[str, SideCoverage] = {}
    score_deltas: Mapping[str, Mapping[str, Any]] = {}
    runtime_deltas: Mapping[str, Mapping[str, Any]] = {}
    calibrated: Calibrated | None = None
    """Scores as people would judge, where both runs carry a calibration of their judge."""
    categories: Mapping[str, CategoryDelta] = {}
    flips: FlipReport | None = None
    worse: int = 0
    """Problems whose score fell, whether or not they changed sides."""
    better: int = 0
    differs: tuple[Difference, ...] = ()
    doubts: tuple[Doubt, ...] = ()
    """What forbids a PASS."""
    stopped: StoppedEarly | None = None
    """Where the candidate's run ended before its last problem because a gate was decided."""
    uneven: float | None = None
    """p-value of "all categories changed alike"; None if it cannot be computed."""
    warnings: tuple[str, ...] = ()

    @property
    def chance_beyond(self) -> float | None:
        """Chance that the true drop is larger than allowed (``Damage.chance_beyond``)."""
        if self.evidence is None:
            return None
        return self.evidence.chance_beyond(self.options.max_drop)


def compare(baseline: Source, candidate: Source, options: CompareOptions) -> Comparison:
    """Compare; a candidate that stopped early over the problems that its decision rests on. Raises
    ConfigError if the two are not comparable, unless forced."""
    baseline, candidate = as_decided(baseline, candidate)
    metric = metric_between(
        baseline, candidate, options.metric, higher_is_better=options.higher_is_better
    )
    measured_pair = None
    if options.rules is Rules.SOUND:
        measured_pair = told_by_both(baseline, candidate, options.metric)
    try:
        pairs = _pairs(baseline, candidate, metric, options)
    except ConfigError:
        if measured_pair is None:
            raise
        pairs = None
    differs = differences(baseline, candidate, pairs)
    if differs and not options.force:
        raise _incomparable(baseline, candidate, differs)
    head = Comparison(
        benchmark=between(baseline, candidate),
        baseline=_run(baseline),
        candidate=_run(candidate),
        verdict=Verdict.INCONCLUSIVE,
        reasons=(),
        options=options,
        higher_is_better=metric.higher_is_better,
        coverage_floor=floor_of(baseline, candidate, options.min_coverage),
        score_deltas=score_deltas(baseline, candidate),
        runtime_deltas=runtime_deltas(baseline, candidate),
        calibrated=calibrated(baseline, candidate, metric),
        differs=tuple(differs),
        warnings=tuple(warnings_about(baseline, candidate, differs)),
    )
    if measured_pair is not None and (pairs is None or not pairs.n):
        return _by_measure(head, baseline, candidate, measured_pair)
    if pairs is None or not pairs.n:
        return msgspec.structs.replace(head, reasons=(nothing_paired(baseline, candidate, pairs),))
    measured = _measured(head, baseline, candidate, pairs, metric)
    if options.rules is Rules.SOUND:
        return judged(_with_damage(measured, baseline, candidate, pairs, metric))
    if stopped_early(candidate):
        return msgspec.structs.replace(measured, reasons=(NOT_PUBLISHED,))
    assert measured.test is not None
    return judged_as_published(measured, measured.test.p_worse, measured.test.p_better)


def metric_between(
    baseline: Source, candidate: Source, name: str, *, higher_is_better: bool | None = None
) -> Metric:
    """The metric of a name, in the direction that is given, or that the benchmark tells."""
    measured_pair = told_by_both(baseline, candidate, name)
    if higher_is_better is None and measured_pair is not None:
        higher_is_better = measured_pair.higher_is_better
    return metric_named(name, higher_is_better=higher_is_better)


def _pairs(
    baseline: Source, candidate: Source, metric: Metric, options: CompareOptions
) -> Pairs | None:
    """None where a side has no rows. Raises ConfigError for a metric that the rows do not carry."""
    one, other = baseline.rollouts, candidate.rollouts
    if one is None or other is None:
        return None
    return pair(one, other, metric, correct_above=options.correct_above)


def _by_measure(head: Comparison, baseline: Source, candidate: Source, told: Told) -> Comparison:
    """The verdict by the errors that both runs tell of a measure of all rows."""
    options = head.options
    head = msgspec.structs.replace(
        head,
        by_measure=True,
        baseline_score=told.baseline.value,
        candidate_score=told.candidate.value,
        n_paired=told.n,
        coverage=coverage_of(baseline, candidate),
    )
    difference = told.difference(options.level)
    if difference is None:
        why = f"the runs tell no error of {options.metric}, so its difference shows nothing"
        return msgspec.structs.replace(head, reasons=(why,))
    bounds = damage_of_measure(difference, higher_is_better=head.higher_is_better)
    return judged(
        msgspec.structs.replace(
            head, difference=difference, damage=bounds, shown=_events(bounds, options)
        )
    )


def _events(bounds: Bounds, options: CompareOptions) -> Shown:
    """What the ends of a damage show."""
    return Shown(
        worse=bounds.lower > 0,
        beyond=bounds.lower > options.max_drop,
        within=bounds.upper <= options.max_drop,
        better=bounds.upper < 0,
    )


def overall(comparisons: Iterable[Comparison], missing: Sequence[str]) -> Verdict:
    """The verdict on several benchmarks: the worst; no PASS by sound rules where the candidate
    lacks one that the baseline has."""
    found = list(comparisons)
    verdicts = [c.verdict for c in found]
    if missing and any(c.options.rules is Rules.SOUND for c in found):
        verdicts.append(Verdict.INCONCLUSIVE)
    return worst(verdicts)


def judged(c: Comparison) -> Comparison:
    """A measured comparison with the verdict by the events shown, which may have been corrected."""
    assert c.damage is not None and c.shown is not None
    evidence = Evidence(
        n=c.n_paired,
        coverage=c.coverage,
        floor=c.coverage_floor,
        damage=c.damage,
        shown=c.shown,
        sentence=told(c.benchmark, c.damage, c.options.max_drop, scale_of_comparison(c)),
        needed=c.needed,
        doubts=tuple(doubt.text for doubt in c.doubts),
    )
    verdict, reasons = judge(evidence, max_drop=c.options.max_drop)
    return msgspec.structs.replace(c, verdict=verdict, reasons=(*reasons, *_uneven(c)))


def scale_of_comparison(c: Comparison) -> Scale:
    """How its amounts are written."""
    return scale_of(
        c.options.metric,
        higher_is_better=c.higher_is_better,
        limit=c.options.max_drop,
        scores=(c.baseline_score, c.candidate_score),
        config=c.baseline["config"],
    )


def _uneven(c: Comparison) -> list[str]:
    if c.uneven is None or c.uneven > HETEROGENEOUS:
        return []
    low, high = (f(c.categories.items(), key=lambda item: item[1].delta) for f in (min, max))
    span = f"from {low[1].delta:+.4f} in {low[0]} to {high[1].delta:+.4f} in {high[0]}"
    return [f"the change differs between categories, {span} ({p_text(c.uneven)})"]


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
    known = dict.fromkeys((*c.warnings, *(doubt.text for doubt in c.doubts)))
    return msgspec.structs.replace(
        c, verdict=verdict, reasons=tuple(reasons), warnings=tuple(known)
    )


def _with_damage(
    c: Comparison, baseline: Source, candidate: Source, pairs: Pairs, metric: Metric
) -> Comparison:
    """The comparison with the damage, what is missing included, and the events that its bounds
    show."""
    options, difference = c.options, c.difference
    assert difference is not None
    damage = damage_of(baseline, candidate, pairs, metric, correct_above=options.correct_above)
    bounds = damage.bounds(options.level)
    lower, upper = _change(bounds, metric)
    stopped = stopped_of(candidate, _change(damage.unwatched().bounds(options.level), metric))
    method = METHOD if stopped_early(candidate) else difference.method
    method += ", worst case of what is missing" if damage.worst else ""
    return msgspec.structs.replace(
        c,
        difference=replace(difference, lower=lower, upper=upper, method=method),
        damage=bounds,
        evidence=damage,
        stopped=stopped,
        warnings=(*c.warnings, *_ordinary(stopped)),
        shown=_events(bounds, options),
    )


def _change(damage: Bounds, metric: Metric) -> tuple[float, float]:
    """The ends of a damage as those of candidate - baseline."""
    if metric.higher_is_better:
        return -damage.upper, -damage.lower
    return damage.lower, damage.upper


def _ordinary(stopped: StoppedEarly | None) -> list[str]:
    if stopped is None:
        return []
    low, high = stopped.ordinary
    return [
        f"candidate: an ordinary 95 % interval of the change would be {low:+.4f} to {high:+.4f}; "
        "it does not hold at such an end, and decides nothing"
    ]


def _measured(
    head: Comparison, baseline: Source, candidate: Source, pairs: Pairs, metric: Metric
) -> Comparison:
    assert baseline.rollouts is not None and candidate.rollouts is not None
    options, limit, higher = head.options, head.options.max_drop, metric.higher_is_better
    weighted = pairs.weighted()
    one, other = weighted.baseline, weighted.candidate
    difference = paired_difference(one, other, pairs.clusters)
    right = right_sides(
        pairs, baseline.rollouts, candidate.rollouts, correct_above=options.correct_above
    )
    test = run_test(
        weighted if higher else replace(weighted, baseline=other, candidate=one),
        options.test,
        right=right,
        resamples=options.resamples,
        seed=options.seed,
    )
    covered, sides = coverage(baseline, candidate, pairs)
    watched, stopped = watched_of(baseline, candidate, metric), stopped_early(candidate)
    detectable, needed = _planned(pairs, span_of(metric, baseline, candidate), limit, options.level)
    categories = category_deltas(pairs, higher_is_better=higher, limit=limit, watched=watched)
    fell = pairs.differences < 0 if higher else pairs.differences > 0
    return msgspec.structs.replace(
        head,
        baseline_score=float(one.mean()),
        candidate_score=float(other.mean()),
        difference=difference,
        test=None if stopped else test,
        detectable=None if stopped else detectable,
        needed=None if stopped else needed,
        n_paired=pairs.n,
        coverage=covered,
        sides=sides,
        categories=categories,
        uneven=None if stopped else heterogeneity(pairs),
        doubts=doubts_about(baseline, candidate, pairs, metric, categories),
        worse=int(fell.sum()),
        better=int((pairs.differences != 0).sum() - fell.sum()),
        flips=flip_report(pairs, baseline.rollouts, candidate.rollouts, right),
    )


def _planned(
    pairs: Pairs, span: float | None, limit: float, level: float
) -> tuple[float | None, int | None]:
    """The smallest drop that as many problems show, and how many would rule the limit out, as `nel
    power` has both for these two runs; None where there is no such drop or number."""
    if pairs.n < 2:
        return None, None
    sides = (pairs.baseline_side, pairs.candidate_side)
    repeats = max(int(side.repeats.max()) for side in sides)
    spread = spread_of_pairs(pairs, span)
    needed = to_rule_out(spread, limit, repeats, alpha=level) if limit else None
    return detectable_drop(spread, pairs.n, repeats, alpha=level), needed


def _run(source: Source) -> dict[str, object]:
    return {
        "run_id": source.run_id,
        "model": source.model,
        "path": str(source.path),
        "created": created(source),
        "config": dict(source.config),
    }


def _incomparable(baseline: Source, candidate: Source, differs: list[Difference]) -> ConfigError:
    lines = "".join(f"\n  {item}" for item in differs)
    larger = {words(key) for key in (PROBLEMS, ORDER)}  # a whole dataset has no order
    more = "extend the smaller run (its command with --resume and as many problems), or "
    return ConfigError(
        f"the results are not comparable: they differ in{lines}",
        where=f"{Path(baseline.path)} and {Path(candidate.path)}",
        hint=(more if {item.what for item in differs} <= larger else "")
        + "--force compares them anyway",
    )
