"""One benchmark of a run that may end when its gate is decided, seen from the rollouts as they end.

Answers come back in an order of their own (short ones first), so only the first problems of the
random order count, without a gap, and whole clusters of them. Bets on the limits say cheaply when a
look at the policy is worth while; what decides is the gate itself, applied to those problems.
"""

from __future__ import annotations

import math
import random
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import numpy as np

from ..config.gate_policy import GateRules
from ..results.bundle import config_of
from ..results.read_bundle import published
from ..results.stopping import Decision, Stopping, StoppingRule
from ..stats.sequential import Looks, Wealth
from ..types import BenchmarkPlan, RolloutKey
from .damage import LEVEL
from .interim_damage import Watched
from .interim_looks import AT_LOOKS
from .metrics import REWARD, Metric, metric_named, of_problems
from .missing import ends_by_problem, value_range
from .rollouts import Rollouts
from .sources import Source

AGAIN = 1.05
"""After a look that decided nothing, the problems are this many times as many at the next one."""
SEEN_LIVE = ("truncation_rate",)
"""Beside scores, the metrics whose values are known as soon as a rollout ends."""
FIRST = 25
"""Problems at the first look that is taken whatever the bets say; doubled after each."""


class Answer(NamedTuple):
    """What is needed of a verdict."""

    reward: float
    correct: float
    """1 or 0; NaN where the run does not say."""
    truncated: bool


class Prefix:
    """The first problems of the order that are complete, in whole units."""

    def __init__(self, units: Sequence[Sequence[int]], repeats: int) -> None:
        self._units, self._repeats, self._next = units, repeats, 0
        self._ended: dict[int, dict[int, Answer | None]] = {}
        self.problems: list[int] = []
        """The complete ones, in their order."""

    def add(self, key: RolloutKey, answer: Answer | None) -> Iterator[Sequence[int]]:
        """A rollout has ended, with None without a verdict; the units that count from now on, one
        by one, so that what is decided does not depend on which rollout came back last."""
        self._ended.setdefault(key.problem_idx, {})[key.repeat] = answer
        while self._next < len(self._units) and self._unit_is_complete(self._units[self._next]):
            unit = self._units[self._next]
            self.problems += unit
            self._next += 1
            yield unit

    @property
    def planned(self) -> list[int]:
        """All problems."""
        return [problem for unit in self._units for problem in unit]

    @property
    def complete(self) -> bool:
        """Whether every problem is."""
        return self._next == len(self._units)

    def answers(self, problem: int) -> list[Answer | None]:
        """The answers to a complete problem, by repeat."""
        found = self._ended[problem]
        return [found[repeat] for repeat in range(self._repeats)]

    def _unit_is_complete(self, unit: Iterable[int]) -> bool:
        return all(len(self._ended.get(problem, ())) == self._repeats for problem in unit)


def units_of(
    order: Sequence[int], clusters: Mapping[int, str], seed: int | str | None
) -> list[list[int]]:
    """The problems in the order in which they are asked, whole clusters together. Without a seed
    the order is kept."""
    named: dict[object, list[int]] = {}
    for problem in order:
        named.setdefault(clusters.get(problem, problem), []).append(problem)
    units = list(named.values())
    if seed is not None:
        random.Random(seed).shuffle(units)
    return units


def clusters_by_problem(source: Source) -> dict[int, str]:
    """The cluster of each problem of the baseline that has one."""
    rollouts = source.rollouts
    if rollouts is None:
        return {}
    named = zip(rollouts.problems.tolist(), rollouts.clusters, strict=True)
    return {problem: cluster for problem, cluster in named if cluster is not None}


def categories_by_problem(source: Source) -> dict[int, str]:
    """The category of each problem of the baseline that has one."""
    rollouts = source.rollouts
    if rollouts is None:
        return {}
    named = zip(rollouts.problems.tolist(), rollouts.categories, strict=True)
    return {problem: category for problem, category in named if category is not None}


class WatchedBenchmark:
    """The answers of one benchmark, and what they say of its limits so far."""

    def __init__(
        self,
        name: str,
        plan: BenchmarkPlan,
        baseline: Source,
        rules: GateRules,
        units: Sequence[Sequence[int]],
        rule: StoppingRule,
    ) -> None:
        self.name, self.plan, self.rule = name, plan, rule
        self.baseline = baseline
        self.rules = rules
        self.prefix = Prefix(units, plan.repeats)
        self._clusters = clusters_by_problem(baseline)
        self._categories = categories_by_problem(baseline)
        metric = metric_named(rules.metric or REWARD)
        if "direction" in rules.model_fields_set:
            higher = rules.direction.value == "higher_is_better"
            metric = msgspec.structs.replace(metric, higher_is_better=higher)
        self._seen_live = metric.score or metric.name in SEEN_LIVE
        self._bets = bets_on(baseline, self.candidate(), metric, rules, self.prefix, rule)
        self._next, self._certain = rules.min_problems, FIRST

    @property
    def decidable(self) -> bool:
        """Whether its limit can be decided before the end: the range of the metric is known."""
        return self._bets is not None

    def add(self, key: RolloutKey, answer: Answer | None) -> Iterator[int]:
        """A rollout has ended; the number of problems that count, after each further unit."""
        for unit in self.prefix.add(key, answer):
            if self._bets is not None and not self._bets.add(unit):
                self._bets = None
            yield len(self.prefix.problems)

    def worth_a_look(self, rules: int) -> bool:
        """Whether the policy may be decided: by the bets, or because there is twice as much as at
        the last look of this kind. ``rules``: number of those that a breach must hold among."""
        n = len(self.prefix.problems)
        if n < self._next or self.prefix.complete or not self._seen_live:
            return False
        if n < self._certain and (self._bets is None or not self._bets.tell(rules)):
            return False
        self._next = max(n + 1, math.ceil(n * AGAIN))
        while self._certain <= n:
            self._certain *= 2
        return True

    def candidate(self, decision: Decision | None = None) -> Source:
        """The answers so far as a run that has stopped here."""
        stopping = Stopping(rule=self.rule, decision=decision)
        return planned_source(self.name, self.plan, self._rollouts(), stopping)

    def _rollouts(self) -> Rollouts:
        problems = sorted(self.prefix.problems)
        answers = [answer for problem in problems for answer in self.prefix.answers(problem)]
        k, total = self.plan.repeats, len(answers)
        nothing = np.zeros(total, dtype=np.int64)
        return Rollouts(
            problems=np.repeat(np.array(problems, dtype=np.int64), k),
            repeats=np.tile(np.arange(k, dtype=np.int64), len(problems)),
            rewards=np.array([math.nan if a is None else a.reward for a in answers]),
            correct=np.array([math.nan if a is None else a.correct for a in answers]),
            truncated=np.array([a is not None and a.truncated for a in answers], dtype=np.bool_),
            categories=[self._categories.get(p) for p in problems for _ in range(k)],
            clusters=[self._clusters.get(p) for p in problems for _ in range(k)],
            expected=nothing,
            prompts=nothing,
            rows=[{}] * total,
            positions=np.arange(total, dtype=np.int64),
            ignored={},
        )


def planned_source(
    name: str, plan: BenchmarkPlan, rollouts: Rollouts, stopping: Stopping | None = None
) -> Source:
    """A benchmark that is planned, with the rollouts there are, as its bundle will tell it."""
    benchmark: dict[str, Any] = {
        "name": plan.name,
        "slug": plan.slug,
        "repeats": plan.repeats,
        "coverage": {"planned": plan.n_rollouts, "floor": plan.settings.min_coverage},
        "stopping": None if stopping is None else msgspec.to_builtins(stopping),
    }
    document = {"config": config_of(plan), "benchmark": benchmark}
    bundle = published(document, where=plan.slug)
    return Source(name, Path(plan.slug), bundle, given=rollouts)


class Bets:
    """On the limits of one benchmark: on a drop beyond each, and on one within each."""

    def __init__(
        self,
        metric: Metric,
        limits: Sequence[tuple[float, float]],
        ends: Mapping[int, tuple[float, float]],
        watched: Watched,
        prefix: Prefix,
    ) -> None:
        """``limits``: the largest damage, and the share of the baseline's score it is beyond;
        ``ends``: the least and the most that the baseline's value of each problem can be."""
        assert watched.within is not None
        self._metric, self._ends, self._prefix = metric, ends, prefix
        self._sign = 1.0 if metric.higher_is_better else -1.0
        self._values = watched.within
        self._sides = []
        for limit, share in limits:
            kept = 1 - self._sign * share
            low, high = watched.excess_within(self._sign, kept)
            beyond = Wealth(limit, (low, high), watched.looks)
            within = Wealth(-limit, (-high, -low), watched.looks)
            self._sides.append((kept, beyond, within))

    def add(self, unit: Sequence[int]) -> bool:
        """A complete unit; False where a value is out of the range that was known before."""
        ends = [self._damages(problem) for problem in unit]
        try:
            for i, (_, beyond, within) in enumerate(self._sides):
                beyond.add_one(math.fsum(e[i][0] for e in ends), len(unit))
                within.add_one(-math.fsum(e[i][1] for e in ends), len(unit))
        except ValueError:
            return False
        return True

    def tell(self, rules: int) -> bool:
        """Whether a drop beyond a limit is shown, or one beyond any is ruled out."""
        shown = math.log(rules / LEVEL)
        ruled_out = math.log(1 / (LEVEL * AT_LOOKS))
        return any(beyond.log >= shown for _, beyond, _ in self._sides) or all(
            within.log >= ruled_out for _, _, within in self._sides
        )

    def _damages(self, problem: int) -> list[tuple[float, float]]:
        """The least and the most the damage can be, beyond each share of the baseline."""
        answers = self._prefix.answers(problem)
        low = high = self._value(answers, self._values[0])
        if None in answers:
            high = self._value(answers, self._values[1])
        least, most = self._ends[problem]
        found = []
        for kept, _, _ in self._sides:
            ends = [
                self._sign * (kept * one - other)
                for one, other in ((least, high), (most, low), (least, low), (most, high))
            ]
            found.append((min(ends), max(ends)))
        return found

    def _value(self, answers: Sequence[Answer | None], missing: float) -> float:
        column = [missing if a is None else _counted(a, self._metric) for a in answers]
        total = math.fsum(column)
        if self._metric.k == 1:
            return total / len(column)
        return float(of_problems(self._metric, np.array([total]), np.array([len(column)]))[0])


def _counted(answer: Answer, metric: Metric) -> float:
    if not metric.verdicts:
        return answer.reward
    return float(answer.reward > 0) if math.isnan(answer.correct) else answer.correct


def bets_on(
    baseline: Source,
    candidate: Source,
    metric: Metric,
    rules: GateRules,
    prefix: Prefix,
    rule: StoppingRule,
) -> Bets | None:
    """The bets on the limits of a benchmark; None where the range of the metric is not known, or
    its values are not known before the end."""
    if not metric.score or metric.macro:
        return None
    within = value_range(metric, baseline, candidate)
    assert within is not None
    problems = np.array(sorted(prefix.planned), dtype=np.int64)
    low, high = ends_by_problem(baseline, metric, problems, within)
    ends = dict(zip(problems.tolist(), zip(low.tolist(), high.tolist(), strict=True), strict=True))
    limits = [(rules.max_drop, 0.0)]
    score, guard = float((low + high).mean()) / 2, rules.relative_guard_below
    if rules.max_relative_drop is not None and score and (guard is None or score < guard):
        limits.append((0.0, rules.max_relative_drop))
    looks = Looks(rule.horizon, rule.largest)
    return Bets(metric, limits, ends, Watched(looks, stopped=True, within=within), prefix)
