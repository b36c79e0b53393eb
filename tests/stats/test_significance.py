"""Tests on paired problems, against scipy, statsmodels and the published worked numbers."""

from __future__ import annotations

import math
import time
import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nemo_evaluator.stats.binomial import binomial_pmf, binomial_tail
from nemo_evaluator.stats.significance import mcnemar, permutation, sign_test, t_p_value

stats = pytest.importorskip("scipy.stats")
counts = st.integers(0, 3000)


@given(counts, counts)
def test_mcnemar_against_scipy(lost: int, won: int) -> None:
    n = lost + won
    worse = stats.binom.sf(lost - 1, n, 0.5) if n else 1.0
    assert mcnemar(lost, won) == pytest.approx(worse, rel=1e-9, abs=1e-300)
    assert mcnemar(won, lost, alternative="better") == mcnemar(lost, won)
    two_sided = stats.binomtest(lost, n).pvalue if n else 1.0
    assert mcnemar(lost, won, alternative="two-sided") == pytest.approx(two_sided, rel=1e-9)
    mid = worse - stats.binom.pmf(lost, n, 0.5) / 2 if n else 1.0
    assert mcnemar(lost, won, mid_p=True) == pytest.approx(mid, rel=1e-6, abs=1e-300)


@pytest.mark.parametrize(("lost", "won"), [(7, 1), (15, 2), (8, 2), (3, 9)])
def test_mcnemar_against_statsmodels(lost: int, won: int) -> None:
    tables = pytest.importorskip("statsmodels.stats.contingency_tables")
    found = tables.mcnemar([[5, lost], [won, 5]], exact=True).pvalue
    assert mcnemar(lost, won, alternative="two-sided") == pytest.approx(found, rel=1e-9)


@pytest.mark.parametrize(
    ("lost", "won", "p"),
    [
        (8, 2, 0.054688),
        (15, 2, 0.001175),
        (5, 2, 0.226562),
        (5, 0, 0.03125),
        (20, 0, 1e-6),
        (0, 0, 1),
    ],
)
def test_mcnemar_as_published(lost: int, won: int, p: float) -> None:
    assert mcnemar(lost, won) == pytest.approx(p, abs=6e-7)


def test_mid_p_as_published() -> None:
    """Fagerland, Lydersen and Laake 2013: 7 and 1 of 21 give 0.070, mid-p 0.039."""
    assert mcnemar(7, 1, alternative="two-sided") == pytest.approx(0.070, abs=5e-4)
    assert mcnemar(7, 1, alternative="two-sided", mid_p=True) == pytest.approx(0.039, abs=5e-4)


def test_mcnemar_of_a_hundred_thousand_flips_is_quick() -> None:
    start = time.perf_counter()
    p = mcnemar(50_300, 49_700)
    assert time.perf_counter() - start < 0.2
    assert p == pytest.approx(stats.binom.sf(50_299, 100_000, 0.5), rel=1e-9)
    with pytest.raises(ValueError, match="negative"):
        mcnemar(-1, 2)


@given(st.integers(0, 2000), st.floats(1e-9, 1 - 1e-9), st.integers(-3, 2003))
def test_the_binomial_against_scipy(n: int, p: float, k: int) -> None:
    first, weights = binomial_pmf(n, p)
    expected = stats.binom.pmf(np.arange(first, first + len(weights)), n, p)
    assert weights == pytest.approx(expected, rel=1e-8, abs=1e-12)
    assert binomial_tail(k, n, p) == pytest.approx(stats.binom.sf(k - 1, n, p), rel=1e-7, abs=1e-12)


def test_sign_test_as_published() -> None:
    assert sign_test(np.array([-0.3] * 15 + [0.2] * 3)) == pytest.approx(0.003769, abs=1e-6)
    assert sign_test(np.array([-0.3] * 10 + [0.2] * 10)) == pytest.approx(0.588099, abs=1e-6)
    assert sign_test(np.zeros(20)) == 1.0
    assert sign_test(np.array([0.1 + 0.2 - 0.3] * 9)) == 1.0
    assert sign_test(np.array([0.3] * 9), "better") == 2**-9


def the_rule(drops: np.ndarray, seed: int = 42, resamples: int = 10_000) -> float:
    """p = (1 + #{mean under permuted signs ≥ observed}) / (resamples + 1), written plainly."""
    signs = np.random.default_rng(seed).choice([-1, 1], (resamples, len(drops)))
    return float(1 + ((signs * drops).mean(axis=1) >= drops.mean()).sum()) / (resamples + 1)


@settings(max_examples=25, deadline=None)
@given(st.lists(st.integers(-8, 8), min_size=1, max_size=60), st.integers(0, 5))
def test_permutation_is_the_rule_where_floats_are_exact(eighths: list[int], seed: int) -> None:
    drops = np.array(eighths) / 8
    expected = the_rule(drops, seed) if drops.any() else 1.0
    assert permutation(-drops, seed=seed) == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("n", [1, 997, 20_000])
def test_permutation_draws_the_same_signs_in_blocks(n: int) -> None:
    drops = np.random.default_rng(n).normal(0.005, 0.3, n)
    assert permutation(-drops, resamples=300) == pytest.approx(the_rule(drops, 42, 300), abs=1e-12)
    mirrored = permutation(drops, resamples=300, alternative="better")
    assert mirrored == permutation(-drops, resamples=300)


def test_permutation_as_published() -> None:
    assert permutation(-np.array([0.5] * 20 + [-0.1] * 5)) == pytest.approx(0.0001, abs=1e-6)
    drops = np.array([0.3, 0.1, -0.2, 0.4, -0.1, 0.2, 0.0, 0.3])
    assert permutation(-drops, seed=123) == pytest.approx(0.089091, abs=1e-6)


def test_ties_count_whatever_their_rounding() -> None:
    """Published as 0.528047, for floats compared as they come; half of ±0.1·40 is 0.5627."""
    drops = np.array([0.1, -0.1] * 20)
    assert permutation(-drops, tolerance=0) == pytest.approx(0.528047, abs=1e-6)
    exact = stats.binom.sf(19, 40, 0.5)
    assert permutation(-drops) == pytest.approx(exact, abs=0.012)
    assert permutation(-drops) == permutation(-drops * 10)


def test_permutation_on_verdicts_is_mcnemars_test() -> None:
    differences = np.array([-1.0] * 15 + [1.0] * 6 + [0.0] * 79)
    assert permutation(differences) == pytest.approx(mcnemar(15, 6), abs=0.006)
    both = permutation(differences, alternative="two-sided")
    assert both == pytest.approx(mcnemar(15, 6, alternative="two-sided"), abs=0.008)


def test_permutation_of_many_is_quick_small_and_right() -> None:
    differences = np.random.default_rng(3).normal(-0.004, 1, 100_000)
    tracemalloc.start()
    start = time.perf_counter()
    p = permutation(differences)
    elapsed, peak = time.perf_counter() - start, tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    normal = stats.norm.cdf(differences.sum() / math.sqrt(differences @ differences))
    assert p == pytest.approx(normal, abs=0.015)
    assert elapsed < 5 and peak < 200e6  # 0.3 s untraced
    assert permutation(differences) == p


def test_permutation_flips_clusters_as_one() -> None:
    differences = np.array([-1.0] * 40 + [1.0] * 10)
    alike = permutation(differences, ["a"] * 40 + ["b"] * 10)
    assert alike == pytest.approx(0.5, abs=0.02)
    assert permutation(differences) < 0.001
    own = permutation(differences, list(range(50)))
    assert own == permutation(differences)
    with pytest.raises(ValueError, match="same length"):
        permutation(differences, ["a"])


def test_permutation_of_nothing() -> None:
    assert permutation(np.array([])) == permutation(np.zeros(5)) == 1.0


@given(st.lists(st.floats(-1, 1).map(lambda x: round(x, 3)), min_size=3, max_size=40))
def test_t_against_scipy(values: list[float]) -> None:
    data = np.array(values)
    if np.ptp(data) == 0:
        return
    error = data.std(ddof=1) / math.sqrt(len(data))
    for alternative, theirs in (("worse", "less"), ("better", "greater"), ("two-sided",) * 2):
        expected = stats.ttest_1samp(data, 0, alternative=theirs).pvalue
        found = t_p_value(float(data.mean()), error, len(data) - 1, alternative)
        assert found == pytest.approx(expected, rel=1e-6, abs=1e-12)


def test_t_without_evidence() -> None:
    assert t_p_value(-0.1, math.nan, 5) == t_p_value(-0.1, 0.1, 0) == 1.0
    assert t_p_value(-0.1, 0.0, 5) == 0.0 and t_p_value(0.0, 0.0, 5) == 1.0
    assert t_p_value(-0.02, 0.01, 99) == pytest.approx(0.0241, abs=5e-5)


def test_the_binomial_at_its_edges() -> None:
    for p, k in ((0.0, 0), (1.0, 9), (1e-310, 0)):
        first, weights = binomial_pmf(9, p)
        assert weights[k - first] == 1.0 and weights.sum() == 1.0
    assert binomial_tail(1, 9, 0.0) == 0.0 and binomial_tail(9, 9, 1.0) == 1.0
