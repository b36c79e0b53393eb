"""Intervals of rewards on other scales, of skewed ones, and of clusters that are not alike."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nemo_evaluator.stats.intervals import mean_interval, tilted, wilson
from nemo_evaluator.stats.thin_data import deviating, thin_evidence
from nemo_evaluator.stats.units import corrected_sums


@given(
    st.lists(st.floats(0, 1), min_size=1, max_size=30),
    st.sampled_from([(0.0, 100.0), (1.0, 10.0), (-1.0, 1.0)]),
    st.booleans(),
)
def test_an_interval_lies_in_its_range_and_goes_with_its_scale(
    shares: list[float], within: tuple[float, float], grouped: bool
) -> None:
    low, high = within
    values = np.array(shares)
    clusters = [i // 2 for i in range(len(values))] if grouped else None
    plain = mean_interval(values, clusters)
    found = mean_interval(low + (high - low) * values, clusters, within=within)
    slack = 1e-6 * (high - low)
    assert low - slack <= found.lower <= found.value + slack
    assert found.value - slack <= found.upper <= high + slack
    assert found.lower == pytest.approx(low + (high - low) * plain.lower, abs=slack)


def test_verdicts_of_minus_one_and_one_are_verdicts() -> None:
    found = mean_interval(np.array([1.0] * 9 + [-1.0]), within=(-1, 1))
    plain = mean_interval(np.array([1.0] * 9 + [0.0]))
    assert found.method == "wilson, mid-p"
    assert (found.lower + 1) / 2 == pytest.approx(plain.lower)


def test_values_outside_their_range_are_refused() -> None:
    with pytest.raises(ValueError, match=r"in \[0, 1\]"):
        mean_interval(np.array([0.5, 2.0]), within=(0, 1))


def test_tilted_is_near_wilson_for_rare_verdicts() -> None:
    v, k = 0.04 * 0.96 / 100, 0.04 * 0.96 * 0.92 / 100**2
    found = tilted(0.04, v, k, 1.959964)
    assert found == pytest.approx((0.0154, 0.0999), abs=1e-4)
    assert found == pytest.approx(wilson(0.04, 100), abs=0.002)


def test_corrected_sums() -> None:
    found = corrected_sums(np.array([-1.0, -1.0, 2.0]), ["a", "a", "b"])
    assert found == pytest.approx([-2 * 4.5**0.5, 2 * 1.5**0.5])
    equal = corrected_sums(np.array([1.0, 1.0, -2.0, 0.0]), [0, 0, 1, 1])
    assert equal == pytest.approx([2 * 2**0.5, -2 * 2**0.5])


def test_thin_evidence_is_named() -> None:
    graded = np.linspace(0, 1, 100)
    assert thin_evidence(graded) == []
    assert thin_evidence(graded, [i // 5 for i in range(100)]) == []
    giant = thin_evidence(graded, [max(0, i - 50) for i in range(100)])
    assert len(giant) == 1 and "one cluster holds 51 %" in giant[0]
    assert "effective clusters" in thin_evidence(graded, [i // 25 for i in range(100)])[0]
    peaked = np.array([8.0] * 97 + [1.0] * 3)
    assert deviating(peaked) == pytest.approx(3.2, abs=0.05)
    assert "declare reward_range" in thin_evidence(peaked)[0]
    assert thin_evidence(peaked, within=(1, 10)) == []
