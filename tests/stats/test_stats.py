"""Intervals and pass@k against other implementations, the published numbers, and simulation."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nemo_evaluator.stats.intervals import (
    clopper_pearson,
    clt_interval,
    clustered_error,
    mean_interval,
    mid_p,
    t_interval,
    wilson,
    within_problem_interval,
)
from nemo_evaluator.stats.passk import pass_at_k, pass_hat_k, reported_k
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


@given(st.integers(1, 400).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_exact_intervals_of_a_share(case: tuple[int, int]) -> None:
    stats = pytest.importorskip("scipy.stats")
    x, n = case
    exact = stats.binomtest(x, n).proportion_ci(method="exact")
    assert clopper_pearson(x, n) == pytest.approx((exact.low, exact.high), abs=1e-9)
    lower, upper = mid_p(x, n)
    assert exact.low <= lower <= x / n <= upper <= exact.high
    if x:
        tail = stats.binom.sf(x, n, lower) + stats.binom.pmf(x, n, lower) / 2
        assert tail == pytest.approx(0.025, abs=1e-8)
    if x < n:
        tail = stats.binom.cdf(x - 1, n, upper) + stats.binom.pmf(x, n, upper) / 2
        assert tail == pytest.approx(0.025, abs=1e-8)


def test_shares_that_cannot_be_are_refused() -> None:
    for x, n in ((3, 2), (-1, 2), (0, 0)):
        with pytest.raises(ValueError, match="cannot be"):
            clopper_pearson(x, n)
        with pytest.raises(ValueError, match="cannot be"):
            mid_p(x, n)


@pytest.mark.parametrize(
    ("attempts", "right", "expected"),
    [
        ([2, 2, 2, 2], [2, 1, 0, 2], (0.625, 0.38, 0.87)),
        ([2, 1, 2], [1, 1, 1], (0.6667, 0.2047, 1.1286)),
        ([3] * 500, [3] * 325 + [1] * 50 + [0] * 125, (0.6833, 0.6741, 0.6926)),
        ([3] * 4, [1, 2, 0, 3], (0.5, 0.269016, 0.730984)),
        ([5] * 200, [2] * 200, (0.4, 0.366052, 0.433948)),
        ([4] * 100, [1] * 50 + [3] * 50, (0.5, 0.451001, 0.548999)),
        ([3] * 100, [3] * 60 + [0] * 40, (0.6, 0.6, 0.6)),
    ],
)
def test_noise_of_a_rerun_as_published(attempts, right, expected) -> None:
    found = within_problem_interval(np.array(attempts), np.array(right))
    assert found is not None
    assert (found.value, found.lower, found.upper) == pytest.approx(expected, abs=5e-5)


def test_noise_of_a_rerun_scales_as_published() -> None:
    assert within_problem_interval(np.ones(5), np.ones(5)) is None
    assert within_problem_interval(np.array([]), np.array([])) is None
    few = within_problem_interval(np.full(300, 3), np.full(300, 1))
    many = within_problem_interval(np.full(300, 12), np.full(300, 4))
    assert few is not None and many is not None
    ratio = (few.upper - few.lower) / (many.upper - many.lower)
    assert ratio == pytest.approx(math.sqrt(11 / 2), rel=1e-9)


def test_plain_intervals_as_published() -> None:
    normal = clt_interval(np.array([1.0, 0, 1, 0, 1]))
    assert (normal.lower, normal.upper) == pytest.approx((0.119909, 1.080091), abs=1e-6)
    clustered = clt_interval(np.array([1.0, 1, 0, 0, 1, 0]), list("aabbcc"))
    assert (clustered.lower, clustered.upper) == pytest.approx((-0.065793, 1.065793), abs=1e-6)
    for values, expected in (
        ([0.5, -0.5, 0.3, -0.3, 0.1], (-0.494954, 0.534954)),
        ([-0.02] * 25 + [0.0] * 25, (-0.012871, -0.007129)),
        ([0.1] * 100, (0.1, 0.1)),
    ):
        found = t_interval(np.array(values))
        assert (found.lower, found.upper) == pytest.approx(expected, abs=1e-6)
    alone = t_interval(np.array([0.3]))
    assert (alone.lower, alone.upper, alone.method) == (-math.inf, math.inf, "none (one unit)")


def test_a_label_may_be_anything_and_is_not_its_text() -> None:
    values = np.array([1.0, 1.0, 0.0, 0.0])
    assert clustered_error(values, [1, "1", None, (2, 3)])[1] == 4
    with pytest.raises(ValueError, match="same length"):
        mean_interval(values, ["a"])


def test_all_alike_but_not_at_an_edge_is_not_certain() -> None:
    half = mean_interval(np.full(100, 0.5))
    assert (half.lower, half.upper) == pytest.approx((0.4815, 0.5185), abs=5e-5)
    balanced = mean_interval(np.array([1.0, 0, 1, 0]), ["a", "a", "b", "b"])
    assert balanced.upper - balanced.lower > 0.5
    beyond = mean_interval(np.full(50, -2.0))
    assert beyond.lower < -2 < beyond.upper


def test_single_verdicts_cover_exactly() -> None:
    """Over all shares from 2 to 98 %, by summing the binomial distribution."""
    stats = pytest.importorskip("scipy.stats")
    for n, least in ((30, 0.9339), (100, 0.94), (300, 0.94)):
        limits = [mean_interval(np.array([1.0] * x + [0.0] * (n - x))) for x in range(n + 1)]
        lower, upper = (np.array([getattr(i, side) for i in limits]) for side in ("lower", "upper"))
        shares = np.linspace(0.02, 0.98, 193)
        held = (lower <= shares[:, None]) & (shares[:, None] <= upper)
        coverage = (stats.binom.pmf(np.arange(n + 1), n, shares[:, None]) * held).sum(axis=1)
        assert coverage.min() >= least
        assert abs(coverage[np.abs(shares - 0.5) < 0.3].mean() - 0.955) < 0.01
