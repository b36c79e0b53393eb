"""May it ship? Every benchmark's status by the rules of a policy, and one verdict.

Fails closed: what is missing, too small, incomparable or undecided is never a PASS, and a policy
under which nothing was evaluated is never a GO.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping

import msgspec

from ..config.gate_policy import SUPPORTED, GatePolicy
from ..errors import ConfigError
from ..stats.multiple import holm
from ..types import Record
from .compare import NOT_PUBLISHED, compare, metric_between
from .damage import LEVEL
from .gate_benchmark import BenchmarkGate, with_rules
from .gate_published import measure, unseen
from .gate_published import thresholds as published_thresholds
from .gate_rules import (
    TRUNCATION,
    Rule,
    Status,
    decided_by,
    doubtful,
    not_needed,
    preconditions,
    rule_if,
    thresholds,
    truncation,
    undecided,
)
from .gate_unpaired import by_bundles, by_measure, scored
from .interim_looks import as_decided, stopped_early, unneeded
from .measured import told_by_both
from .metrics import Metric, metric_named
from .options import CompareOptions
from .pairing import Pairs, pair
from .policy_odds import GateOdds, gate_odds, had
from .provenance import Provenance
from .sources import Source
from .suite import Suite, suite_of


class GateVerdict(enum.StrEnum):
    """Whether the candidate may ship."""

    GO = "GO"
    NO_GO = "NO-GO"
    INCONCLUSIVE = "INCONCLUSIVE"

    @property
    def exit_code(self) -> int:
        """0 GO, 1 NO-GO, 2 INCONCLUSIVE."""
        return {GateVerdict.GO: 0, GateVerdict.NO_GO: 1}.get(self, 2)


class GateReport(Record, frozen=True, kw_only=True, omit_defaults=False):
    """The decision."""

    verdict: GateVerdict
    reasons: tuple[str, ...]
    benchmarks: tuple[BenchmarkGate, ...]
    missing: tuple[str, ...]
    warnings: tuple[str, ...]
    policy: GatePolicy
    baseline: str
    candidate: str
    suite: Suite | None = None
    """The benchmarks that decide, together; None by the published rules."""
    odds: GateOdds | None = None
    """How likely the policy says GO, and NO-GO, on this evidence; None by the published rules."""
    provenance: Provenance | None = None
    """Who decided, on which runs; None for results that are not in files."""


def gate(
    baseline: Mapping[str, Source],
    candidate: Mapping[str, Source],
    policy: GatePolicy,
    *,
    names: tuple[str, str] = ("baseline", "candidate"),
    force: bool = False,
) -> GateReport:
    """Apply a policy to everything two runs have in common."""
    policy = policy.written_out(dict.fromkeys((*baseline, *candidate)))
    order = [*policy.benchmarks, *sorted({*baseline, *candidate} - {*policy.benchmarks})]
    found: list[BenchmarkGate] = []
    warnings: list[str] = []
    not_run = unneeded(candidate.values())
    for name in order:
        one, other = baseline.get(name), candidate.get(name)
        if one is not None and other is not None:
            listed = name if name in policy.benchmarks else one.name
            found.append(_evaluated(listed, one, other, policy, force))
            continue
        absent = " and ".join(n for n, s in zip(names, (one, other), strict=True) if s is None)
        if other is None and name in not_run:
            found.append(_missing(name, policy, not_needed(policy.rules_of(name))))
        elif name in policy.benchmarks or (other is None and policy.complete):
            why = Rule(name="present", status=Status.MISSING, explanation=f"not in {absent}")
            found.append(_missing(name, policy, [why]))
        else:
            warnings.append(f"{name} is not in {absent}, and the policy does not list it")
    if policy.corrected:
        found = _corrected(found)
    verdict, reasons = decide(found)
    return GateReport(
        verdict=verdict,
        reasons=tuple(reasons),
        benchmarks=tuple(found),
        missing=tuple(item.benchmark for item in found if item.status is Status.MISSING),
        warnings=tuple(warnings),
        policy=policy,
        baseline=names[0],
        candidate=names[1],
        suite=_suite(found),
        odds=gate_odds(
            [x.had for x in found if x.decides and x.status is not Status.MISSING], policy
        ),
    )


def decide(found: list[BenchmarkGate]) -> tuple[GateVerdict, list[str]]:
    """The verdict of the benchmarks that decide: a breach or a missing one is NO-GO, an undecided
    one INCONCLUSIVE."""
    gated = [item for item in found if item.decides]
    if not gated:
        return GateVerdict.INCONCLUSIVE, ["no gated benchmark was evaluated"]
    against = [item for item in gated if item.status in (Status.BREACH, Status.MISSING)]
    if against:
        return GateVerdict.NO_GO, [_line(item) for item in against]
    open_ = [item for item in gated if item.status is Status.INSUFFICIENT_EVIDENCE]
    if open_:
        return GateVerdict.INCONCLUSIVE, [_line(item) for item in open_]
    plural = "s" * (len(gated) != 1)
    return GateVerdict.GO, [f"all {len(gated)} gated benchmark{plural} passed"]


def _suite(found: list[BenchmarkGate]) -> Suite | None:
    """The suite of the benchmarks that decide by a score; latencies and tokens have no unit in
    common with one."""
    return suite_of(
        [
            (item.benchmark, item.comparison.evidence, item.rules.max_drop)
            for item in found
            if item.decides
            and item.comparison is not None
            and item.comparison.evidence is not None
            and item.metric is not None
            and metric_named(item.metric).score
        ]
    )


def _line(item: BenchmarkGate) -> str:
    return f"{item.benchmark} ({item.tier}) {item.status}: {'; '.join(item.reasons)}"


def _missing(name: str, policy: GatePolicy, why: list[Rule]) -> BenchmarkGate:
    rules = policy.rules_of(name)
    return BenchmarkGate(
        benchmark=name,
        tier=rules.tier,
        status=why[0].status,
        rules=rules,
        listed=name in policy.benchmarks,
        metric=rules.metric,
        applied=tuple(why),
    )


def _evaluated(
    benchmark: str, one: Source, other: Source, policy: GatePolicy, force: bool
) -> BenchmarkGate:
    rules = policy.rules_of(benchmark)
    one, other = as_decided(one, other)
    name = rules.metric or _metric(one, other)
    metric = metric_between(one, other, name, higher_is_better=rules.higher_is_better)
    head = BenchmarkGate(
        benchmark=benchmark,
        tier=rules.tier,
        status=Status.INSUFFICIENT_EVIDENCE,
        rules=rules,
        listed=benchmark in policy.benchmarks,
        metric=name,
        higher_is_better=metric.higher_is_better,
    )
    measured_pair = None if policy.published else told_by_both(one, other, name)
    try:
        pairs = _pairs(one, other, metric, policy)
    except ConfigError as error:
        if measured_pair is None:
            return by_bundles(head, one, other, undecided("metric", error.what))
        pairs = None
    options = CompareOptions(
        max_drop=rules.max_drop,
        metric=name,
        higher_is_better=metric.higher_is_better,
        rules=policy.rules,
        force=force,
    )
    try:
        comparison = compare(one, other, options)
    except ConfigError as error:
        return with_rules(head, [undecided("comparable", _on_one_line(error.what))])
    head = msgspec.structs.replace(
        head,
        comparison=comparison,
        warnings=comparison.warnings,
        n_paired=comparison.n_paired,
    )
    if pairs is None and measured_pair is not None and comparison.by_measure:
        return by_measure(head, comparison, one, other, measured_pair)
    if pairs is None:
        return by_bundles(head, one, other, undecided("paired", comparison.reasons[0]))
    if pairs.n < rules.min_problems:
        text = f"only {pairs.n} paired items, at least {rules.min_problems} are needed"
        return by_bundles(head, one, other, undecided("min_problems", text), breach=False)
    side = pairs.candidate_side
    head = msgspec.structs.replace(
        head,
        coverage=comparison.coverage,
        truncation_rate=side.truncated / max(1, side.scored),
    )
    before = preconditions(rules, comparison, one, other)
    if policy.published and stopped_early(other):
        return with_rules(head, [*before, undecided("planned_end", NOT_PUBLISHED)])
    if policy.published:
        return _as_published(head, pairs, before)
    return _by_damage(head, pairs, before, other)


def _pairs(one: Source, other: Source, metric: Metric, policy: GatePolicy) -> Pairs | None:
    """The problems with the metric; None without rows. Raises ConfigError for a metric that the
    rows do not carry, or that the published rules do not know."""
    if policy.published and metric.name not in SUPPORTED:
        raise ConfigError(f"metric {metric.name!r} cannot be paired by problem")
    found = [r for r in (one.rollouts, other.rollouts) if r is not None]
    sides = [rollouts.by_reward() for rollouts in found] if policy.published else found
    return pair(sides[0], sides[1], metric) if len(sides) == 2 else None


def _by_damage(
    head: BenchmarkGate, pairs: Pairs, before: list[Rule], other: Source
) -> BenchmarkGate:
    """By the interval that `nel compare` decides by."""
    comparison, side = head.comparison, pairs.candidate_side
    assert comparison is not None and comparison.difference is not None
    difference = comparison.difference
    found = msgspec.structs.replace(
        head,
        baseline_score=comparison.baseline_score,
        candidate_score=comparison.candidate_score,
        delta=difference.delta,
        delta_ci_lower=difference.lower,
        delta_ci_upper=difference.upper,
        had=had(
            head.benchmark,
            head.rules,
            pairs,
            comparison.evidence,
            decided_by(comparison, head.rules),
        ),
    )
    cut_off = truncation(head.rules, side.truncated, side.scored, other)
    rules = thresholds(head.rules, comparison, pairs, head.higher_is_better)
    return with_rules(found, [*before, *cut_off, *rules, *doubtful(head.rules, comparison)])


def _as_published(head: BenchmarkGate, pairs: Pairs, before: list[Rule]) -> BenchmarkGate:
    measured, limit, rate = measure(pairs), head.rules.max_truncation_rate, head.truncation_rate
    if limit is not None and rate is not None:
        text = f"{rate:.1%} of the candidate's answers are cut off, {limit:.1%} allowed"
        before = [*before, rule_if(TRUNCATION, rate <= limit, text, Status.BREACH)]
    found = msgspec.structs.replace(
        scored(head, measured), warnings=(*head.warnings, *unseen(pairs, head.rules))
    )
    return with_rules(
        found, [*before, *published_thresholds(head.rules, measured, pairs, head.higher_is_better)]
    )


def _metric(one: Source, other: Source) -> str:
    """The metric that the runs have: ``mean_reward`` where both report it, else ``pass@1``."""
    for metric in SUPPORTED:
        if one.value(metric) is not None and other.value(metric) is not None:
            return metric
    return SUPPORTED[0]


def _corrected(found: list[BenchmarkGate]) -> list[BenchmarkGate]:
    """Holm over every rule with a p-value of all that decide: a breach must hold after it. Answers
    cut off are a family of their own: they are no damage, and cost the damage none of its power.

    A pass needs none: GO demands that every benchmark passes, so no choice is made among them.
    """
    tested = [
        (i, rule)
        for i, item in enumerate(found)
        if item.decides
        for rule in item.applied
        if rule.p_value is not None
    ]
    for cut_off in (False, True):
        family = [(i, rule) for i, rule in tested if (rule.name == TRUNCATION) is cut_off]
        adjusted = holm([rule.p_value or 0.0 for _, rule in family])
        for (i, rule), p in zip(family, adjusted, strict=True):
            if rule.status is Status.BREACH and p > LEVEL:
                found[i] = _weakened(found[i], rule, p)
    return found


def _weakened(item: BenchmarkGate, rule: Rule, p: float) -> BenchmarkGate:
    text = f"{rule.explanation}; not beyond it after Holm's correction (p = {p:.3f})"
    weaker = Rule(name=rule.name, status=Status.INSUFFICIENT_EVIDENCE, explanation=text, p_value=p)
    return with_rules(item, [weaker if other is rule else other for other in item.applied])


def _on_one_line(message: str) -> str:
    first, *items = (line.strip() for line in message.splitlines())
    return f"{first} {'; '.join(items)}".strip()
