"""Effect sizes, corrections for many tests, and equivalence."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nemo_evaluator.stats.effects import (
    cohens_dz,
    cohens_h,
    discordant_odds_ratio,
    relative_change,
)
from nemo_evaluator.stats.equivalence import equivalent, non_inferiority, tost
from nemo_evaluator.stats.multiple import benjamini_hochberg, bonferroni, holm
from nemo_evaluator.stats.paired import paired_difference

# Imported here, where the time it takes is no test's.
multitest = pytest.importorskip("statsmodels.stats.multitest")

p_values = st.lists(st.floats(0, 1), min_size=1, max_size=30)


@settings(deadline=None, max_examples=10)  # statsmodels collects garbage in every call
@given(p_values)
def test_corrections_against_statsmodels(p: list[float]) -> None:
    for ours, name in ((bonferroni, "bonferroni"), (holm, "holm"), (benjamini_hochberg, "fdr_bh")):
        expected = multitest.multipletests(p, method=name)[1]
        assert ours(p) == pytest.approx(list(expected), rel=1e-9, abs=1e-15)


def test_corrections_by_hand() -> None:
    assert holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert benjamini_hochberg([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.04, 0.04])
    assert bonferroni([0.01, 0.04]) == [0.02, 0.08]
    assert holm([]) == benjamini_hochberg([]) == bonferroni([]) == []
    for correct in (holm, benjamini_hochberg, bonferroni):
        for wrong in (1.1, -0.1, math.nan):
            with pytest.raises(ValueError, match="between 0 and 1"):
                correct([0.1, wrong])


def test_effect_sizes_equal_published_values() -> None:
    assert cohens_dz(np.array([0.5] * 20 + [-0.1] * 5)) == pytest.approx(1.551344, abs=1e-6)
    drops = np.array([0.3, 0.1, -0.2, 0.4, -0.1, 0.2, 0.0, 0.3])
    assert cohens_dz(drops) == pytest.approx(0.589256, abs=1e-6)
    assert cohens_dz(np.full(9, 0.1)) is None and cohens_dz(np.ones(1)) is None
    assert cohens_h(0.5, 0.25) == pytest.approx(-math.pi / 6)
    proportion = pytest.importorskip("statsmodels.stats.proportion")
    assert cohens_h(0.7, 0.8) == pytest.approx(proportion.proportion_effectsize(0.8, 0.7))
    with pytest.raises(ValueError, match="shares"):
        cohens_h(0.5, 1.2)
    assert discordant_odds_ratio(15, 2) == 7.5
    assert discordant_odds_ratio(3, 0) == math.inf and discordant_odds_ratio(0, 0) is None
    assert relative_change(0.8, 0.76) == pytest.approx(-0.05)
    assert relative_change(-2.0, -1.0) == 0.5 and relative_change(0.0, 0.1) is None


@settings(deadline=None)
@given(st.lists(st.floats(-1, 1).map(lambda x: round(x, 2)), min_size=3, max_size=60))
def test_tost_against_statsmodels(values: list[float]) -> None:
    weights = pytest.importorskip("statsmodels.stats.weightstats")
    data = np.array(values)
    if np.ptp(data) == 0:
        return
    error = float(data.std(ddof=1)) / math.sqrt(len(data))
    p = tost(float(data.mean()), error, len(data) - 1, -0.2, 0.3)
    expected = weights.DescrStatsW(data).ttost_mean(-0.2, 0.3)[0]
    assert p == pytest.approx(expected, rel=1e-6, abs=1e-12)


def test_equivalence_decides_as_tost_and_knows_the_edges() -> None:
    rng = np.random.default_rng(1)
    for shift in (0.0, 0.01, 0.02, 0.03):
        one = rng.uniform(0.2, 0.8, 400)
        other = one + rng.normal(-shift, 0.15, 400)
        found = paired_difference(one, other)
        p = tost(found.delta, found.error, 399, -0.03, 0.03)
        if abs(p - 0.05) > 0.02:
            assert equivalent(one, other, -0.03, 0.03) == (p < 0.05)
    few, many = np.ones(50), np.ones(200)
    assert not equivalent(few, few, -0.02, 0.02) and equivalent(many, many, -0.02, 0.02)
    assert equivalent(many, many, -0.02, math.inf)
    assert tost(0.0, 0.0, 49, -0.02, 0.02) == non_inferiority(0.0, 0.0, 49, 0.02) == 1.0
    assert tost(0.001, 0.004, 499, -0.01, 0.01) == pytest.approx(0.0124, abs=5e-5)
    assert non_inferiority(-0.002, 0.004, 499, 0.01) == pytest.approx(0.0230, abs=5e-5)
    with pytest.raises(ValueError, match="margin"):
        tost(0, 1, 9, 0.1, 0.1)
    with pytest.raises(ValueError, match="margin"):
        non_inferiority(0, 1, 9, -0.1)
