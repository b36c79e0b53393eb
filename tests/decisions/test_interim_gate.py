"""What counts of a benchmark that is looked at while it runs."""

from __future__ import annotations

import math
import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from columns import columns
from hypothesis import given
from hypothesis import strategies as st
from journals import plan

from nemo_evaluator.config.gate_policy import GatePolicy
from nemo_evaluator.decisions.gate import gate
from nemo_evaluator.decisions.gate_rules import Status
from nemo_evaluator.decisions.interim_gate import Answer, Prefix, WatchedBenchmark, units_of
from nemo_evaluator.decisions.sources import Source
from nemo_evaluator.results.stopping import Decision, StoppingRule
from nemo_evaluator.types import RolloutKey

RIGHT = Answer(1.0, 1.0, False)


@given(
    st.lists(st.lists(st.integers(), min_size=1, max_size=3), min_size=1, max_size=8),
    st.integers(1, 3),
    st.randoms(use_true_random=False),
    st.data(),
)
def test_only_a_prefix_of_whole_units_counts(
    shape: list[list[int]], repeats: int, chance: random.Random, data: Any
) -> None:
    """Whatever came back first: the units that count are the first ones, each complete."""
    numbers = iter(range(10_000))
    units = [[next(numbers) for _ in unit] for unit in shape]
    keys = [RolloutKey(p, r) for unit in units for p in unit for r in range(repeats)]
    chance.shuffle(keys)
    ended = keys[: data.draw(st.integers(0, len(keys)))]
    prefix = Prefix(units, repeats)
    told = [unit for key in ended for unit in prefix.add(key, RIGHT)]
    whole = [all(RolloutKey(p, r) in ended for p in u for r in range(repeats)) for u in units]
    expected = units[: whole.index(False)] if False in whole else units
    assert told == expected and prefix.problems == [p for unit in expected for p in unit]
    assert prefix.complete is (len(ended) == len(keys))


def test_a_cluster_is_asked_together_and_clusters_in_random_order() -> None:
    clusters = {problem: f"c{problem % 10}" for problem in range(60)}
    units = units_of(range(100), clusters, 7)
    assert sorted(map(len, units)) == [1] * 40 + [6] * 10
    assert {frozenset(clusters.get(p, str(p)) for p in unit) for unit in units} == {
        frozenset([name]) for name in [*(f"c{i}" for i in range(10)), *map(str, range(60, 100))]
    }
    assert units == units_of(range(100), clusters, 7) != units_of(range(100), clusters, 8)
    assert units_of([3, 1, 2], {}, None) == [[3], [1], [2]]


def test_large_clusters_do_not_come_first() -> None:
    """Where a problem is drawn first, its cluster is likely a large one; a cluster is drawn."""
    clusters = dict.fromkeys(range(50), "large")
    places = [
        next(i for i, unit in enumerate(units_of(range(100), clusters, seed)) if len(unit) > 1)
        for seed in range(200)
    ]
    assert np.mean(places) == pytest.approx(25, abs=3)


def test_a_rollout_without_a_verdict_is_waited_for_no_longer() -> None:
    prefix = Prefix([[0], [1]], 2)
    first = [RolloutKey(1, 0), RolloutKey(1, 1), RolloutKey(0, 0)]
    assert not [unit for key in first for unit in prefix.add(key, RIGHT)]
    assert list(prefix.add(RolloutKey(0, 1), None)) == [[0], [1]]
    assert prefix.answers(0) == [RIGHT, None] and math.isnan(Answer(0.5, math.nan, True).correct)


N = 400
PLAN = plan(N, name="bench", slug="bench")
POLICY = GatePolicy.model_validate({"defaults": {"metric": "mean_reward", "max_drop": 0.1}})


def ended(lost: float, won: float, generator: np.random.Generator) -> tuple[Status | None, int]:
    """What a run decides, and after how many problems: the gate applied as the run goes on, its
    answers coming back in an order of their own."""
    baseline = (generator.uniform(size=N) < 0.7).astype(float)
    u, right = generator.uniform(size=N), baseline == 1
    candidate = np.where(right & (u < lost / 0.7), 0.0, baseline)
    candidate = np.where(~right & (u < won / 0.3), 1.0, candidate)
    rule = StoppingRule(policy="p", policy_digest="", baseline="b", problems=N, horizon=N)
    one = Source("bench", Path("b"), given=columns(baseline[:, None]))
    rules = POLICY.rules_of("bench")
    live = WatchedBenchmark("bench", PLAN, one, rules, [[i] for i in range(N)], rule)
    order = np.argsort(np.arange(N) + generator.uniform(0, 20, N))  # wrong ones no later
    for i in order.tolist():
        reward = float(candidate[i])
        for _ in live.add(RolloutKey(i, 0), Answer(reward, reward, False)):
            if not live.worth_a_look(rules=1):
                continue
            stop = Decision(status="", reason="", problems=tuple(live.prefix.problems))
            report = gate({"bench": one}, {"bench": live.candidate(stop)}, POLICY)
            status = report.benchmarks[0].status
            if status in (Status.PASS, Status.BREACH):
                return status, len(stop.problems)
    return None, N


@pytest.mark.slow
def test_runs_that_end_when_decided_are_wrong_no_more_often_than_stated() -> None:
    generator, runs = np.random.default_rng(3), 120
    at_limit = [ended(0.12, 0.02, generator)[0] for _ in range(runs)]
    allowed = 0.025 * runs + 3 * math.sqrt(0.025 * 0.975 * runs)
    assert at_limit.count(Status.BREACH) <= allowed and at_limit.count(Status.PASS) <= allowed
    worse = [ended(0.32, 0.02, generator) for _ in range(30)]
    assert [status for status, _ in worse].count(Status.BREACH) >= 28
    assert np.median([n for _, n in worse]) <= N / 4
    alike = [ended(0.02, 0.02, generator) for _ in range(30)]
    assert [status for status, _ in alike].count(Status.PASS) >= 28
    assert np.median([n for _, n in alike]) <= N / 3
