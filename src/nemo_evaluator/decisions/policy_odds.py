"""How likely does a policy say GO, and NO-GO: before the candidate is run, and on what a gate had?

Each benchmark's limit is an event of ``odds.py``, on as many problems and repeats as the baseline
has, or as were paired. Benchmarks are taken as independent; rules about coverage, cut off answers,
categories and equivalence are not counted. Before the run all rollouts are taken as scored; those
that a gate lacked count against the candidate.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import msgspec
import numpy as np

from ..config.gate_policy import GatePolicy, GateRules, Tier
from ..errors import ConfigError
from ..types import Record
from .damage import LEVEL, Bounds, Damage
from .metrics import metric_named, values_of
from .odds import Event, chance, fewest
from .pairing import Pairs, per_problem
from .planning import POWER, Spread, spread_of_pairs, spread_of_run
from .sources import Source

PLANNED = ("mean_reward", "pass@1")
"""Metrics that are means of single rollouts."""
REPEATS = (1, 2, 4, 8)


class Design(Record, frozen=True, kw_only=True, omit_defaults=False):
    """The cheapest number of problems and repeats."""

    problems: int
    repeats: int
    cost_usd: float | None
    """Of the candidate's run; None where the baseline's cost is not known."""
    breach_at_limit: float
    """Chance of a breach at a drop of the limit, which is an error."""
    breach_at_twice: float
    """Chance of a breach at a drop of twice the limit."""


class BenchmarkOdds(Record, frozen=True, kw_only=True, omit_defaults=False):
    """One benchmark that decides."""

    benchmark: str
    limit: float
    """Largest drop allowed; that of the relative rule where that allows less."""
    problems: int
    repeats: int
    pass_if_equal: float
    """Chance that an equal model passes."""
    breach_at_limit: float
    """Chance of a breach at a drop of the limit."""
    breach_at_twice: float
    """Chance of a breach at a drop of twice the limit."""
    cheapest: Design | None = None
    """What lets an equal model pass often enough; None if no number of problems does, or where none
    was asked for."""


class GateOdds(Record, frozen=True, kw_only=True, omit_defaults=False):
    """All benchmarks that decide."""

    go_if_equal: float
    """Chance of a GO for an equal model."""
    no_go_at_limit: float
    """Chance of a NO-GO for a model that is worse by the limit on every benchmark."""
    no_go_at_twice: float
    """Chance of a NO-GO for one that is worse by twice the limit on every benchmark."""
    in_the_way: str
    """The benchmark that stands in the way of a GO most."""
    benchmarks: tuple[BenchmarkOdds, ...]


class PolicyOdds(GateOdds, frozen=True, kw_only=True, omit_defaults=False):
    """Before the candidate is run, on the problems and repeats of the baseline."""

    power: float
    """Chance of a GO for an equal model that the cheapest designs reach together."""
    cost_usd: float | None
    """Of all cheapest designs together."""
    designed_no_go_at_limit: float | None
    """As ``no_go_at_limit``, on the cheapest designs; None where a benchmark has none."""
    designed_no_go_at_twice: float | None


@dataclass(frozen=True, slots=True)
class Had:
    """The data that a gate had of one benchmark, and the rules it applied."""

    benchmark: str
    rules: GateRules
    spread: Spread
    problems: int
    repeats: int
    unseen: tuple[float, float] = (0.0, 0.0)
    """By how much rollouts without a verdict, and the judge's error, move the upper, and the lower,
    end of the damage."""


def had(
    benchmark: str, rules: GateRules, pairs: Pairs, damage: Damage | None, whole: Bounds | None
) -> Had | None:
    """What a gate had, which decided by the bounds ``whole``; None where fewer than two problems
    are paired, or limits are not those of a plan: the candidate was looked at while it ran."""
    if pairs.n < 2 or damage is None or whole is None or damage.watched is not None:
        return None
    sides = (pairs.baseline_side, pairs.candidate_side)
    repeats = max(int(side.repeats.max()) for side in sides)
    spread = spread_of_pairs(pairs, damage.seen.span)
    if not damage.higher_is_better:
        spread = msgspec.structs.replace(spread, room=math.inf)
    if rules.metric is not None and metric_named(rules.metric).k > 1:
        # Repeats are spent on the k of every problem: its value is as good as a single one.
        varies = float(pairs.weighted().differences.var(ddof=1))
        spread = msgspec.structs.replace(spread, between=varies, within=0.0, binary=False)
    seen = Damage(damage.seen, damage.higher_is_better).bounds()
    moved = whole.damage - seen.damage
    unseen = whole.upper - seen.upper - moved, seen.lower - whole.lower + moved
    return Had(benchmark, rules, spread, pairs.n, repeats, unseen)


def gate_odds(deciding: Sequence[Had | None], policy: GatePolicy) -> GateOdds | None:
    """The odds on what a gate had of the benchmarks that decide; None where one had nothing."""
    found = [item for item in deciding if item is not None]
    if not found or len(found) < len(deciding):
        return None
    level = LEVEL / len(found) if policy.corrected else LEVEL
    return _gate_odds([_odds(item, level) for item in found])


def _gate_odds(found: Sequence[BenchmarkOdds]) -> GateOdds:
    return GateOdds(
        go_if_equal=math.prod(b.pass_if_equal for b in found),
        no_go_at_limit=_chance_of_any(b.breach_at_limit for b in found),
        no_go_at_twice=_chance_of_any(b.breach_at_twice for b in found),
        in_the_way=min(found, key=lambda b: b.pass_if_equal).benchmark,
        benchmarks=tuple(found),
    )


def _chance_of_any(chances: Iterable[float]) -> float:
    return 1 - math.prod(1 - p for p in chances)


def policy_odds(
    baseline: Mapping[str, Source],
    policy: GatePolicy,
    *,
    power: float = POWER,
    correlation: float = 0.95,
    icc: float = 0.7,
) -> PolicyOdds:
    """The odds of a gate. Raises ConfigError where there is nothing to plan, or a metric that is
    not a mean of rollouts."""
    if policy.published:
        raise ConfigError("odds are those of the sound rules", hint="leave out rules: published")
    policy = policy.written_out(baseline)
    missing = [name for name in policy.required() if name not in baseline]
    if missing:
        raise ConfigError(f"the baseline lacks {', '.join(missing)}, which the policy requires")
    names = [name for name in baseline if policy.rules_of(name).tier is not Tier.ADVISORY]
    if not names:
        raise ConfigError("no benchmark of the baseline decides by this policy")
    level = LEVEL / len(names) if policy.corrected else LEVEL
    each = power ** (1 / len(names))
    found = []
    for name in names:
        source = baseline[name]
        spread = spread_of_run(source, correlation=correlation, icc=icc)
        item = _planned(source, policy.rules_of(name), spread)
        design = _cheapest(item, level, each, _cost(source))
        found.append(msgspec.structs.replace(_odds(item, level), cheapest=design))
    designs = [b.cheapest for b in found if b.cheapest is not None]
    whole = len(designs) == len(found)
    costs = [design.cost_usd for design in designs if design.cost_usd is not None]
    return PolicyOdds(
        **msgspec.structs.asdict(_gate_odds(found)),
        power=power,
        cost_usd=math.fsum(costs) if len(costs) == len(found) else None,
        designed_no_go_at_limit=_chance_of_any(d.breach_at_limit for d in designs)
        if whole
        else None,
        designed_no_go_at_twice=_chance_of_any(d.breach_at_twice for d in designs)
        if whole
        else None,
    )


def _planned(source: Source, rules: GateRules, spread: Spread) -> Had:
    if rules.metric is not None and rules.metric not in PLANNED:
        raise ConfigError(
            f"metric {rules.metric!r} of {source.name} cannot be planned for",
            hint=f"{' and '.join(PLANNED)} can",
        )
    assert source.rollouts is not None and spread.problems is not None
    repeats = int(per_problem(source.rollouts).repeats.max())
    return Had(source.name, rules, spread, spread.problems, repeats)


def _odds(item: Had, level: float) -> BenchmarkOdds:
    limit, n = _limit(item), item.problems
    enough = n >= item.rules.min_problems
    passes = limit - item.unseen[0]
    equal = Event(passes, ruled_out=True)
    truth = item.spread.truth(0.0, item.repeats)
    return BenchmarkOdds(
        benchmark=item.benchmark,
        limit=limit,
        problems=n,
        repeats=item.repeats,
        pass_if_equal=chance(equal, truth, n, LEVEL) if enough and passes >= 0 else 0.0,
        breach_at_limit=_breach(item, limit, n, item.repeats, level) if enough else 0.0,
        breach_at_twice=_breach(item, 2 * limit, n, item.repeats, level) if enough else 0.0,
    )


def _limit(item: Had) -> float:
    rules, score = item.rules, item.spread.score
    limit, guard = rules.max_drop, rules.relative_guard_below
    if rules.max_relative_drop is not None and score and (guard is None or score < guard):
        limit = min(limit, rules.max_relative_drop * abs(score))
    return limit


def _breach(item: Had, drop: float, n: int, repeats: int, level: float) -> float:
    """Chance of a breach at a drop, or at the largest that there can be."""
    truth = item.spread.truth(min(drop, item.spread.room), repeats)
    return chance(Event(_limit(item) + item.unseen[1]), truth, n, level)


def _cheapest(item: Had, level: float, power: float, cost: float | None) -> Design | None:
    limit, designs = _limit(item), []
    event = Event(limit, ruled_out=True)
    for repeats in REPEATS:
        needed = fewest(event, item.spread.truth(0.0, repeats), LEVEL, power) if limit else None
        if needed is not None:
            designs.append((max(item.rules.min_problems, needed) * repeats, repeats))
    if not designs:
        return None
    rollouts, repeats = min(designs)
    problems = rollouts // repeats
    return Design(
        problems=problems,
        repeats=repeats,
        cost_usd=None if cost is None else rollouts * cost,
        breach_at_limit=_breach(item, limit, problems, repeats, level),
        breach_at_twice=_breach(item, 2 * limit, problems, repeats, level),
    )


def _cost(source: Source) -> float | None:
    """Mean cost of one rollout of the run; None where it is not known."""
    assert source.rollouts is not None
    try:
        costs: Sequence[float] = values_of(source.rollouts, metric_named("cost_usd")).tolist()
    except ConfigError:
        return None
    known = [cost for cost in costs if not np.isnan(cost)]
    return math.fsum(known) / len(known) if known else None
