"""The rules of a policy, applied to one benchmark: each has a status and explains it in numbers.

Every rule that compares is read off the interval of the damage (``damage.py``), as `nel compare`
reads its verdict: breached where the interval lies beyond the limit, passed where it lies within.
"""

from __future__ import annotations

import enum

import msgspec

from ..config.gate_policy import GateRules
from ..stats.multiple import holm
from ..stats.student import beta_cdf
from ..types import Record
from .categories import category_damages
from .compare import Comparison
from .damage import LEVEL, Bounds, Damage
from .doubts import DoubtKind
from .interim_damage import Watched
from .interim_looks import AT_LOOKS
from .metrics import metric_named
from .pairing import Pairs, clusters_of, per_problem
from .sources import Source
from .verdicts import MIN_PAIRS

TRUNCATION = "max_truncation_rate"
CALIBRATED = "require_calibration"
TRUNCATED = "truncation_rate"


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
    """One-sided, of "the damage is no larger than allowed"; where the rule can be corrected."""


def preconditions(
    rules: GateRules, comparison: Comparison, one: Source, other: Source
) -> list[Rule]:
    """What must hold before the difference says anything."""
    coverage = comparison.coverage
    floor = max(rules.min_coverage, *(s.floor() or 0.0 for s in (one, other)))
    text = f"{coverage:.1%} of the planned rollouts are paired, at least {floor:.1%} are needed"
    found = [rule_if("min_coverage", coverage >= floor, text)]
    if rules.dataset_revision is not None:
        seen = [_revisions(source) for source in (one, other)]
        text = f"the policy is for dataset revision {rules.dataset_revision}"
        ok = all(rules.dataset_revision in names for names in seen)
        shown = [" or ".join(sorted(names)) or "unknown" for names in seen]
        text += "" if ok else f", the runs are of {' and '.join(shown)}"
        found.append(rule_if("dataset_revision", ok, text))
    return found


def _revisions(source: Source) -> set[str]:
    facts = source.facts
    return {name for name in (facts.dataset_revision, facts.dataset_digest) if name}


def truncation(rules: GateRules, cut_off: int, scored: int, candidate: Source) -> list[Rule]:
    """The candidate's answers that were cut off; beyond the limit by chance alone it is open, and
    within it too where the candidate stopped early."""
    limit = rules.max_truncation_rate
    if limit is None or not scored:
        return []
    rate = cut_off / scored
    text = f"{rate:.1%} of the candidate's answers are cut off, {limit:.1%} allowed"
    p = beta_cdf(cut_off, scored - cut_off + 1, limit) if cut_off else 1.0
    status = Status.PASS
    if candidate.watched is not None:
        p, p_within = _cut_off_at_looks(candidate, candidate.watched, limit)
        if candidate.watched.stopped and p_within > LEVEL and rate <= limit:
            text += f", which {scored:,} answers at an early end do not show"
            status = Status.INSUFFICIENT_EVIDENCE
    if rate > limit:
        status = Status.BREACH if p <= LEVEL else Status.INSUFFICIENT_EVIDENCE
        text += (
            "" if p <= LEVEL else f", which {scored:,} answers cannot distinguish from the limit"
        )
    return [Rule(name=TRUNCATION, status=status, explanation=text, p_value=p)]


def _cut_off_at_looks(candidate: Source, watched: Watched, limit: float) -> tuple[float, float]:
    """p-values, at whatever look, of a rate within the limit and of one beyond it."""
    assert candidate.rollouts is not None
    side = per_problem(candidate.rollouts, metric_named(TRUNCATED))
    clusters = clusters_of(candidate.rollouts, side.first, side.problems)
    return (
        watched.p_value(side.means, clusters, (0.0, 1.0), limit),
        min(1.0, watched.p_value(-side.means, clusters, (-1.0, 0.0), -limit) / AT_LOOKS),
    )


def thresholds(
    rules: GateRules, comparison: Comparison, pairs: Pairs, higher_is_better: bool
) -> list[Rule]:
    """The relative rule, the absolute one, that of the categories, then equivalence."""
    damage, baseline = comparison.evidence, comparison.baseline_score
    assert damage is not None and baseline is not None
    limit, guard, found = rules.max_relative_drop, rules.relative_guard_below, []
    if limit is not None and baseline and (guard is None or baseline < guard):
        found.append(_relative(damage, baseline, limit))
    if rules.require_calibration:
        found.append(_calibrated(damage, comparison, rules.max_drop))
    else:
        found.append(_absolute(damage, rules.max_drop, comparison.needed))
    if rules.max_category_drop is not None:
        found.append(_categories(pairs, rules.max_category_drop, higher_is_better, damage.watched))
    if rules.equivalence is not None:
        found.append(_equivalent(damage, rules.equivalence))
    return found


def doubtful(rules: GateRules, comparison: Comparison) -> list[Rule]:
    """What leaves a pass open; not where a rule of the policy decides it."""
    return [
        undecided(f"no_doubt:{doubt.kind}", doubt.text)
        for doubt in comparison.doubts
        if doubt.kind is not DoubtKind.TRUNCATED
        and not (doubt.kind is DoubtKind.CATEGORY and rules.max_category_drop is not None)
    ]


def not_needed(rules: GateRules) -> list[Rule]:
    """The rules of a benchmark that was not run, because the answer was certain without it. They
    were planned, so a breach of another must hold among them all."""
    names = {
        "max_drop": not rules.require_calibration,
        CALIBRATED: rules.require_calibration,
        "max_relative_drop": rules.max_relative_drop is not None,
        "max_category_drop": rules.max_category_drop is not None,
        "equivalence": rules.equivalence is not None,
        TRUNCATION: rules.max_truncation_rate is not None,
    }
    text = "was not run: the answer was certain before"
    status = Status.INSUFFICIENT_EVIDENCE
    return [
        Rule(name=name, status=status, explanation=text, p_value=1.0)
        for name, planned in names.items()
        if planned
    ]


def _relative(damage: Damage, baseline: float, limit: float) -> Rule:
    """By the interval of what the damage has beyond its share of the baseline's score."""
    beyond, whole = damage.bounds(share=limit), abs(baseline)
    low, high = (limit + end / whole for end in (beyond.lower, beyond.upper))
    share = beyond.damage / whole + limit
    text = (
        f"{change(beyond.damage + limit * whole)}, which is {abs(share):.2%} of the baseline's "
        f"{baseline:.4f}, 95 % interval of the drop {low:.2%} to {high:.2%}; a drop of "
        f"{limit:.2%} is allowed"
    )
    p = damage.p_beyond(0.0, share=limit)
    return _by_interval("max_relative_drop", beyond, 0.0, text, p)


def _absolute(damage: Damage, limit: float, needed: int | None) -> Rule:
    bounds = damage.bounds()
    text = f"{_numbers(bounds)}; a drop of {limit:g} is allowed"
    rule = _by_interval("max_drop", bounds, limit, text, damage.p_beyond(limit))
    if rule.status is not Status.INSUFFICIENT_EVIDENCE or needed is None or needed <= damage.n:
        return rule
    more = f"; if there is no drop, about {needed:,} problems would rule it out"
    return msgspec.structs.replace(rule, explanation=rule.explanation + more)


def decided_by(comparison: Comparison, rules: GateRules) -> Bounds | None:
    """The bounds that a benchmark is decided by; None where there are none."""
    if rules.require_calibration and comparison.calibrated is not None and comparison.evidence:
        return comparison.calibrated.bounds(comparison.evidence)
    return comparison.damage


def _calibrated(damage: Damage, comparison: Comparison, limit: float) -> Rule:
    """The drop as people would judge, in the place of the judge's."""
    found = comparison.calibrated
    if found is None:
        text = "both runs must carry a calibration of the judge (calibration: of its metric)"
        return undecided(CALIBRATED, text)
    bounds = found.bounds(damage)
    text = (
        f"as people would judge, {_numbers(bounds)} ({found.metric}, {found.baseline.score:.4f} "
        f"and {found.candidate.score:.4f}); a drop of {limit:g} is allowed"
    )
    return _by_interval(CALIBRATED, bounds, limit, text, found.p_beyond(damage, limit))


def _categories(
    pairs: Pairs, limit: float, higher_is_better: bool, watched: Watched | None
) -> Rule:
    """Breached where one category is beyond the limit after Holm over all of them; those with too
    few problems are left to the benchmark's own rule."""
    name = "max_category_drop"
    all_of_them = category_damages(pairs, higher_is_better=higher_is_better, watched=watched)
    damages = {key: d for key, d in all_of_them.items() if d.n >= MIN_PAIRS}
    if not damages:
        return undecided(name, f"no category has {MIN_PAIRS} paired problems")
    adjusted = holm([d.p_beyond(limit) for d in damages.values()])
    bounds = {key: d.bounds() for key, d in damages.items()}
    worst = max(bounds, key=lambda key: bounds[key].damage)
    text = f"worst of {len(bounds)} categories is {worst}: {_numbers(bounds[worst])}"
    text += f"; a drop of {limit:g} is allowed"
    if len(damages) < len(all_of_them):
        few = len(all_of_them) - len(damages)
        text += f" ({few} with fewer than {MIN_PAIRS} problems left out)"
    p = min(adjusted)
    if p <= LEVEL:
        return Rule(name=name, status=Status.BREACH, explanation=text, p_value=p)
    open_ = [key for key, b in bounds.items() if b.upper > limit]
    if not open_:
        return Rule(name=name, status=Status.PASS, explanation=text, p_value=p)
    text += f"; a larger one is not ruled out in {_first_names(open_)}"
    return Rule(name=name, status=Status.INSUFFICIENT_EVIDENCE, explanation=text, p_value=p)


def _equivalent(damage: Damage, margin: float) -> Rule:
    """Two one-sided tests at 2.5 %: the whole 95 % interval within the margin."""
    bounds = damage.bounds()
    text = f"{_numbers(bounds)}; a change within ±{margin:g} is required"
    p = min(damage.p_beyond(margin), damage.p_within(-margin))
    status = Status.INSUFFICIENT_EVIDENCE
    if -margin < bounds.lower and bounds.upper < margin:
        status = Status.PASS
    elif bounds.lower > margin or bounds.upper < -margin:
        status = Status.BREACH
    else:
        text += ": the interval straddles the limit"
    return Rule(name="equivalence", status=status, explanation=text, p_value=p)


def _by_interval(name: str, bounds: Bounds, limit: float, text: str, p: float) -> Rule:
    if bounds.lower > limit:
        return Rule(name=name, status=Status.BREACH, explanation=text, p_value=p)
    if bounds.upper <= limit:
        return Rule(name=name, status=Status.PASS, explanation=text, p_value=p)
    text += ": the interval straddles the limit"
    return Rule(name=name, status=Status.INSUFFICIENT_EVIDENCE, explanation=text, p_value=p)


def _numbers(bounds: Bounds) -> str:
    return f"{change(bounds.damage)}, 95 % interval {span(bounds.lower, bounds.upper)}"


def span(lower: float, upper: float) -> str:
    """The ends of a damage in words: ``0.0840 to 0.1560 worse``; a sign would need its direction
    said beside it."""
    if lower < 0 < upper:
        return f"{-lower:.4f} better to {upper:.4f} worse"
    low, high = sorted((abs(lower), abs(upper)))
    return f"{low:.4f} to {high:.4f} {'worse' if upper > 0 else 'better'}"


def change(damage: float) -> str:
    """``worse by 0.1200``; which way is worse, the metric's direction has said already."""
    return f"{'better' if damage < 0 else 'worse'} by {abs(damage):.4f}"


def _first_names(names: list[str], most: int = 5) -> str:
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more


def undecided(name: str, text: str) -> Rule:
    """A rule that the evidence does not decide."""
    return Rule(name=name, status=Status.INSUFFICIENT_EVIDENCE, explanation=text)


def rule_if(
    name: str, ok: bool, text: str, otherwise: Status = Status.INSUFFICIENT_EVIDENCE
) -> Rule:
    """A rule that passes, or has another status."""
    return Rule(name=name, status=Status.PASS if ok else otherwise, explanation=text)
