"""The rules of a policy by the published algorithm (``rules: published``), and for bundles whose
problems cannot be paired: a mean difference with a symmetric interval."""

from __future__ import annotations

import math

from ..config.gate_policy import GateRules, Tier
from ..stats.intervals import clustered_error
from ..stats.paired import paired_difference
from ..stats.student import t_cdf, t_quantile
from ..stats.units import effective_units
from ..types import Record
from .damage import LEVEL
from .gate_rules import Rule, Status, change, rule_if, span, undecided
from .pairing import Pairs


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
    half = t_quantile(1 - LEVEL, df) * error if known else math.nan
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
    unseen: float = 1 - LEVEL ** (1 / pairs.n)
    if unseen <= rules.max_drop:
        return []
    need = math.ceil(math.log(LEVEL) / math.log1p(-rules.max_drop)) if rules.max_drop > 0 else 0
    more = f"; {need:,} problems would rule out more than {rules.max_drop:g}" if need else ""
    return [
        f"no problem changed, yet with {pairs.n} problems up to {unseen:.1%} of all could change "
        f"unseen{more}"
    ]


def thresholds(
    rules: GateRules, m: Measured, pairs: Pairs | None, higher_is_better: bool
) -> list[Rule]:
    """The relative rule, then the absolute one, then equivalence."""
    sign = -1.0 if higher_is_better else 1.0
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
        f"{change(damage)}, which is {abs(share):.2%} of the baseline's {baseline:.4f}; a drop of "
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
            text = f"{change(damage)}, without an interval; a drop of {limit:g} is allowed"
            return rule_if("max_drop", ok, text, Status.BREACH)
        return undecided("max_drop", f"{change(damage)}, without an interval")
    p = _p_beyond(damage, limit, m.error, m.df)
    text = f"{change(damage)}, 95 % interval {span(low, high)}; a drop of {limit:g} is allowed"
    if low > limit:
        return Rule(name="max_drop", status=Status.BREACH, explanation=text, p_value=p)
    if high <= limit:
        return Rule(name="max_drop", status=Status.PASS, explanation=text, p_value=p)
    text += f": the interval straddles the limit{_settling(damage, limit, m, n)}"
    return Rule(name="max_drop", status=Status.INSUFFICIENT_EVIDENCE, explanation=text, p_value=p)


def _settling(damage: float, limit: float, m: Measured, n: int) -> str:
    """The number of problems with which this damage would be decided."""
    gap = abs(limit - damage)
    if gap < 1e-9 or not m.error:
        return ""
    spread = m.error * math.sqrt(n)
    need = math.ceil((t_quantile(1 - LEVEL, math.inf) * spread / gap) ** 2)
    return f"; at this difference about {need:,} problems would decide" if need > n else ""


def _equivalent(margin: float, m: Measured, pairs: Pairs | None) -> Rule:
    """Two one-sided tests at 2.5 %: the whole 95 % interval within the margin. The interval is the
    one that keeps its width where nothing changed."""
    if pairs is None or m.lower is None:
        return undecided("equivalence", "no interval to compare with the margin")
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


def _negative(value: float | None) -> float | None:
    return None if value is None else 0.0 - value
