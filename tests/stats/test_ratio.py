"""The interval of a ratio of totals: Fieller's, its edges, and how often it holds the truth."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nemo_evaluator.stats.ratio import ratio_interval
from nemo_evaluator.stats.student import t_quantile


def fieller(a: np.ndarray, b: np.ndarray) -> tuple[float, float]:
    """The textbook's closed form, where the denominator is clearly not 0."""
    t, cov = t_quantile(0.975, len(a) - 1), np.cov(a, b) / len(a)
    square, middle = b.mean() ** 2 - t * t * cov[1, 1], a.mean() * b.mean() - t * t * cov[0, 1]
    root = math.sqrt(middle**2 - square * (a.mean() ** 2 - t * t * cov[0, 0]))
    return (middle - root) / square, (middle + root) / square


def test_fiellers_interval_where_values_are_symmetric() -> None:
    """Values without skew, for which the t test is the whole story."""
    a, b = np.array([3.0, 5.0, 4.0, 4.0] * 10), np.array([1.0, 1.0, 0.0, 2.0] * 10)
    found = ratio_interval(a, b)
    assert (found.value, found.n) == (4.0, 40)
    low, high = fieller(a, b)
    assert found.lower == pytest.approx(low, rel=0.02)
    assert found.upper == pytest.approx(high, rel=0.02)


def test_few_successes_leave_no_upper_limit() -> None:
    cost, solved = np.arange(1.0, 11.0), np.array([1.0] + [0.0] * 9)
    found = ratio_interval(cost, solved)
    assert found.value == 55.0 and found.upper == math.inf and 0 < found.lower < 55


def test_all_solved_is_no_certainty() -> None:
    found = ratio_interval(np.ones(20), np.ones(20))
    assert found.lower == 1.0 and 1.1 < found.upper < 1.3
    assert ratio_interval(np.ones(2000), np.ones(2000)).upper < 1.01


def test_a_ratio_has_an_interval_at_the_edges() -> None:
    assert ratio_interval(np.zeros(5), np.ones(5)).upper == 0.0
    alone = ratio_interval(np.array([2.0]), np.array([1.0]))
    assert (alone.value, alone.lower, alone.upper) == (2.0, 0.0, math.inf)
    with pytest.raises(ValueError, match="denominators"):
        ratio_interval(np.ones(3), np.zeros(3))


def test_clusters_count_as_one_observation() -> None:
    cost, solved = np.array([1.0, 2.0, 3.0, 4.0] * 10), np.array([1.0, 0.0, 1.0, 1.0] * 10)
    alone = ratio_interval(cost, solved)
    fours = ratio_interval(np.repeat(cost, 4), np.repeat(solved, 4), np.repeat(np.arange(40), 4))
    assert fours.upper == pytest.approx(alone.upper) and fours.lower == pytest.approx(alone.lower)


@given(
    st.lists(st.tuples(st.floats(0, 1e6), st.integers(0, 4)), min_size=1, max_size=30).filter(
        lambda pairs: any(b for _, b in pairs)
    )
)
def test_the_interval_holds_the_ratio_and_scales_with_the_unit(
    pairs: list[tuple[float, int]],
) -> None:
    a, b = np.array([x for x, _ in pairs]), np.array([float(y) for _, y in pairs])
    found = ratio_interval(a, b)
    assert 0 <= found.lower <= found.value * (1 + 1e-9) and found.value <= found.upper * (1 + 1e-9)
    cents = ratio_interval(a * 100, b)
    assert cents.lower == pytest.approx(100 * found.lower, rel=1e-6, abs=1e-9)


@pytest.mark.parametrize(("n", "share"), [(20, 0.5), (50, 0.1), (50, 0.9)])
def test_ratio_intervals_hold_the_truth_as_often_as_they_say(n: int, share: float) -> None:
    """Costs of failures are twice those of successes, as agents' are; lognormal."""
    generator = np.random.default_rng(n)
    truth = math.exp(0.5**2 / 2) * (2 - share) / share
    held = total = 0
    for _ in range(300):
        solved = (generator.random(n) < share).astype(float)
        cost = generator.lognormal(0, 0.5, n) * (2 - solved)
        if solved.any():
            found = ratio_interval(cost, solved)
            held += found.lower <= truth <= found.upper
            total += 1
    assert held / total > 0.92
