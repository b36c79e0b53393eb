"""The interval of a paired difference: published numbers, an independent solver, the edges."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nemo_evaluator.stats.intervals import t_interval
from nemo_evaluator.stats.paired import (
    flip_skewness,
    paired_difference,
    score_limits,
    skewness_of_mean,
    tango,
)

Z = 1.959963984540054
verdicts = st.lists(st.tuples(st.booleans(), st.booleans()), min_size=1, max_size=80)


def test_tango_as_published() -> None:
    """Fagerland, Lydersen and Laake 2014, table of 21 children: -0.517 to -0.026."""
    assert tango(1, 7, 21, Z) == pytest.approx((-0.517, -0.026), abs=5e-4)
    assert tango(0, 0, 1000, Z) == pytest.approx((-0.003827, 0.003827), abs=1e-6)
    assert tango(0, 3, 1000, Z) == pytest.approx((-0.008783, 0.000838), abs=1e-6)


@settings(deadline=None)
@given(st.integers(0, 40), st.integers(0, 40), st.integers(1, 60))
def test_tango_inverts_its_score(won: int, lost: int, rest: int) -> None:
    """At each limit the score is z, its nuisance share found by maximising the likelihood."""
    optimize = pytest.importorskip("scipy.optimize")
    n = won + lost + rest
    for limit in tango(won, lost, n, Z):

        def loss(q: float, limit: float = limit) -> float:
            shares = (q + limit, q, 1 - 2 * q - limit)
            if min(shares) < -1e-12:
                return math.inf
            return -sum(
                k * math.log(max(p, 1e-300))
                for k, p in zip((won, lost, rest), shares, strict=True)
                if k
            )

        low, high = max(0.0, -limit), (1 - limit) / 2
        q = optimize.minimize_scalar(loss, bounds=(low, high), method="bounded",
                                     options={"xatol": 1e-12}).x  # fmt: skip
        variance = n * (2 * q + limit * (1 - limit))
        assert abs(won - lost - n * limit) == pytest.approx(Z * math.sqrt(variance), rel=1e-3)


@given(verdicts)
def test_verdicts_keep_width_and_mirror(pairs: list[tuple[bool, bool]]) -> None:
    one, other = np.array(pairs, dtype=float).T
    found, mirrored = paired_difference(one, other), paired_difference(other, one)
    assert -1 <= found.lower <= found.delta + 1e-12 and found.delta - 1e-12 <= found.upper <= 1
    assert found.upper - found.lower > 1 / len(one) ** 1.01
    assert mirrored.lower == pytest.approx(-found.upper) and mirrored.delta == -found.delta
    assert found.method == "score (Tango)" and found.n == found.units == len(pairs)


@given(
    st.lists(st.tuples(st.integers(0, 8), st.integers(0, 8)), min_size=2, max_size=60),
    st.integers(1, 9),
)
def test_graded_is_never_narrower_than_t(pairs: list[tuple[int, int]], groups: int) -> None:
    one, other = np.array(pairs, dtype=float).T / 8
    labels = [i % groups for i in range(len(one))] if groups > 1 else None
    found = paired_difference(one, other, labels)
    assert -1 <= found.lower <= found.delta <= found.upper <= 1 or math.isinf(found.upper)
    assert found.lower < found.upper
    if found.method.startswith("t") and labels is None:
        plain = t_interval(other - one)
        assert found.lower <= max(-1, plain.lower) + 1e-12
        assert found.upper >= min(1, plain.upper) - 1e-12


def test_score_of_whole_flips_is_tangos() -> None:
    differences = np.array([-1.0] * 7 + [1.0] + [0.0] * 13)
    assert score_limits(differences, 1.0, Z) == pytest.approx(tango(1, 7, 21, Z))
    quarter = score_limits(differences / 4, 1.0, Z)
    assert quarter == pytest.approx(tuple(x / 4 for x in tango(1, 7, 21, Z)))
    assert score_limits(np.array([-0.25] * 3 + [0.0] * 997), 1.0, Z) == pytest.approx(
        (-0.0022, 0.0002), abs=5e-5
    )


@pytest.mark.parametrize("n", [10, 100, 1000])
def test_all_alike_is_not_certain(n: int) -> None:
    same = paired_difference(np.full(n, 0.5), np.full(n, 0.5))
    assert same.upper == -same.lower == pytest.approx(Z**2 / (n + Z**2))
    drop = paired_difference(np.ones(n), np.full(n, 0.75))
    assert drop.lower < -0.25 < drop.upper < 0
    unbounded = paired_difference(np.full(n, 50.0), np.full(n, 49.0))
    assert -2 < unbounded.lower < -1 < unbounded.upper < 0


def test_one_unit_has_no_limits() -> None:
    for one, other, labels in (
        (np.array([0.5]), np.array([0.25]), None),
        (np.ones(50), np.zeros(50), ["passage"] * 50),
    ):
        found = paired_difference(one, other, labels)
        assert (found.lower, found.upper) == (-math.inf, math.inf)
        assert math.isnan(found.error) and found.method == "none (one unit)" and found.units == 1
    alone = paired_difference(np.array([1.0]), np.array([1.0]))
    assert alone.upper == -alone.lower == pytest.approx(Z**2 / (1 + Z**2))


@given(st.integers(1, 30), st.integers(0, 30), st.sampled_from([61, 200, 1000]))
def test_the_skewness_of_flips_is_that_of_their_differences(lost: int, won: int, n: int) -> None:
    differences = np.zeros(n)
    differences[:lost], differences[lost : lost + won] = -1.0, 1.0
    found = skewness_of_mean(differences)
    assert abs(found) == pytest.approx(flip_skewness(lost, won, n), abs=1e-12)
    assert found * (won - lost) >= 0
    assert skewness_of_mean(differences, [i // 2 for i in range(n)]) * (won - lost) >= 0


def test_clusters_widen() -> None:
    one, other = np.ones(60), np.sort([1.0, 0, 1, 1, 0, 1] * 10)
    alike = paired_difference(one, other, [i // 10 for i in range(60)])
    assert alike.units == 6 and alike.method.startswith("t (clustered)")
    free = paired_difference(one, other)
    assert alike.upper - alike.lower > 2 * (free.upper - free.lower)


def test_unequal_clusters_count_for_fewer() -> None:
    rng = np.random.default_rng(0)
    one, other = rng.random(100), rng.random(100)
    equal = paired_difference(one, other, [i // 10 for i in range(100)])
    unequal = paired_difference(one, other, [min(i // 5, 10) for i in range(100)])
    assert unequal.units == 11 and equal.units == 10
    assert (unequal.upper - unequal.delta) / unequal.error > (
        equal.upper - equal.delta
    ) / equal.error


def test_what_cannot_be_paired_is_refused() -> None:
    for one, other in ((np.ones(2), np.ones(3)), (np.ones(0), np.ones(0))):
        with pytest.raises(ValueError, match="cannot be paired"):
            paired_difference(one, other)
    with pytest.raises(ValueError, match="not finite"):
        paired_difference(np.ones(2), np.array([1.0, math.nan]))
    with pytest.raises(ValueError, match="same length"):
        paired_difference(np.ones(2), np.ones(2) / 2, ["a"])
