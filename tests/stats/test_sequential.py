"""Evidence that may be looked at after every problem."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nemo_evaluator.stats.sequential import Looks, Wealth, first_shown, log_evidence, lower_limit

FLIPS = (-1.0, 1.0)
DIFFERENCES = st.lists(st.sampled_from([-1.0, -0.5, 0.0, 0.25, 1.0]), min_size=1, max_size=40)


def test_a_known_case() -> None:
    looks = Looks(1000)
    bets = looks.bets(2.0)
    assert bets == pytest.approx([0.2147, 0.3072, 0.4396, 0.6290, 0.9], abs=1e-4)
    # One bet by hand: 36 lost of 36 multiply it by (1 + λ·0.95)³⁶, λ at most 0.9/1.05.
    by_hand = np.mean((1 + np.minimum(bets, 0.9 / 1.05) * 0.95) ** 36)
    found = log_evidence(np.ones(36), None, 0.05, within=FLIPS, looks=looks)
    assert found == pytest.approx(math.log(by_hand))
    limit = lower_limit(np.zeros(100), level=0.025, within=FLIPS, looks=looks)
    assert limit == pytest.approx(-0.0568, abs=1e-4)
    assert log_evidence(np.zeros(100), None, limit, within=FLIPS, looks=looks) == pytest.approx(
        math.log(40), abs=1e-6
    )
    assert lower_limit(np.empty(0), level=0.025, within=FLIPS, looks=looks) == -1.0
    assert log_evidence(np.ones(9), None, 1.0, within=FLIPS, looks=looks) == -math.inf
    assert log_evidence(np.ones(9), None, -1.1, within=FLIPS, looks=looks) == math.inf


@given(DIFFERENCES, st.randoms(use_true_random=False))
def test_the_order_does_not_matter_and_what_is_larger_is_more(values: list[float], random) -> None:
    looks = Looks(200)

    def evidence(of: list[float]) -> float:
        return log_evidence(np.array(of), None, 0.05, within=FLIPS, looks=looks)

    shuffled = random.sample(values, len(values))
    assert evidence(shuffled) == pytest.approx(evidence(values))
    larger = [1.0, *values[1:]]
    assert evidence(larger) >= evidence(values) - 1e-12
    one_by_one = Wealth(0.05, FLIPS, looks)
    for value in values:
        one_by_one.add(np.array([value]))
    assert one_by_one.log == pytest.approx(evidence(values))


@given(DIFFERENCES)
def test_the_limit_is_where_the_evidence_is_enough(values: list[float]) -> None:
    looks, array = Looks(100), np.array(values)
    limit = lower_limit(array, level=0.025, within=FLIPS, looks=looks)
    assert -1 <= limit <= array.mean()
    below = log_evidence(array, None, limit - 1e-6, within=FLIPS, looks=looks)
    above = log_evidence(array, None, limit + 1e-6, within=FLIPS, looks=looks)
    assert below >= math.log(40) - 1e-3 or limit == -1
    assert above < math.log(40)


def test_what_was_not_said_before_the_first_look_is_refused() -> None:
    with pytest.raises(ValueError, match="guarantee"):
        log_evidence(np.array([1.5]), None, 0.0, within=FLIPS, looks=Looks(10))
    with pytest.raises(ValueError, match="cluster of more than 2"):
        log_evidence(np.array([1.0]), np.array([3.0]), 0.0, within=FLIPS, looks=Looks(10, 2))


def test_a_cluster_counts_once() -> None:
    looks = Looks(50, largest=4)
    sums, sizes = np.full(20, 4.0), np.full(20, 4.0)
    together = lower_limit(sums, sizes, level=0.025, within=FLIPS, looks=looks)
    alone = lower_limit(np.ones(20), level=0.025, within=FLIPS, looks=Looks(50))
    assert together == pytest.approx(alone)


@pytest.mark.parametrize("lost", [0.05, 0.08, 0.2])
def test_the_promise_holds_at_all_looks_together(lost: float) -> None:
    """A drop as large as the limit is shown to be larger in at most 2.5 % of runs that are looked
    at after every problem; the ordinary test says so three times as often or more."""
    generator, limit, runs = np.random.default_rng(5), 0.05, 2000
    u = generator.uniform(size=(runs, 1000))
    values = np.where(u < lost, 1.0, np.where(u < 2 * lost - limit, -1.0, 0.0))
    wrong = float((first_shown(values, np.ones(1000), limit, Looks(1000), 0.025) <= 1000).mean())
    assert wrong <= 0.025
    n = np.arange(1, 1001)
    mean = values.cumsum(axis=1) / n
    error = np.sqrt((values**2).cumsum(axis=1) / n - mean**2) / np.sqrt(n)
    looked = (mean - limit > 1.96 * error)[:, 29:]
    assert looked.any(axis=1).mean() > 0.075


def test_a_clear_drop_is_shown_within_a_sixth() -> None:
    """15 points worse, 5 allowed, 5 % of the problems better: half of the runs end in 1,000/6."""
    u = np.random.default_rng(6).uniform(size=(2000, 1000))
    values = np.where(u < 0.2, 1.0, np.where(u < 0.25, -1.0, 0.0))
    assert np.median(first_shown(values, np.ones(1000), 0.05, Looks(1000), 0.025)) <= 1000 / 6
