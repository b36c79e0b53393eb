"""Bootstrap intervals, confidence sequences, stability and ranks."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nemo_evaluator.stats.ranks import rank_intervals
from nemo_evaluator.stats.resampling import bca_bootstrap, bootstrap, cluster_bootstrap
from nemo_evaluator.stats.stability import stability


def test_bootstrap_as_published() -> None:
    for values, expected in (
        ([1.0, 0.0] * 5, (0.2, 0.8)),
        ([0.5, 0.7, 0.3, 0.6, 0.4], (0.38, 0.62)),
        ([0.8, 0.7, 0.9, 0.85, 0.75, 0.6, 0.95], (0.707143, 0.871429)),
        ([1.0] * 100, (1.0, 1.0)),
        ([0.0] * 100, (0.0, 0.0)),
        ([0.5], (0.5, 0.5)),
    ):
        assert bootstrap(np.array(values)) == pytest.approx(expected, abs=0.01)


@pytest.mark.parametrize("skew", [1, 3])
def test_bca_against_scipy(skew: int) -> None:
    stats = pytest.importorskip("scipy.stats")
    values = np.random.default_rng(4).random(60) ** skew
    expected = stats.bootstrap((values,), np.mean, rng=np.random.default_rng(0)).confidence_interval
    assert bca_bootstrap(values) == pytest.approx(tuple(expected), abs=0.004)
    assert bca_bootstrap(values) == bca_bootstrap(values)
    assert bca_bootstrap(values, seed=1) != bca_bootstrap(values)
    assert bca_bootstrap(np.full(9, 0.3)) == pytest.approx((0.3, 0.3))


def test_cluster_bootstrap() -> None:
    assert cluster_bootstrap(np.array([1.0, 1, 0, 0]), list("aabb")) == (0.0, 1.0)
    values = np.random.default_rng(7).random(300)
    own = cluster_bootstrap(values, list(range(300)))
    assert own == pytest.approx(bootstrap(values), abs=1e-12)
    doubled = cluster_bootstrap(np.repeat(values, 2), [i // 2 for i in range(600)])
    assert doubled == pytest.approx(own, abs=1e-12)


def test_stability_is_measured_over_repeats() -> None:
    rewards = np.array([1.0, 1, 1, 0, 0, 0, 1, 1, 1])
    found = stability(list("aabbccdde"), rewards)
    assert found is not None and found.n == 4
    assert (found.always_right, found.always_wrong, found.mixed) == (0.5, 0.25, 0.25)
    assert found.within_variance == pytest.approx(0.125)
    assert found.pass_hat == {1: 0.625, 2: 0.5}
    assert stability(list("abc"), np.ones(3)) is None and stability([], np.array([])) is None
    graded = stability([0, 0, 1, 1], np.array([0.4, 0.6, 0.9, 0.8]), correct_above=0.5)
    assert graded is not None and graded.mixed == graded.always_right == 0.5


@given(st.lists(st.tuples(st.integers(0, 9), st.booleans()), min_size=2, max_size=60))
def test_shares_of_stability_sum_to_one(rows: list[tuple[int, bool]]) -> None:
    found = stability([p for p, _ in rows], np.array([float(r) for _, r in rows]))
    if found is not None:
        assert found.always_right + found.always_wrong + found.mixed == pytest.approx(1)
        curve = list(found.pass_hat.values())
        assert curve == sorted(curve, reverse=True)
        assert curve[-1] >= found.always_right - 1e-12


def test_ranks_as_far_as_the_data_tell() -> None:
    rng = np.random.default_rng(0)
    base = rng.random(400)
    table = np.column_stack([base + rng.normal(0, 0.1, 400) - drop for drop in (0, 0.002, 0.2)])
    assert [tuple(place)[1:] for place in rank_intervals(table)] == [(1, 2), (1, 2), (3, 3)]
    assert rank_intervals(table) == rank_intervals(table)
    twice = rank_intervals(np.repeat(table, 2, axis=0), [i // 2 for i in range(800)])
    assert [p.low for p in twice] == [1, 1, 3]
    # The same means from two clusters alone tell nothing apart.
    assert {(p.low, p.high) for p in rank_intervals(table, [0] * 200 + [1] * 200)} <= {
        (1, 3), (1, 2), (3, 3),
    }  # fmt: skip
    assert {(p.low, p.high) for p in rank_intervals(table, [0] * 400)} == {(1, 3)}


def test_ranks_at_the_edges() -> None:
    assert rank_intervals(np.ones((5, 1))) == [(1, 1, 1)]
    assert rank_intervals(np.ones((5, 2))) == [(1, 1, 2), (1, 1, 2)]
    assert rank_intervals(np.array([[1.0, 0.0]])) == [(1, 1, 2), (2, 1, 2)]
    assert rank_intervals(np.tile([1.0, 0.0], (30, 1))) == [(1, 1, 1), (2, 2, 2)]
    # two answers of two are no certainty, whatever their standard error of 0 says
    assert rank_intervals(np.tile([1.0, 0.0], (2, 1))) == [(1, 1, 2), (2, 1, 2)]
    assert rank_intervals(np.tile([0.7, 0.2], (5, 1))) == [(1, 1, 2), (2, 1, 2)]
    six_clusters = [i % 6 for i in range(30)]
    assert rank_intervals(np.tile([1.0, 0.0], (30, 1)), six_clusters) == [(1, 1, 1), (2, 2, 2)]
    two_clusters = [i % 2 for i in range(30)]
    assert rank_intervals(np.tile([1.0, 0.0], (30, 1)), two_clusters) == [(1, 1, 2), (2, 1, 2)]
    for shape in ((0, 2), (2, 0)):
        with pytest.raises(ValueError, match="problems × models"):
            rank_intervals(np.ones(shape))


@pytest.mark.slow
def test_intervals_of_ranks_cover() -> None:
    rng = np.random.default_rng(6)
    missed = np.zeros(4)
    for _ in range(300):
        base = rng.random(120)[:, None]
        table = base + rng.normal(0, 0.2, (120, 4)) - np.array([0, 0.02, 0.04, 0.3])
        places = rank_intervals(table, resamples=400)
        missed += [not p.low <= i + 1 <= p.high for i, p in enumerate(places)]
    assert (missed / 300 <= 0.05).all()
