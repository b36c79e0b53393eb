"""The rules of a policy, applied to one benchmark: each has a status and explains it in numbers."""

from __future__ import annotations

import enum
import math
from collections.abc import Mapping

from ..config.gate_policy import Direction, GateRules, Tier
from ..stats.intervals import clustered_error
from ..stats.paired import paired_difference
from ..stats.student import t_cdf, t_quantile
from ..stats.units import effective_units
from ..types import Record
from .compare import Comparison
from .pairing import Pairs
from .sources import Source

ALPHA = 0.025
"""One-sided level at which a breach or a pass is shown: the ends of a 95 % interval."""


class Status(enum.StrEnum):
    """How one benchmark stands."""

    PASS = "PASS"
    BREACH = "BREACH"
    INSUFFICIENT_EVIDENCE = "INSUFFICIENT_EVIDENCE"
    MISSING = "MISSING"


class Rule(Record, frozen=True, kw_only=True, omit_defaults=False):
    """One rule as it was applied."""

    name: str
    status: Status
    explanation: str
    """The rule with its numbers."""
    p_value: float | None = None
    """One-sided, of "the damage is no larger than allowed"; for the absolute rule."""


class Measured(Record, frozen=True, kw_only=True):
    """A difference with its interval; bounds are None where there is none."""

    baseline: float
    candidate: float
    delta: float
    lower: float | None
    upper: float | None
    error: float
    df: float


def measure(pairs: Pairs) -> Measured:
    """Mean difference, and its 95 % interval by Student's t over problems or their clusters."""
    differences = pairs.differences
    delta = float(differences.mean())
    error, groups = clustered_error(differences, pairs.clusters)
    known = groups > 1
    df = max(1.0, effective_units(pairs.clusters, pairs.n) - 1)
    half = t_quantile(1 - ALPHA, df) * error if known else math.nan
    return Measured(
        baseline=float(pairs.baseline.mean()),
        candidate=float(pairs.candidate.mean()),
        delta=delta,
        lower=delta - half if known else None,
        upper=delta + half if known else None,
        error=error,
        df=df,
    )


def unseen(pairs: Pairs, rules: GateRules) -> list[str]:
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


def preconditions(
    rules: GateRules, comparison: Comparison, truncated: float, one: Source, other: Source
) -> list[Rule]:
    """What must hold before the difference says anything."""
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


def thresholds(rules: GateRules, m: Measured, pairs: Pairs | None) -> list[Rule]:
    """The relative rule, then the absolute one, then equivalence."""
    sign = -1.0 if rules.direction is Direction.HIGHER else 1.0
    damage = sign * m.delta + 0.0  # no change is 0, not -0
    low, high = (m.lower, m.upper) if sign > 0 else (_negative(m.upper), _negative(m.lower))
    found = []
    if (relative := _relative(rules, m.baseline, damage, low)) is not None:
        found.append(relative)
    found.append(_absolute(rules, damage, low, high, m, pairs.n if pairs else 0))
    if rules.equivalence is not None:
        found.append(_equivalent(rules.equivalence, m, pairs))
    return found


def _relative(rules: GateRules, baseline: float, damage: float, low: float | None) -> Rule | None:
    """Breached where the whole interval of the damage is beyond; open where only its middle is."""
    limit, guard = rules.max_relative_drop, rules.relative_guard_below
    if limit is None or not baseline:
        return None
    if guard is not None and baseline >= guard:
        return None
    share = damage / abs(baseline)
    text = (
        f"{_change(damage)}, which is {abs(share):.2%} of the baseline's {baseline:.4f}; a drop of "
    )
    text += f"{limit:.2%} is allowed"
    if share <= limit:
        return Rule(name="max_relative_drop", status=Status.PASS, explanation=text)
    if low is not None and low / abs(baseline) > limit:
        return Rule(name="max_relative_drop", status=Status.BREACH, explanation=text)
    text += f"; its interval reaches down to {(low or 0.0) / abs(baseline):.2%}"
    return undecided("max_relative_drop", text)


def _absolute(
    rules: GateRules, damage: float, low: float | None, high: float | None, m: Measured, n: int
) -> Rule:
    limit = rules.max_drop
    if low is None or high is None:
        if rules.tier is Tier.ADVISORY:
            ok = damage <= limit
            text = f"{_change(damage)}, without an interval; a drop of {limit:g} is allowed"
            return _rule("max_drop", ok, text, Status.BREACH)
        return undecided("max_drop", f"{_change(damage)}, without an interval")
    p = _p_beyond(damage, limit, m.error, m.df)
    text = f"{_change(damage)}, 95 % interval of the drop [{low:+.4f}, {high:+.4f}]; a drop of "
    text += f"{limit:g} is allowed"
    if low > limit:
        return Rule(name="max_drop", status=Status.BREACH, explanation=text, p_value=p)
    if high <= limit:
        return Rule(name="max_drop", status=Status.PASS, explanation=text, p_value=p)
    text += f": the interval straddles the limit{_settling(damage, limit, m, n)}"
    return Rule(name="max_drop", status=Status.INSUFFICIENT_EVIDENCE, explanation=text, p_value=p)


def _change(damage: float) -> str:
    """``worse by 0.1200``; which way is worse, the metric's direction has said already."""
    return f"{'better' if damage < 0 else 'worse'} by {abs(damage):.4f}"


def _settling(damage: float, limit: float, m: Measured, n: int) -> str:
    """With how many problems this damage would be decided."""
    gap = abs(limit - damage)
    if gap < 1e-9 or not m.error:
        return ""
    spread = m.error * math.sqrt(n)
    need = math.ceil((t_quantile(1 - ALPHA, math.inf) * spread / gap) ** 2)
    return f"; at this difference about {need:,} problems would decide" if need > n else ""


def _equivalent(margin: float, m: Measured, pairs: Pairs | None) -> Rule:
    """Two one-sided tests at 2.5 %: the whole 95 % interval within the margin. The interval is the
    one that keeps its width where nothing changed."""
    if pairs is None or m.lower is None:
        return undecided("equivalence", "no interval to hold against the margin")
    d = paired_difference(pairs.baseline, pairs.candidate, pairs.clusters)
    text = f"difference {d.delta:+.4f} [{d.lower:+.4f}, {d.upper:+.4f}], margin ±{margin:g}"
    if -margin < d.lower and d.upper < margin:
        return Rule(name="equivalence", status=Status.PASS, explanation=text)
    if d.lower > margin or d.upper < -margin:
        return Rule(name="equivalence", status=Status.BREACH, explanation=text)
    return undecided("equivalence", f"{text}: the interval straddles it")


def _p_beyond(damage: float, limit: float, error: float, df: float) -> float:
    if not error:
        return 0.0 if damage > limit else 1.0
    t = (damage - limit) / error
    return t_cdf(-t, df) if df != math.inf else 0.5 * math.erfc(t / math.sqrt(2))


def undecided(name: str, text: str) -> Rule:
    """A rule that the evidence does not decide."""
    return Rule(name=name, status=Status.INSUFFICIENT_EVIDENCE, explanation=text)


def _rule(name: str, ok: bool, text: str, otherwise: Status = Status.INSUFFICIENT_EVIDENCE) -> Rule:
    return Rule(name=name, status=Status.PASS if ok else otherwise, explanation=text)


def _negative(value: float | None) -> float | None:
    return None if value is None else 0.0 - value
