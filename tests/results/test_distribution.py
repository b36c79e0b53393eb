"""Histograms that a report draws."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nemo_evaluator.results.distribution import BINS, distribution


def test_a_hundred_numbers_in_round_bins() -> None:
    found = distribution(np.arange(100.0), "ms")
    assert found is not None
    assert found.edges == tuple(float(x) for x in range(0, 101, 5))
    assert found.counts == (5,) * 20 and not found.log
    assert (found.min, found.p50, found.p90, found.max) == (0, 49.5, 89.1, 99)


def test_counts_have_bins_of_their_own() -> None:
    found = distribution(np.array([1.0, 2.0, 3.0]), "", whole=True)
    assert found is not None
    assert (found.edges, found.counts) == ((0, 1, 2, 3, 4), (0, 1, 1, 1))


def test_a_long_tail_is_drawn_by_factors() -> None:
    values = np.random.default_rng(0).lognormal(7, 1.5, 5000)
    found = distribution(values, "ms")
    assert found is not None and found.log
    ratios = np.array(found.edges[1:]) / np.array(found.edges[:-1])
    assert ratios == pytest.approx(10**0.1, rel=1e-4)


def test_one_outlier_does_not_stretch_the_plot() -> None:
    values = np.append(np.linspace(90, 110, 2000), 1e6)
    found = distribution(values, "ms")
    assert found is not None
    assert found.edges[-1] <= 115 and found.max == 1e6 and sum(found.counts) == 2001


def test_nothing_has_no_distribution() -> None:
    assert distribution(np.zeros(0), "ms") is None


@given(st.lists(st.floats(0, 1e9), min_size=1, max_size=60), st.booleans())
def test_every_number_is_counted_once(values: list[float], whole: bool) -> None:
    numbers = np.array([float(int(x)) for x in values] if whole else values)
    found = distribution(numbers, "", whole=whole)
    assert found is not None
    assert sum(found.counts) == len(values) == found.n
    assert len(found.edges) == len(found.counts) + 1
    assert list(found.edges) == sorted(set(found.edges))
    assert len(found.counts) <= 4 * BINS or found.log
