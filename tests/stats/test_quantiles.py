"""Intervals of quantiles cover what they say, also where answers to a problem are alike."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nemo_evaluator.stats.quantiles import quantile_interval


def test_the_median_of_a_hundred() -> None:
    found = quantile_interval(np.arange(1.0, 100.0), 0.5)
    assert found.value == 50
    assert (found.lower, found.upper) == pytest.approx((40.4, 59.6), abs=0.3)


@pytest.mark.parametrize("q", [0.5, 0.9])
def test_quantile_intervals_hold_the_truth_as_often_as_they_say(q: float) -> None:
    draw = np.random.default_rng(1)
    truth = -np.log(1 - q)
    found = [quantile_interval(draw.exponential(size=150), q) for _ in range(600)]
    covered = np.mean([one.lower <= truth <= one.upper for one in found])
    assert 0.92 <= covered <= 0.985


def test_answers_that_are_alike_are_worth_less() -> None:
    draw = np.random.default_rng(2)
    truth, covered, naive = 0.0, 0, 0
    for _ in range(300):
        values = np.repeat(draw.normal(size=40), 8) + draw.normal(scale=0.05, size=320)
        clusters = np.repeat(np.arange(40), 8).tolist()
        found = quantile_interval(values, 0.5, clusters)
        alone = quantile_interval(values, 0.5)
        covered += found.lower <= truth <= found.upper
        naive += alone.lower <= truth <= alone.upper
    assert covered / 300 >= 0.9
    assert naive / 300 < 0.7


@given(
    st.lists(st.floats(0, 1e9), min_size=1, max_size=60),
    st.floats(0.01, 0.99),
    st.integers(1, 5),
)
def test_it_holds_its_value_and_stays_within_the_data(
    values: list[float], q: float, size: int
) -> None:
    clusters = [i // size for i in range(len(values))]
    found = quantile_interval(np.array(values), q, clusters)
    assert min(values) <= found.lower <= found.upper <= max(values)
    assert found.lower <= found.value * (1 + 1e-12) and found.value <= found.upper * (1 + 1e-12)


@pytest.mark.parametrize(("values", "q"), [([], 0.5), ([1.0], 0.0), ([1.0], 1.0)])
def test_what_has_no_quantile(values: list[float], q: float) -> None:
    with pytest.raises(ValueError):
        quantile_interval(np.array(values), q)
