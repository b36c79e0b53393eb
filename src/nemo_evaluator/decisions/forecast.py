"""How many problems a run may take that ends when its gate is decided: by simulation, from how the
baseline's answers vary."""

from __future__ import annotations

import math

import numpy as np

from ..config.gate_policy import GateRules
from ..results.stopping import StoppingRule
from ..stats.sequential import Looks, first_shown
from .damage import LEVEL
from .interim_looks import AT_LOOKS
from .pairing import per_problem
from .planning import Spread, spread_of_run
from .sources import Source

RUNS, VALUES = 400, 2_000_000
"""Runs drawn, and values of all of them together, for one forecast."""
WORSE = 3
"""Times the limit that the worse candidate loses."""


def expected(name: str, baseline: Source, rules: GateRules, rule: StoppingRule, family: int) -> str:
    """In words: half of the runs of a candidate as good as the baseline, and of one that is worse
    by three times the limit, end by this many problems."""
    spread = spread_of_run(baseline)
    assert baseline.rollouts is not None
    repeats = int(per_problem(baseline.rollouts).repeats.max())
    limit, drop = rules.max_drop, min(WORSE * rules.max_drop, spread.room)
    good = _half(spread, 0.0, repeats, rule, -limit, LEVEL * AT_LOOKS)
    bad = _half(spread, drop, repeats, rule, limit, LEVEL / family)
    passed, failed = _after_how_many(good, rule), _after_how_many(bad, rule)
    return (
        f"{name}: half of the runs of a model as good as the baseline pass for certain {passed},"
        f" half of those of one that is worse by {drop:.3g} are a NO-GO {failed}"
    )


def _after_how_many(problems: int | None, rule: StoppingRule) -> str:
    if problems is None:
        return f"only at the end, if at all ({rule.problems:,} problems)"
    return f"after about {problems:,} of {rule.problems:,} problems"


def _half(
    spread: Spread, drop: float, repeats: int, rule: StoppingRule, mean: float, level: float
) -> int | None:
    """The problems by which half of the runs are decided; None if not even at the last one. Units
    are drawn with changes of one size that have the mean and the variance of the difference."""
    truth = spread.truth(drop, repeats)
    variance = truth.variance * truth.design_effect * truth.units
    flips = truth.flips
    if flips is None or truth.units < 1:
        changed = min(1.0, max(abs(drop), variance + drop * drop))
        flips = ((changed + drop) / 2, (changed - drop) / 2)
    sign = 1.0 if mean > 0 else -1.0
    runs = max(20, min(RUNS, VALUES // max(1, rule.horizon)))
    u = np.random.default_rng(0).uniform(size=(runs, rule.horizon))
    values = sign * np.where(u < flips[0], 1.0, np.where(u < flips[0] + flips[1], -1.0, 0.0))
    looks = Looks(rule.horizon)
    first = first_shown(values, np.ones(rule.horizon), mean, looks, level)
    middle = float(np.median(first))
    if middle > rule.horizon:
        return None
    return math.ceil(middle * rule.problems / rule.horizon)
