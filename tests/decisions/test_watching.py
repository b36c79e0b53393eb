"""What counts of a benchmark that is looked at while it runs."""

from __future__ import annotations

import math
import random
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nemo_evaluator.decisions.watching import Answer, Prefix, units_of
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
    for repeat in range(2):
        prefix.add(RolloutKey(1, repeat), RIGHT)
    prefix.add(RolloutKey(0, 0), RIGHT)
    assert not prefix.problems
    assert prefix.add(RolloutKey(0, 1), None) == [[0], [1]]
    assert prefix.answers(0) == [RIGHT, None] and math.isnan(Answer(0.5, math.nan, True).correct)
