"""Power and designs, against statsmodels, closed forms and simulation."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nemo_evaluator.stats.power import (
    VarianceParts,
    design_table,
    difference_parts,
    kish_design_effect,
    minimum_detectable_effect,
    paired_sd,
    power_of,
    problems_needed,
    variance_parts,
)


def test_the_constants() -> None:
    assert minimum_detectable_effect(1, 1) == pytest.approx(2.486475, abs=1e-6)
    assert minimum_detectable_effect(1, 1, sides=2) == pytest.approx(2.801585, abs=1e-6)
    assert minimum_detectable_effect(0.4, 1000) == pytest.approx(0.03145, abs=5e-6)
    assert problems_needed(0.4, 0.01) == 9893 and problems_needed(0.4, 0.01, step=1) == 10092
    assert problems_needed(0.4, -0.01) == 9893


@given(st.floats(0.05, 1), st.floats(0.005, 0.2), st.sampled_from([1, 2]), st.sampled_from([0, 1]))
def test_n_effect_and_power_agree(sd: float, effect: float, sides: int, step: int) -> None:
    n = problems_needed(sd, effect, sides=sides, step=step)
    assert minimum_detectable_effect(sd, n, sides=sides, step=step) <= effect * (1 + 1e-9)
    assert power_of(sd, n, effect, sides=sides, step=step) >= 0.8 - 1e-9
    if n > 1:
        assert minimum_detectable_effect(sd, n - 1, sides=sides, step=step) >= effect * (1 - 1e-9)


def test_power_against_statsmodels() -> None:
    power = pytest.importorskip("statsmodels.stats.power")
    for n, effect in ((50, 0.3), (400, 0.1), (1000, 0.05)):
        expected = power.normal_power(effect, n, 0.05, alternative="larger", sigma=1.0)
        assert power_of(1.0, n, effect) == pytest.approx(expected, abs=1e-9)


def test_planning_refuses_what_cannot_be() -> None:
    for call in (
        lambda: minimum_detectable_effect(1, 0),
        lambda: problems_needed(1, 0),
        lambda: power_of(1, 10, 0.1, sides=3),
        lambda: variance_parts(["a", "b"], np.ones(2)),
    ):
        with pytest.raises(ValueError, match=r"\w+ \w+"):
            call()
    assert power_of(0, 10, 0.1) == 1.0


def test_parts_of_the_variance() -> None:
    parts = variance_parts(list("aabbccdd"), np.array([1.0, 1, 1, 0, 0, 0, 1, 1]))
    assert (parts.within, parts.between) == pytest.approx((0.125, 1 / 6))
    rng = np.random.default_rng(2)
    chance = rng.beta(1, 1, 4000)
    repeats = rng.integers(1, 6, 4000)
    ids = np.repeat(np.arange(4000), repeats)
    found = variance_parts(ids, (rng.random(len(ids)) < chance[ids]).astype(float))
    assert (found.between, found.within) == pytest.approx((1 / 12, 1 / 6), abs=0.006)
    assert found.icc == pytest.approx(1 / 3, abs=0.02) and VarianceParts(0, 0).icc == 0


def test_the_paired_spread_is_what_simulation_gives() -> None:
    rng = np.random.default_rng(5)
    chance = rng.beta(2, 1, 200_000)
    kept = chance * rng.beta(8, 2, 200_000)
    differences = rng.binomial(3, kept) / 3 - rng.binomial(2, chance) / 2
    expected = paired_sd(
        float(np.var(kept - chance)),
        float(np.mean(chance * (1 - chance))),
        float(np.mean(kept * (1 - kept))),
        (2, 3),
    )
    assert differences.std() == pytest.approx(expected, rel=0.01)
    assert paired_sd(0.0, 0.1, 0.1, 4) == pytest.approx(math.sqrt(0.05))


def test_problems_buy_more_than_repeats() -> None:
    parts = VarianceParts(between=0.1, within=0.1)
    more, again = design_table(parts, [2000, 1000], [1, 2])[0], design_table(parts, [1000], [2])[0]
    assert more.rollouts == again.rollouts == 2000 and more.error < again.error
    assert again.error == pytest.approx(math.sqrt(0.15 / 1000))
    assert again.detectable == pytest.approx(2.486475 * again.error, rel=1e-6)
    assert again.design_effect == pytest.approx(kish_design_effect(2, parts.icc))
    assert more.design_effect == 1.0 and kish_design_effect(8, 0.5) == 4.5
    same = difference_parts(parts, parts)
    assert (same.between, same.within) == pytest.approx((0.0, 0.2))
    assert difference_parts(parts, parts, 0.0).between == pytest.approx(0.2)
