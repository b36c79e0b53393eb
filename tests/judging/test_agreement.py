"""Agreement in numbers: known values, bounds, and intervals that hold what they promise."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nemo_evaluator.judging import agreement as module
from nemo_evaluator.judging.agreement import agreement, consistency, offset, weighted_kappa


def test_kappa_of_cohens_own_kind_of_table() -> None:
    """20 yes/yes, 5 yes/no, 10 no/yes, 15 no/no: 0.7 observed, 0.5 by chance."""
    human = ["yes"] * 25 + ["no"] * 25
    said = ["yes"] * 20 + ["no"] * 5 + ["yes"] * 10 + ["no"] * 15
    found = agreement(said, human, labels=("yes", "no"))
    assert found.confusion == ((20, 5), (10, 15))
    assert found.kappa.value == pytest.approx(0.4)
    assert found.kappa.low < 0.4 < found.kappa.high


def test_kappa_where_there_is_but_one_label() -> None:
    found = agreement(["a"] * 5, ["a"] * 5)
    assert found.accuracy.value == 1.0 and found.kappa.value is None and found.kappa.low is None
    assert agreement(["a"] * 5, ["b"] * 5).kappa.value == 0.0


@pytest.mark.parametrize(("n", "low"), [(4, 0.1), (10, 0.5), (40, 0.85), (200, 0.97)])
def test_rows_that_all_agree_leave_room_for_those_unseen(n: int, low: float) -> None:
    """A judge that is right on four rows is not yet known to be right."""
    labels = ["a", "b"] * (n // 2)
    found = agreement(labels, labels).kappa
    assert found.value == found.high == 1.0 and found.low < low
    graded = weighted_kappa([float(i % 3) for i in range(n)], [float(i % 3) for i in range(n)])
    assert graded.value == graded.high == 1.0 and graded.low < low + 0.45


@pytest.mark.parametrize("n", [10, 40])
@pytest.mark.parametrize("errs", [0.02, 0.1, 0.3])
def test_the_interval_of_kappa_covers(n: int, errs: float, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "RESAMPLES", 300)
    rng, true = np.random.default_rng(7), 1 - 2 * errs  # labels evenly split, errors alike
    covered = defined = 0
    for _ in range(150):
        human = rng.random(n) < 0.5
        said = human ^ (rng.random(n) < errs)
        found = agreement([str(x) for x in said], [str(x) for x in human]).kappa
        if found.value is not None:
            defined += 1
            covered += found.low <= true <= found.high
    assert covered / defined >= 0.92


def test_quadratic_weights() -> None:
    assert weighted_kappa([0, 2], [0, 1]).value == pytest.approx(2 / 3)
    near = weighted_kappa([1, 2, 3, 4], [2, 3, 4, 5]).value
    far = weighted_kappa([1, 2, 3, 4], [5, 4, 1, 1]).value
    assert near is not None and far is not None and 0 < near < 1 and far < 0
    assert weighted_kappa([3, None], [3, 3]).value is None  # nothing varies


@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 5)), min_size=2, max_size=30))
def test_quadratic_weights_as_over_categories(pairs: list[tuple[int, int]]) -> None:
    """The same as the usual formula over a matrix of categories."""
    said, human = [float(a) for a, _ in pairs], [float(b) for _, b in pairs]
    matrix = np.zeros((6, 6))
    for a, b in pairs:
        matrix[b, a] += 1
    weights = np.array([[(i - j) ** 2 for j in range(6)] for i in range(6)])
    chance = np.outer(matrix.sum(axis=1), matrix.sum(axis=0)) / len(pairs)
    value = module._quadratic(np.array([(a, b) for a, b in zip(said, human, strict=True)]))
    if (weights * chance).sum() == 0:
        assert value is None
    else:
        assert value == pytest.approx(1 - (weights * matrix).sum() / (weights * chance).sum())


def test_a_lenient_judge_gives_more() -> None:
    found = offset([4, 5, 5, None], [3, 4, 4, 1])
    assert found.value == 1.0 and found.n == 3


def test_steadiness_is_of_rows_with_a_verdict_each_time() -> None:
    said = [["a", "a", "a"], ["a", "b", "a"], ["a", None, "a"]]
    assert (consistency(said).value, consistency(said).n) == (0.5, 2)
    assert consistency([["a"], ["b"]]).value is None
