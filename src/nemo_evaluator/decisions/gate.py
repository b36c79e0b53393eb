"""May it ship? Every benchmark's status by the rules of a policy, and one verdict.

Fails closed: what is missing, too small, incomparable or undecided is never a PASS, and a policy
under which nothing was evaluated is never a GO.
"""

from __future__ import annotations

import enum
import math
from collections.abc import Mapping

import msgspec

from ..config.gate_policy import SUPPORTED, GatePolicy, GateRules, Tier
from ..errors import ConfigError
from ..stats.multiple import holm
from ..types import Record
from .compare import CompareOptions, Comparison, compare
from .gate_rules import (
    ALPHA,
    Measured,
    Rule,
    Status,
    measure,
    preconditions,
    thresholds,
    undecided,
    unseen,
)
from .metrics import metric_named
from .pairing import pair
from .sources import Source


class GateVerdict(enum.StrEnum):
    """May it ship?"""

    GO = "GO"
    NO_GO = "NO-GO"
    INCONCLUSIVE = "INCONCLUSIVE"

    @property
    def exit_code(self) -> int:
        """0 GO, 1 NO-GO, 2 INCONCLUSIVE."""
        return {GateVerdict.GO: 0, GateVerdict.NO_GO: 1}.get(self, 2)


class BenchmarkGate(Record, frozen=True, kw_only=True, omit_defaults=False):
    """One benchmark under the policy. Scores are means over the paired problems."""

    benchmark: str
    tier: Tier
    status: Status
    rules: GateRules
    listed: bool
    metric: str | None = None
    baseline_score: float | None = None
    candidate_score: float | None = None
    delta: float | None = None
    delta_ci_lower: float | None = None
    delta_ci_upper: float | None = None
    n_paired: int = 0
    coverage: float | None = None
    truncation_rate: float | None = None
    applied: tuple[Rule, ...] = ()
    warnings: tuple[str, ...] = ()
    comparison: Comparison | None = None

    @property
    def decides(self) -> bool:
        """Whether it bears on the verdict."""
        return self.tier is not Tier.ADVISORY

    @property
    def reasons(self) -> list[str]:
        """What speaks against a pass; or the rule that passed."""
        against = [rule.explanation for rule in self.applied if rule.status is not Status.PASS]
        return against or [rule.explanation for rule in self.applied]


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


def gate(
    baseline: Mapping[str, Source],
    candidate: Mapping[str, Source],
    policy: GatePolicy,
    *,
    names: tuple[str, str] = ("baseline", "candidate"),
    force: bool = False,
) -> GateReport:
    """Apply a policy to everything two runs have in common."""
    order = [*policy.benchmarks, *sorted({*baseline, *candidate} - {*policy.benchmarks})]
    found: list[BenchmarkGate] = []
    warnings: list[str] = []
    for name in order:
        one, other = baseline.get(name), candidate.get(name)
        if one is not None and other is not None:
            found.append(_evaluated(one, other, policy, force))
            continue
        absent = " and ".join(n for n, s in zip(names, (one, other), strict=True) if s is None)
        if name in policy.benchmarks:
            found.append(_missing(name, policy, absent))
        else:
            warnings.append(f"{name} is not in {absent}, and the policy does not list it")
    if policy.correction == "holm":
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
    )


def decide(found: list[BenchmarkGate]) -> tuple[GateVerdict, list[str]]:
    """Of those that decide: a breach or a missing one is NO-GO, an undecided one INCONCLUSIVE."""
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


def _line(item: BenchmarkGate) -> str:
    return f"{item.benchmark} ({item.tier}) {item.status}: {'; '.join(item.reasons)}"


def _missing(name: str, policy: GatePolicy, absent: str) -> BenchmarkGate:
    rules = policy.rules(name)
    return BenchmarkGate(
        benchmark=name,
        tier=rules.tier,
        status=Status.MISSING,
        rules=rules,
        listed=True,
        metric=rules.metric,
        applied=(Rule(name="present", status=Status.MISSING, explanation=f"not in {absent}"),),
    )


def _evaluated(one: Source, other: Source, policy: GatePolicy, force: bool) -> BenchmarkGate:
    rules = policy.rules(one.name)
    metric = rules.metric or _metric(one, other)
    head = BenchmarkGate(
        benchmark=one.name,
        tier=rules.tier,
        status=Status.INSUFFICIENT_EVIDENCE,
        rules=rules,
        listed=one.name in policy.benchmarks,
        metric=metric,
    )
    try:
        comparison = compare(one, other, CompareOptions(max_drop=rules.max_drop, force=force))
    except ConfigError as error:
        return _with(head, [undecided("comparable", error.what)])
    head = msgspec.structs.replace(
        head,
        comparison=comparison,
        warnings=comparison.warnings,
        n_paired=comparison.n_paired,
    )
    if metric not in SUPPORTED:
        return _by_bundles(
            head, one, other, undecided("metric", f"metric {metric!r} cannot be paired by problem")
        )
    if one.rollouts is None or other.rollouts is None:
        return _by_bundles(head, one, other, undecided("paired", comparison.reasons[0]))
    pairs = pair(one.rollouts, other.rollouts, metric_named(metric))
    if pairs.n < rules.min_problems:
        text = f"only {pairs.n} paired items, at least {rules.min_problems} are needed"
        return _by_bundles(head, one, other, undecided("min_problems", text), breach=False)
    measured = measure(pairs)
    truncated = pairs.candidate_side.truncated / max(1, pairs.candidate_side.scored)
    head = msgspec.structs.replace(
        _scored(head, measured),
        n_paired=pairs.n,
        coverage=comparison.coverage,
        truncation_rate=truncated,
        warnings=(*head.warnings, *unseen(pairs, rules)),
    )
    applied = [
        *preconditions(rules, comparison, truncated, one, other),
        *thresholds(rules, measured, pairs),
    ]
    return _with(head, applied)


def _metric(one: Source, other: Source) -> str:
    """As the runs have it: ``mean_reward`` where both report it, else ``pass@1``."""
    for metric in SUPPORTED:
        if one.value(metric) is not None and other.value(metric) is not None:
            return metric
    return SUPPORTED[0]


def _by_bundles(
    head: BenchmarkGate, one: Source, other: Source, why: Rule, *, breach: bool = True
) -> BenchmarkGate:
    """Without pairs: bundles may show a breach, and for an advisory benchmark a pass."""
    metric = head.metric or SUPPORTED[0]
    a, b = one.value(metric), other.value(metric)
    if a is None or b is None:
        return _with(head, [why])
    lower = upper = None
    if None not in (*a, *b):
        lower, upper = b[1] - a[2], b[2] - a[1]  # type: ignore[operator]
    measured = Measured(
        baseline=a[0],
        candidate=b[0],
        delta=b[0] - a[0],
        lower=lower,
        upper=upper,
        error=0.0,
        df=math.inf,
    )
    head = _scored(head, measured)
    rules = thresholds(head.rules, measured, None)
    if head.tier is Tier.ADVISORY:
        return _with(head, rules)
    shown = [rule for rule in rules if breach and rule.status is Status.BREACH]
    return _with(head, [why, *shown])


def _corrected(found: list[BenchmarkGate]) -> list[BenchmarkGate]:
    """Holm over the absolute rules of all that decide: a breach must hold after it.

    A pass needs none: GO demands that every benchmark passes, so no choice is made among them.
    """
    tested = [
        (i, rule)
        for i, item in enumerate(found)
        if item.decides
        for rule in item.applied
        if rule.name == "max_drop" and rule.p_value is not None
    ]
    adjusted = holm([rule.p_value or 0.0 for _, rule in tested])
    for (i, rule), p in zip(tested, adjusted, strict=True):
        if rule.status is not Status.BREACH or p < ALPHA:
            continue
        text = f"{rule.explanation}; not beyond it after Holm's correction (p = {p:.3f})"
        weaker = Rule(
            name=rule.name, status=Status.INSUFFICIENT_EVIDENCE, explanation=text, p_value=p
        )
        rules = [weaker if other is rule else other for other in found[i].applied]
        found[i] = _with(found[i], rules)
    return found


def _scored(head: BenchmarkGate, m: Measured) -> BenchmarkGate:
    return msgspec.structs.replace(
        head,
        baseline_score=m.baseline,
        candidate_score=m.candidate,
        delta=m.delta,
        delta_ci_lower=m.lower,
        delta_ci_upper=m.upper,
    )


def _with(head: BenchmarkGate, applied: list[Rule]) -> BenchmarkGate:
    """The status follows from the rules: a breach, else what is open, else a pass."""
    statuses = {rule.status for rule in applied}
    order = (Status.BREACH, Status.INSUFFICIENT_EVIDENCE, Status.PASS)
    status = next(status for status in order if status in statuses)
    return msgspec.structs.replace(head, status=status, applied=tuple(applied))
