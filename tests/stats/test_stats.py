"""Intervals and pass@k against other implementations, the published numbers, and simulation."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nemo_evaluator.stats.intervals import clustered_error, mean_interval, wilson
from nemo_evaluator.stats.passk import pass_at_k, pass_hat_k, reported_k
from nemo_evaluator.stats.resampling import bootstrap
from nemo_evaluator.stats.student import t_cdf, t_quantile

unit = st.floats(0, 1)


@given(st.floats(0.001, 0.999), st.floats(1, 500))
def test_t_against_scipy(p: float, df: float) -> None:
    stats = pytest.importorskip("scipy.stats")
    assert t_quantile(p, df) == pytest.approx(stats.t.ppf(p, df), rel=1e-6, abs=1e-9)
    assert t_cdf(1.5, df) == pytest.approx(stats.t.cdf(1.5, df), abs=1e-9)


def test_t_worked_numbers() -> None:
    assert t_quantile(0.975, 4) == pytest.approx(2.776445, abs=1e-6)
    assert t_quantile(0.975, math.inf) == pytest.approx(1.959964, abs=1e-6)
    assert t_quantile(0.025, 4) == -t_quantile(0.975, 4)
    with pytest.raises(ValueError, match="between 0 and 1"):
        t_quantile(1.0, 3)


def test_wilson_worked_numbers() -> None:
    assert wilson(0.5, 10) == pytest.approx((0.236593, 0.763407), abs=1e-6)
    assert wilson(1.0, 10) == pytest.approx((0.722467, 1.0), abs=1e-6)
    assert wilson(0.0, 10) == pytest.approx((0.0, 0.277533), abs=1e-6)


@pytest.mark.parametrize(
    ("values", "clusters", "expected"),
    [
        ([1.0] * 50 + [0.0] * 50, ["a"] * 50 + ["b"] * 50, 0.5),
        ([1, 0, 1, 0], ["a", "a", "b", "b"], 0.0),
        ([1, 1, 0, 0, 1, 0], ["a", "a", "b", "b", "c", "c"], 0.288675),
        ([1, 0, 1, 0, 1], None, 0.244949),
    ],
)
def test_clustered_standard_errors_as_published(values, clusters, expected) -> None:
    error, _ = clustered_error(np.array(values, dtype=float), clusters)
    assert error == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize(
    ("n", "c", "k", "expected"),
    [
        (5, 5, 1, 1), (5, 0, 1, 0), (5, 1, 1, 0.2), (5, 1, 5, 1), (10, 3, 2, 0.533333),
        (10, 3, 4, 0.833333), (10, 3, 8, 1), (10, 5, 3, 0.916667),
    ],
)  # fmt: skip
def test_pass_at_k_as_published(n: int, c: int, k: int, expected: float) -> None:
    assert pass_at_k(n, c, k) == pytest.approx(expected, abs=1e-6)


def test_pass_k_refuses_what_cannot_be() -> None:
    for n, c, k in ((2, 3, 1), (2, -1, 1), (2, 1, 3), (2, 1, 0)):
        with pytest.raises(ValueError, match=r"cannot be|needs between"):
            pass_at_k(n, c, k)
    assert reported_k(1) == [1] and reported_k(8) == [1, 2, 4, 8] and reported_k(6) == [1, 2, 4, 6]


@given(
    st.integers(1, 30).flatmap(
        lambda n: st.tuples(st.just(n), st.integers(0, n), st.integers(1, n))
    )
)
def test_all_right_is_rarer_than_any_right(case: tuple[int, int, int]) -> None:
    n, c, k = case
    assert 0 <= pass_hat_k(n, c, k) <= c / n + 1e-12 <= pass_at_k(n, c, k) + 2e-12


@given(st.lists(unit, min_size=1, max_size=60), st.data())
def test_an_interval_holds_its_mean_and_stays_in_the_unit_interval(
    values: list[float], data: st.DataObject
) -> None:
    clusters = data.draw(
        st.none() | st.lists(st.sampled_from("abc"), min_size=len(values), max_size=len(values))
    )
    interval = mean_interval(np.array(values), clusters)
    assert 0 <= interval.lower <= interval.value + 1e-9
    assert interval.value - 1e-9 <= interval.upper <= 1
    assert not math.isnan(interval.lower + interval.upper)


@given(st.lists(st.floats(-50, 50), min_size=2, max_size=40))
def test_unbounded_rewards_get_a_t_interval(values: list[float]) -> None:
    interval = mean_interval(np.array(values))
    assert interval.lower <= interval.value + 1e-6 and interval.value <= interval.upper + 1e-6


@pytest.mark.parametrize("value", [0.0, 1.0])
def test_the_edges_keep_their_width(value: float) -> None:
    for n in (1, 10, 100):
        interval = mean_interval(np.full(n, value))
        assert interval.upper - interval.lower > 0.01
    repeats = mean_interval(np.full(10, value), ["a"] * 5 + ["b"] * 5)
    assert repeats.upper - repeats.lower > mean_interval(np.full(10, value)).upper * 0.2


def test_bootstrap_as_published() -> None:
    assert bootstrap(np.array([1.0, 0.0] * 5)) == pytest.approx((0.2, 0.8), abs=0.01)
    assert bootstrap(np.array([0.5, 0.7, 0.3, 0.6, 0.4])) == pytest.approx((0.38, 0.62), abs=0.01)


@pytest.mark.slow
@pytest.mark.parametrize("n", [30, 100, 1000])
@pytest.mark.parametrize("p", [0.02, 0.2, 0.5, 0.8, 0.98])
def test_ninety_five_percent_intervals_cover(n: int, p: float) -> None:
    rng = np.random.default_rng(n)
    hits = rng.binomial(n, p, size=20_000) / n
    covered = {h: _holds(wilson(h, n), p) for h in np.unique(hits)}
    rate = np.mean([covered[h] for h in hits])
    # Wilson's coverage oscillates with n and p where few successes are expected.
    slack = 0.015 if n * min(p, 1 - p) >= 5 else 0.035
    assert 0.95 - slack <= rate <= 0.95 + slack + 0.02


@pytest.mark.slow
def test_intervals_of_repeats_cover() -> None:
    """Problems of different difficulty, four repeats each: the true mean is held in 95 %."""
    rng = np.random.default_rng(1)
    covered = 0
    trials = 3000
    for _ in range(trials):
        difficulty = rng.beta(1.2, 0.8, size=120)
        means = rng.binomial(4, difficulty) / 4
        covered += _holds_interval(means, 1.2 / 2.0)
    assert 0.935 <= covered / trials <= 0.965


def _holds(bounds: tuple[float, float], p: float) -> bool:
    return bounds[0] <= p <= bounds[1]


def _holds_interval(values: np.ndarray, truth: float) -> bool:
    interval = mean_interval(values)
    return interval.lower <= truth <= interval.upper
