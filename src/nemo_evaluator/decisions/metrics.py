"""The values of a metric, rollout by rollout, as the run published them.

A comparison and a gate count what the run counted: ``pass@1`` is the share of answers that the run
calls correct, not of rewards above zero; extra scorers and further metrics have their own columns.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt

from ..errors import ConfigError
from ..results.effort import is_solved
from ..results.result_row import NO_ANSWER
from ..stats.passk import pass_at_k, pass_hat_k
from ..types import Record
from .rollouts import Floats, Rollouts

REWARD = "mean_reward"
PASS_1 = "pass@1"
MACRO = "macro:"
LOWER_IS_BETTER = (
    "truncation_rate", "no_answer_rate", "latency_ms", "ttft_ms", "wall_ms", "tokens",
    "cost_usd", "calls", "cost_per_solved", "tokens_per_solved",
)  # fmt: skip
"""Metrics of a rollout whose direction is known."""
PER_SOLVED = {"cost_per_solved": "cost_usd", "tokens_per_solved": "tokens"}
"""Totals of a field of the rows by the tasks that are solved."""
ROUNDING = 1e-9
"""Share of the largest value by which two computations of one reward may differ."""
_PASS = re.compile(r"pass([@^])(\d+)")


class Metric(Record, frozen=True, kw_only=True):
    """What is compared."""

    name: str
    higher_is_better: bool = True
    k: int = 1
    """The k of ``pass@k`` and ``pass^k``."""
    all_of_k: bool = False
    """``pass^k``: every one of k answers is right."""
    macro: bool = False
    """``macro:NAME``: every category counts alike."""

    @property
    def verdicts(self) -> bool:
        """Whether its values are right and wrong."""
        return self.name.startswith("pass")

    @property
    def score(self) -> bool:
        """Whether it is a score of the benchmark: the mean reward, or a share of right answers."""
        return self.verdicts or self.name == REWARD


MEAN_REWARD = Metric(name=REWARD)


def metric_named(name: str, *, higher_is_better: bool | None = None) -> Metric:
    """The metric of a name, in its own direction unless one is given."""
    macro = name.startswith(MACRO)
    name = name.removeprefix(MACRO)
    higher = name not in LOWER_IS_BETTER if higher_is_better is None else higher_is_better
    found = Metric(name=name, higher_is_better=higher, macro=macro)
    if match := _PASS.fullmatch(name):
        return msgspec.structs.replace(found, k=int(match[2]), all_of_k=match[1] == "^")
    return found


def values_of(rollouts: Rollouts, metric: Metric, *, correct_above: float = 0.0) -> Floats:
    """One value per rollout, NaN where there is no verdict. Raises ConfigError for a metric that
    the rows do not carry."""
    if metric.name == REWARD:
        return rollouts.rewards
    if metric.verdicts:
        return correctness(rollouts, correct_above=correct_above)
    scored = ~np.isnan(rollouts.rewards)
    if metric.name == "truncation_rate":
        return np.where(scored, rollouts.truncated.astype(np.float64), np.nan)
    values = _read(rollouts, np.flatnonzero(scored).tolist(), metric.name)
    if len(rollouts) and np.isnan(values).all():
        raise ConfigError(
            f"metric {metric.name!r} is not in the rows of the results",
            hint="name mean_reward, pass@k, pass^k, scorer:NAME, a metric of the benchmark's own, "
            "no_answer_rate, truncation_rate, latency_ms, tokens, cost_usd, calls, "
            "cost_per_solved, tokens_per_solved, or a measure of all rows that both runs have",
        )
    return values


def correctness(rollouts: Rollouts, *, correct_above: float = 0.0) -> Floats:
    """1 right, 0 wrong, NaN without a verdict: by what the run says, else by the reward."""
    by_reward = np.where(
        np.isnan(rollouts.rewards),
        np.nan,
        (rollouts.rewards > correct_above + ROUNDING).astype(np.float64),
    )
    correct = np.where(np.isnan(rollouts.rewards), np.nan, rollouts.correct)
    return np.where(np.isnan(correct), by_reward, correct)


def of_problems(metric: Metric, sums: Floats, counts: npt.NDArray[Any]) -> Floats:
    """The metric of each problem, from the sum and the number of its values; NaN where there are
    too few for pass@k."""
    if metric.k == 1 or not metric.verdicts:
        return np.asarray(sums / counts)
    rule = pass_hat_k if metric.all_of_k else pass_at_k
    return np.array(
        [
            rule(n, round(right), metric.k) if n >= metric.k else np.nan
            for n, right in zip(counts.tolist(), sums.tolist(), strict=True)
        ]
    )


def _read(rollouts: Rollouts, scored: Sequence[int], name: str) -> Floats:
    """What the rows carry under a name. A ratio of sums, [numerator, denominator] in each row, is
    linearised, R + (a - R·b)/mean(b): the mean is the ratio R as the run has it, and a rollout on
    which the ratio does not bear (0 of 0) moves nothing."""
    values, ratios = np.full(len(rollouts), np.nan), np.full((len(rollouts), 2), np.nan)
    for i in scored:
        found = _raw_value(rollouts.row(i), name)
        if isinstance(found, list | tuple) and len(found) == 2:
            parts = [_number(part) for part in found]
            ratios[i] = [np.nan if part is None else part for part in parts]
        elif (number := _number(found)) is not None:
            values[i] = number
    known = ~np.isnan(ratios).any(axis=1)
    above, below = ratios[known].T
    if len(below) and not below.sum() > 0:
        if name in PER_SOLVED:
            hint = f"compare pass@1, or {PER_SOLVED[name]} of all rollouts"
            raise ConfigError(f"a run has solved nothing, so there is no {name}", hint=hint)
        raise ConfigError(f"metric {name!r} is a ratio whose denominators are 0 in all rows")
    if not len(below):
        return values
    ratio = float(above.sum() / below.sum())
    values[known] = ratio + (above - ratio * below) / below.mean()
    return values


def _raw_value(row: Mapping[str, object], name: str) -> object:
    details = row.get("scoring_details")
    details = details if isinstance(details, Mapping) else {}
    if name == "no_answer_rate":
        return float(details.get("failure") in NO_ANSWER)
    if name == "strict":
        return details.get("strict_correct")
    if name == "calls":
        return row.get(name, 1)
    if (used := PER_SOLVED.get(name)) is not None:
        correct, reward = details.get("correct"), _number(row.get("reward")) or 0.0
        right = is_solved(correct if isinstance(correct, bool) else None, reward)
        return (row.get(used), float(right))
    for place in (details.get("metrics"), row.get("scorer_rewards"), row):
        if isinstance(place, Mapping) and name in place:
            return place[name]
    return None


def _number(value: object) -> float | None:
    if isinstance(value, np.generic):
        value = value.item()
    if not isinstance(value, int | float) or not np.isfinite(value):
        return None
    return float(value)
