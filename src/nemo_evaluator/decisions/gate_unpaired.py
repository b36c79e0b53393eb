"""A benchmark under a policy where no problems can be paired: by a measure that both runs tell with
its error, or by what their bundles say."""

from __future__ import annotations

import math
from statistics import NormalDist

import msgspec

from ..config.gate_policy import SUPPORTED, Tier
from .compare import Comparison
from .damage import LEVEL
from .gate_benchmark import BenchmarkGate, with_rules
from .gate_published import Measured
from .gate_published import thresholds as published_thresholds
from .gate_rules import Rule, Status, preconditions, undecided
from .measured import Told
from .sources import Source


def by_measure(
    head: BenchmarkGate, comparison: Comparison, one: Source, other: Source, told: Told
) -> BenchmarkGate:
    """By a measure of all rows: it decides as pairs do, by an interval that is wider."""
    difference = comparison.difference
    if difference is None:
        text = f"the runs tell no error of {head.metric}, so its difference shows nothing"
        return by_bundles(head, one, other, undecided("metric", text))
    measured = Measured(
        baseline=told.baseline.value,
        candidate=told.candidate.value,
        delta=difference.delta,
        lower=difference.lower,
        upper=difference.upper,
        error=difference.error,
        df=math.inf,
    )
    head = msgspec.structs.replace(
        scored(head, measured), n_paired=told.n, coverage=comparison.coverage
    )
    if told.n < head.rules.min_problems:
        text = f"only {told.n} problems, at least {head.rules.min_problems} are needed"
        return with_rules(head, [undecided("min_problems", text)])
    before = preconditions(head.rules, comparison, one, other)
    rules = published_thresholds(head.rules, measured, None, head.higher_is_better)
    return with_rules(head, [*before, *rules])


def by_bundles(
    head: BenchmarkGate, one: Source, other: Source, why: Rule, *, breach: bool = True
) -> BenchmarkGate:
    """Without pairs: bundles may show a breach, and for an advisory benchmark a pass."""
    metric = head.metric or SUPPORTED[0]
    a, b = one.value(metric), other.value(metric)
    if a is None or b is None:
        return with_rules(head, [why])
    lower = upper = None
    error = 0.0
    (value, low, high), (other_value, other_low, other_high) = a, b
    if not (low is None or high is None or other_low is None or other_high is None):
        lower, upper = other_low - high, other_high - low
        error = (upper - lower) / (2 * NormalDist().inv_cdf(1 - LEVEL))
    measured = Measured(
        baseline=value,
        candidate=other_value,
        delta=other_value - value,
        lower=lower,
        upper=upper,
        error=error,
        df=math.inf,
    )
    head = scored(head, measured)
    rules = published_thresholds(head.rules, measured, None, head.higher_is_better)
    if head.tier is Tier.ADVISORY:
        return with_rules(head, rules)
    shown = [rule for rule in rules if breach and rule.status is Status.BREACH]
    return with_rules(head, [why, *shown])


def scored(head: BenchmarkGate, m: Measured) -> BenchmarkGate:
    """The benchmark with both scores and their difference."""
    return msgspec.structs.replace(
        head,
        baseline_score=m.baseline,
        candidate_score=m.candidate,
        delta=m.delta,
        delta_ci_lower=m.lower,
        delta_ci_upper=m.upper,
    )
