"""Before the candidate is run: how likely does a policy say GO, and NO-GO?

Each benchmark's limit is an event of ``odds.py`` on as many problems and repeats as the baseline
has. Benchmarks are taken as independent, and all rollouts as scored; rules about coverage, cut off
answers, categories and equivalence are not counted.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np

from ..config.gate_policy import GatePolicy, GateRules, Tier
from ..errors import ConfigError
from ..types import Record
from .damage import LEVEL
from .metrics import metric_named, values_of
from .odds import Event, chance, fewest
from .pairing import per_problem
from .planning import POWER, Spread, spread_of_run
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
    cheapest: Design | None
    """What lets an equal model pass often enough; None if no number of problems does."""


class PolicyOdds(Record, frozen=True, kw_only=True, omit_defaults=False):
    """All benchmarks that decide."""

    power: float
    """Chance of a GO for an equal model that the cheapest designs reach together."""
    go_if_equal: float
    """Chance of a GO for an equal model on the baseline's problems and repeats."""
    in_the_way: str
    """The benchmark that stands in the way of a GO most."""
    benchmarks: tuple[BenchmarkOdds, ...]
    cost_usd: float | None
    """Of all cheapest designs together."""


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
        spread = spread_of_run(baseline[name], correlation=correlation, icc=icc)
        found.append(_odds(baseline[name], policy.rules_of(name), spread, level, each))
    costs = [None if b.cheapest is None else b.cheapest.cost_usd for b in found]
    known = [cost for cost in costs if cost is not None]
    return PolicyOdds(
        power=power,
        go_if_equal=math.prod(b.pass_if_equal for b in found),
        in_the_way=min(found, key=lambda b: b.pass_if_equal).benchmark,
        benchmarks=tuple(found),
        cost_usd=math.fsum(known) if len(known) == len(costs) else None,
    )


def _odds(
    source: Source, rules: GateRules, spread: Spread, level: float, power: float
) -> BenchmarkOdds:
    if rules.metric is not None and rules.metric not in PLANNED:
        raise ConfigError(
            f"metric {rules.metric!r} of {source.name} cannot be planned for",
            hint=f"{' and '.join(PLANNED)} can",
        )
    rollouts = source.rollouts
    assert rollouts is not None and spread.problems is not None
    repeats = int(per_problem(rollouts).repeats.max())
    limit, guard, n = rules.max_drop, rules.relative_guard_below, spread.problems
    if rules.max_relative_drop is not None and (guard is None or spread.score < guard):
        limit = min(limit, rules.max_relative_drop * spread.score)

    def breach(drop: float) -> float:
        possible = min(drop, spread.room)
        return chance(Event(limit), spread.truth(possible, repeats), n, level)

    enough = n >= rules.min_problems
    return BenchmarkOdds(
        benchmark=source.name,
        limit=limit,
        problems=n,
        repeats=repeats,
        pass_if_equal=_passes(spread, limit, n, repeats) if enough else 0.0,
        breach_at_limit=breach(limit) if enough else 0.0,
        breach_at_twice=breach(2 * limit) if enough else 0.0,
        cheapest=_cheapest(spread, limit, rules.min_problems, power, _cost(source)),
    )


def _passes(spread: Spread, limit: float, n: int, repeats: int) -> float:
    return chance(Event(limit, ruled_out=True), spread.truth(0.0, repeats), n, LEVEL)


def _cheapest(
    spread: Spread, limit: float, least: int, power: float, cost: float | None
) -> Design | None:
    event = Event(limit, ruled_out=True)
    designs = []
    for repeats in REPEATS:
        needed = fewest(event, spread.truth(0.0, repeats), LEVEL, power) if limit else None
        if needed is not None:
            designs.append((max(least, needed) * repeats, repeats))
    if not designs:
        return None
    rollouts, repeats = min(designs)
    price = None if cost is None else rollouts * cost
    return Design(problems=rollouts // repeats, repeats=repeats, cost_usd=price)


def _cost(source: Source) -> float | None:
    """Mean cost of one rollout of the run; None where it is not known."""
    assert source.rollouts is not None
    try:
        costs: Sequence[float] = values_of(source.rollouts, metric_named("cost_usd")).tolist()
    except ConfigError:
        return None
    known = [cost for cost in costs if not np.isnan(cost)]
    return math.fsum(known) / len(known) if known else None
