"""May it ship? Every benchmark's status by the rules of a policy, and one verdict.

Fails closed: what is missing, too small, incomparable or undecided is never a PASS, and a policy
under which nothing was evaluated is never a GO.
"""

from __future__ import annotations

import enum
import math
from collections.abc import Mapping

import msgspec

from ..config.gate_policy import SUPPORTED, Direction, GatePolicy, GateRules, Tier
from ..errors import ConfigError
from ..stats.intervals import clustered_error
from ..stats.multiple import holm
from ..stats.student import t_cdf, t_quantile
from ..types import Record
from .compare import CompareOptions, Comparison, compare
from .pairing import Pairs, pair
from .sources import Source

ALPHA = 0.025
"""One-sided level at which a breach or a pass is shown: the ends of a 95 % interval."""


class Status(enum.StrEnum):
    """How one benchmark stands."""

    PASS = "PASS"
    BREACH = "BREACH"
    INSUFFICIENT_EVIDENCE = "INSUFFICIENT_EVIDENCE"
    MISSING = "MISSING"


class GateVerdict(enum.StrEnum):
    """May it ship?"""

    GO = "GO"
    NO_GO = "NO-GO"
    INCONCLUSIVE = "INCONCLUSIVE"

    @property
    def exit_code(self) -> int:
        """0 GO, 1 NO-GO, 2 INCONCLUSIVE."""
        return {GateVerdict.GO: 0, GateVerdict.NO_GO: 1}.get(self, 2)


class Rule(Record, frozen=True, kw_only=True, omit_defaults=False):
    """One rule as it was applied."""

    name: str
    status: Status
    explanation: str
    """The rule with its numbers."""
    p_value: float | None = None
    """One-sided, of "the damage is no larger than allowed"; for the absolute rule."""


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


class _Measured(Record, frozen=True, kw_only=True):
    """A difference with its interval; bounds are None where there is none."""

    baseline: float
    candidate: float
    delta: float
    lower: float | None
    upper: float | None
    error: float
    df: float


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
        return _with(head, [_open("comparable", error.what)])
    head = msgspec.structs.replace(
        head,
        comparison=comparison,
        warnings=comparison.warnings,
        n_paired=comparison.n_paired,
    )
    if metric not in SUPPORTED:
        return _by_bundles(
            head, one, other, _open("metric", f"metric {metric!r} cannot be paired by problem")
        )
    if one.rollouts is None or other.rollouts is None:
        return _by_bundles(head, one, other, _open("paired", comparison.reasons[0]))
    pairs = pair(one.rollouts, other.rollouts, correct_above=0.0 if metric == "pass@1" else None)
    if pairs.n < rules.min_problems:
        text = f"only {pairs.n} paired items, at least {rules.min_problems} are needed"
        return _by_bundles(head, one, other, _open("min_problems", text), breach=False)
    measured = _measure(pairs)
    truncated = pairs.candidate_side.truncated / max(1, pairs.candidate_side.scored)
    head = msgspec.structs.replace(
        _scored(head, measured),
        n_paired=pairs.n,
        coverage=comparison.coverage,
        truncation_rate=truncated,
        warnings=(*head.warnings, *_unseen(pairs, rules)),
    )
    applied = [
        *_preconditions(rules, comparison, truncated, one, other),
        *_thresholds(rules, measured, pairs.n),
    ]
    return _with(head, applied)


def _metric(one: Source, other: Source) -> str:
    """As the runs have it: ``mean_reward`` where both report it, else ``pass@1``."""
    for metric in SUPPORTED:
        if one.value(metric) is not None and other.value(metric) is not None:
            return metric
    return SUPPORTED[0]


def _measure(pairs: Pairs) -> _Measured:
    """Mean difference, and its 95 % interval by Student's t over problems or their clusters."""
    differences = pairs.differences
    delta = float(differences.mean())
    error, groups = clustered_error(differences, pairs.clusters)
    known = groups > 1
    half = t_quantile(1 - ALPHA, groups - 1) * error if known else math.nan
    return _Measured(
        baseline=float(pairs.baseline.mean()),
        candidate=float(pairs.candidate.mean()),
        delta=delta,
        lower=delta - half if known else None,
        upper=delta + half if known else None,
        error=error,
        df=groups - 1,
    )


def _unseen(pairs: Pairs, rules: GateRules) -> list[str]:
    """Where nothing changed, what could have gone unseen."""
    if (pairs.baseline != pairs.candidate).any():
        return []
    unseen: float = 1 - ALPHA ** (1 / pairs.n)
    if unseen <= rules.max_drop:
        return []
    need = math.ceil(math.log(ALPHA) / math.log1p(-rules.max_drop)) if rules.max_drop > 0 else 0
    more = f"; {need:,} problems would rule out more than {rules.max_drop:g}" if need else ""
    return [
        f"no problem changed, yet with {pairs.n} problems up to {unseen:.1%} of all could change "
        f"unseen{more}"
    ]


def _preconditions(
    rules: GateRules, comparison: Comparison, truncated: float, one: Source, other: Source
) -> list[Rule]:
    found = []
    coverage = comparison.coverage
    floor = max(rules.min_coverage, *(s.floor() or 0.0 for s in (one, other)))
    text = f"{coverage:.1%} of the planned problems are paired, at least {floor:.1%} are needed"
    found.append(_rule("min_coverage", coverage >= floor, text))
    if rules.max_truncation_rate is not None:
        limit = rules.max_truncation_rate
        text = f"{truncated:.1%} of the candidate's answers are cut off, {limit:.1%} allowed"
        ok = truncated <= limit
        found.append(_rule("max_truncation_rate", ok, text, Status.BREACH))
    if rules.dataset_revision is not None:
        seen = [_revisions(source) for source in (one, other)]
        text = f"the policy is for dataset revision {rules.dataset_revision}"
        ok = all(rules.dataset_revision in names for names in seen)
        shown = [" or ".join(sorted(names)) or "unknown" for names in seen]
        text += "" if ok else f", the runs are of {' and '.join(shown)}"
        found.append(_rule("dataset_revision", ok, text))
    return found


def _revisions(source: Source) -> set[str]:
    identity = source.config.get("identity")
    if not isinstance(identity, Mapping):
        return set()
    keys = ("environment.dataset_revision", "environment.dataset_digest")
    return {str(identity[key]) for key in keys if identity.get(key)}


def _thresholds(rules: GateRules, m: _Measured, n: int) -> list[Rule]:
    """The relative rule, then the absolute one, then equivalence."""
    sign = -1.0 if rules.direction is Direction.HIGHER else 1.0
    damage = sign * m.delta
    low, high = (m.lower, m.upper) if sign > 0 else (_negative(m.upper), _negative(m.lower))
    found = []
    if (relative := _relative(rules, m.baseline, damage, low)) is not None:
        found.append(relative)
    found.append(_absolute(rules, damage, low, high, m, n))
    if rules.equivalence is not None:
        found.append(_equivalent(rules.equivalence, m))
    return found


def _relative(rules: GateRules, baseline: float, damage: float, low: float | None) -> Rule | None:
    """Breached where the whole interval of the damage is beyond; open where only its middle is."""
    limit, guard = rules.max_relative_drop, rules.relative_guard_below
    if limit is None or not baseline:
        return None
    if guard is not None and baseline >= guard:
        return None
    share = damage / abs(baseline)
    text = f"relative damage {share:.2%} of the baseline's {baseline:.4f}, {limit:.2%} allowed"
    if share <= limit:
        return Rule(name="max_relative_drop", status=Status.PASS, explanation=text)
    if low is not None and low / abs(baseline) > limit:
        return Rule(name="max_relative_drop", status=Status.BREACH, explanation=text)
    text += f"; its interval reaches down to {(low or 0.0) / abs(baseline):.2%}"
    return _open("max_relative_drop", text)


def _absolute(
    rules: GateRules, damage: float, low: float | None, high: float | None, m: _Measured, n: int
) -> Rule:
    limit = rules.max_drop
    if low is None or high is None:
        if rules.tier is Tier.ADVISORY:
            ok = damage <= limit
            text = f"damage {damage:+.4f} (no interval), {limit:g} allowed"
            return _rule("max_drop", ok, text, Status.BREACH)
        return _open("max_drop", f"damage {damage:+.4f} without an interval")
    p = _p_beyond(damage, limit, m.error, m.df)
    text = f"damage {damage:+.4f} [{low:+.4f}, {high:+.4f}], {limit:g} allowed"
    if low > limit:
        return Rule(name="max_drop", status=Status.BREACH, explanation=text, p_value=p)
    if high <= limit:
        return Rule(name="max_drop", status=Status.PASS, explanation=text, p_value=p)
    text += f": the interval straddles it{_settling(damage, limit, m, n)}"
    return Rule(name="max_drop", status=Status.INSUFFICIENT_EVIDENCE, explanation=text, p_value=p)


def _settling(damage: float, limit: float, m: _Measured, n: int) -> str:
    """With how many problems this damage would be decided."""
    gap = abs(limit - damage)
    if not gap or not m.error:
        return ""
    spread = m.error * math.sqrt(n)
    need = math.ceil((t_quantile(1 - ALPHA, math.inf) * spread / gap) ** 2)
    return f"; at this difference about {need:,} problems would decide" if need > n else ""


def _equivalent(margin: float, m: _Measured) -> Rule:
    """Two one-sided tests at 2.5 %: the whole 95 % interval within the margin."""
    if m.lower is None or m.upper is None:
        return _open("equivalence", "no interval to hold against the margin")
    text = f"difference {m.delta:+.4f} [{m.lower:+.4f}, {m.upper:+.4f}], margin ±{margin:g}"
    if -margin <= m.lower and m.upper <= margin:
        return Rule(name="equivalence", status=Status.PASS, explanation=text)
    if m.lower > margin or m.upper < -margin:
        return Rule(name="equivalence", status=Status.BREACH, explanation=text)
    return _open("equivalence", f"{text}: the interval straddles it")


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
    measured = _Measured(
        baseline=a[0],
        candidate=b[0],
        delta=b[0] - a[0],
        lower=lower,
        upper=upper,
        error=0.0,
        df=math.inf,
    )
    head = _scored(head, measured)
    rules = _thresholds(head.rules, measured, 0)
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


def _p_beyond(damage: float, limit: float, error: float, df: float) -> float:
    if not error:
        return 0.0 if damage > limit else 1.0
    t = (damage - limit) / error
    return t_cdf(-t, df) if df != math.inf else 0.5 * math.erfc(t / math.sqrt(2))


def _scored(head: BenchmarkGate, m: _Measured) -> BenchmarkGate:
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


def _open(name: str, text: str) -> Rule:
    return Rule(name=name, status=Status.INSUFFICIENT_EVIDENCE, explanation=text)


def _rule(name: str, ok: bool, text: str, otherwise: Status = Status.INSUFFICIENT_EVIDENCE) -> Rule:
    return Rule(name=name, status=Status.PASS if ok else otherwise, explanation=text)


def _negative(value: float | None) -> float | None:
    return None if value is None else -value
