"""All benchmarks together: chances of a drop beyond the limit, of any and on average."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from published import constant, share_right, write_results
from scipy import stats as scipy_stats

from nemo_evaluator import gate_runs
from nemo_evaluator.decisions.damage import Damage, Sides
from nemo_evaluator.decisions.suite import suite_of
from nemo_evaluator.stats.student import chi_squared_tail


def shifted(seed: int, drop: float, n: int = 400) -> Damage:
    generator = np.random.default_rng(seed)
    noise = generator.normal(0, 0.3, n)
    return Damage(Sides(np.full(n, 0.5), 0.5 - drop + noise - noise.mean()))


@pytest.mark.parametrize("df", [1, 2, 5, 19, 56])
@pytest.mark.parametrize("q", [0.3, 1.0, 1.8, 2.5])
def test_chi_squared(df: int, q: float) -> None:
    assert chi_squared_tail(q * df, df) == pytest.approx(scipy_stats.chi2.sf(q * df, df), abs=0.01)


def test_one_benchmark_is_its_own_suite() -> None:
    damage = shifted(1, 0.05)
    suite = suite_of([("a", damage, 0.05)])
    assert suite is not None and suite.differ is None
    assert suite.any_beyond == suite.parts[0].beyond == pytest.approx(0.5, abs=0.02)
    far = suite_of([("a", damage, 0.2)])
    assert far is not None and far.any_beyond < 1e-3 and far.mean_beyond < 1e-3


def test_chances_are_those_of_a_normal_drop() -> None:
    """A limit one standard error above the drop is exceeded in 16 % of cases."""
    damage = shifted(2, 0.03)
    error = float(np.std(damage.seen.candidate, ddof=1)) / 20
    assert damage.chance_beyond(0.03 + error) == pytest.approx(0.159, abs=0.015)
    assert damage.chance_beyond(0.03 - error) == pytest.approx(0.841, abs=0.015)


def test_many_small_drops_are_seen_together() -> None:
    """Ten drops of which none is shown are one that is."""
    parts = [(f"b{i}", shifted(i, 0.02), 0.05) for i in range(10)]
    assert all(damage.bounds().lower < 0 for _, damage, _ in parts)
    suite = suite_of(parts)
    assert suite is not None and suite.damage.lower > 0
    low, high = suite.any_range
    assert low <= suite.any_beyond <= high
    assert suite.differ is not None and suite.differ > 0.9
    mixed = suite_of([("up", shifted(1, -0.2), 0.05), ("down", shifted(2, 0.2), 0.05)])
    assert mixed is not None and mixed.differ is not None and mixed.differ < 1e-3


def test_a_gate_says_it(tmp_path: Path) -> None:
    for name, right in (("x", 285), ("y", 270)):
        write_results(tmp_path / "a" / name, share_right(285, 300), name=name)
        write_results(tmp_path / "b" / name, share_right(right, 300), name=name)
    write_results(tmp_path / "a/seen", constant(1.0), name="seen")
    write_results(tmp_path / "b/seen", constant(0.5), name="seen")
    policy: dict[str, Any] = {
        "defaults": {"metric": "mean_reward", "max_drop": 0.05},
        "benchmarks": {"seen": {"tier": "advisory"}},
    }
    suite = gate_runs(tmp_path / "a", tmp_path / "b", policy)["suite"]
    assert [part["benchmark"] for part in suite["parts"]] == ["x", "y"]
    assert suite["parts"][0]["beyond"] < 0.01 < suite["parts"][1]["beyond"]
    assert suite["assumptions"]
    published = gate_runs(tmp_path / "a", tmp_path / "b", policy, rules="published")
    assert published["suite"] is None
