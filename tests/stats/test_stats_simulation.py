"""A reduced benchmarks/stats_simulation.py: intervals cover, tests keep their level, plans hold.

2,000 folds (400 where a fold is slow); bounds leave three Monte-Carlo errors. The coverage of
10,000 folds is in docs/statistics.md.
"""

from __future__ import annotations

import importlib.util
import math
import sys
from pathlib import Path

import pytest

PATH = Path(__file__).resolve().parents[2] / "benchmarks" / "stats_simulation.py"
spec = importlib.util.spec_from_file_location("stats_simulation", PATH)
assert spec is not None and spec.loader is not None
simulation = importlib.util.module_from_spec(spec)
sys.modules["stats_simulation"] = simulation
spec.loader.exec_module(simulation)
Population = simulation.Population

FOLDS = 2000
ERROR = 3 * math.sqrt(0.05 * 0.95 / FOLDS)


@pytest.mark.parametrize(
    "case",
    [
        Population(0.02, 100, repeats=8),
        Population(0.95, 30, repeats=8),
        Population(0.5, 100, repeats=4),
        Population(0.8, 1000),
        Population(0.2, 120, repeats=4, clusters=12),
        Population(0.95, 300, repeats=4, clusters=30),
    ],
    ids=str,
)
def test_means_are_covered(case) -> None:
    assert simulation.mean_coverage(case, FOLDS).inside >= 0.95 - ERROR


@pytest.mark.parametrize(
    "case",
    [
        Population(0.5, 30, repeats=1, drop=0.1),
        Population(0.95, 100, repeats=1),
        Population(0.95, 100, repeats=4, drop=0.1),
        Population(0.5, 100, repeats=8, alike=0.1, drop=0.1),
        Population(0.5, 120, repeats=4, clusters=12),
        Population(0.9, 300, repeats=1, clusters=30, drop=0.2),
    ],
    ids=str,
)
def test_differences_are_covered(case) -> None:
    assert simulation.paired_coverage(case, FOLDS).inside >= 0.95 - ERROR


def test_intervals_are_not_too_wide_either() -> None:
    for case in (Population(0.5, 300, repeats=4), Population(0.3, 300, repeats=8, drop=0.1)):
        assert simulation.mean_coverage(case, FOLDS).inside <= 0.95 + ERROR + 0.005
        assert simulation.paired_coverage(case, FOLDS).inside <= 0.95 + ERROR + 0.005


@pytest.mark.parametrize("name", ["mcnemar", "permutation", "t"])
def test_false_alarms_are_at_most_as_stated(name: str) -> None:
    for n, p in ((30, 0.95), (100, 0.5)):
        rate = simulation.rejection_rate(name, Population(p, n), FOLDS)
        assert rate <= 0.05 + ERROR
    assert rate >= 0.02  # and the test is not deaf


def test_clusters_do_not_raise_false_alarms() -> None:
    case = Population(0.5, 120, clusters=12)
    assert simulation.clustered_rejection_rate(case, 400) <= 0.06


@pytest.mark.slow
def test_power_is_as_promised() -> None:
    error = 2.5 * math.sqrt(0.16 / FOLDS)
    for case in simulation.GRADED[1::2]:
        assert simulation.graded_power_achieved(case, FOLDS)[1] == pytest.approx(0.8, abs=error)


@pytest.mark.parametrize("grades", simulation.GRADES, ids=lambda grades: grades.name)
def test_grades_are_covered(grades) -> None:
    assert grades.coverage(100, FOLDS).inside >= 0.93


@pytest.mark.parametrize("name", simulation.SIZES)
def test_uneven_clusters_are_covered(name: str) -> None:
    assert simulation.uneven_coverage(simulation.SIZES[name], 0.5, 0.6, 800).inside >= 0.93


def test_places_of_equal_models_are_seldom_told_apart() -> None:
    assert simulation.wrong_places([10] * 12, 4, 150) <= 0.05 + 3 * math.sqrt(0.05 * 0.95 / 150) / 2
