"""Ratings from comparisons: against scipy's maximum, against the truth, and at the edges."""

from __future__ import annotations

import math

import numpy as np
import pytest

from nemo_evaluator.stats.preferences import Comparisons, davidson, ratings

TRUTH = np.array([0.8, 0.2, -0.3, -0.7])


def drawn(
    rng: np.random.Generator, problems: int, *, nu: float = 0.5, gamma: float = 0.7
) -> Comparisons:
    """Every pair on every problem, in one order or the other."""
    rows = []
    for problem in range(problems):
        for i in range(4):
            for j in range(i):
                a, b = (i, j) if rng.random() < 0.5 else (j, i)
                p, q = math.exp(TRUTH[a]), gamma * math.exp(TRUTH[b])
                tie = nu * math.exp((TRUTH[a] + TRUTH[b]) / 2)
                won = rng.choice([1.0, 0.0, 0.5], p=np.array([p, q, tie]) / (p + q + tie))
                rows.append((a, b, won, problem))
    first, second, verdicts, about = zip(*rows, strict=True)
    return Comparisons(
        ["a", "b", "c", "d"], np.array(first), np.array(second), np.array(verdicts), about
    )


def test_the_maximum_is_that_of_a_general_optimiser() -> None:
    optimize = pytest.importorskip("scipy.optimize")
    given = drawn(np.random.default_rng(1), 40)
    cells = np.stack([given.first, given.second, (2 * given.won).astype(int)])

    def loss(x: np.ndarray) -> float:
        a, b = x[given.first], x[given.second]
        logs = np.stack([b + x[5], x[4] + (a + b) / 2, a])
        likely = logs[(2 * given.won).astype(int), np.arange(len(a))] - np.log(np.exp(logs).sum(0))
        prior = 0.5 * x - np.log1p(np.exp(x))
        return float(-likely.sum() - prior.sum())

    found = davidson(cells, np.ones(len(given.won)), 4)
    best = optimize.minimize(loss, np.zeros(6), method="BFGS", options={"gtol": 1e-8}).x
    best[:4] -= best[:4].mean()
    assert found == pytest.approx(best, abs=1e-4)


def test_two_models_whose_odds_are_plain() -> None:
    cells = np.array([[0, 0, 0, 1, 1, 1], [1, 1, 1, 0, 0, 0], [2, 0, 1, 2, 0, 1]])
    counts = np.array([30.0, 10, 20, 10, 30, 20]) * 100
    a, b, nu, gamma = davidson(cells, counts, 2)
    assert math.exp(a - b) == pytest.approx(3, rel=0.01)
    assert math.exp(nu) == pytest.approx(20 / math.sqrt(300), rel=0.01)
    assert gamma == pytest.approx(0, abs=1e-3)


def test_ratings_find_the_order_and_the_bias_of_position() -> None:
    found = ratings(drawn(np.random.default_rng(2), 300), resamples=100)
    assert [one.model for one in found.ratings] == ["a", "b", "c", "d"]
    assert found.first_share == pytest.approx(1 / 1.7, abs=0.04)
    assert found.ties == pytest.approx(0.5, abs=0.08)
    spread = found.ratings[0].rating - found.ratings[-1].rating
    assert spread == pytest.approx(400 / math.log(10) * 1.5, abs=40)


@pytest.mark.slow
def test_intervals_cover() -> None:
    rng = np.random.default_rng(3)
    held = 0
    for _ in range(60):
        for one in ratings(drawn(rng, 60), resamples=150).ratings:
            truth = 1000 + 400 / math.log(10) * TRUTH["abcd".index(one.model)]
            held += one.lower <= truth <= one.upper
    assert held / 240 >= 0.90


def test_a_problem_asked_often_counts_once() -> None:
    given = drawn(np.random.default_rng(4), 30)
    ten = [np.repeat(column, 10) for column in (given.first, given.second, given.won)]
    again = Comparisons(given.models, *ten, np.repeat(given.problems, 10).tolist())
    widths = [
        np.mean([one.upper - one.lower for one in ratings(x, resamples=150).ratings])
        for x in (given, again)
    ]
    assert widths[1] > 0.8 * widths[0]


def test_ratings_stay_finite_at_the_edges() -> None:
    won = Comparisons(["a", "b"], np.array([0] * 9), np.array([1] * 9), np.ones(9), list(range(9)))
    assert all(math.isfinite(one.rating) for one in ratings(won, resamples=20).ratings)
    none = Comparisons(["a", "b"], np.array([], int), np.array([], int), np.array([]), [])
    with pytest.raises(ValueError, match="no comparisons"):
        ratings(none)
    apart = Comparisons(["a", "b", "c"], np.array([0]), np.array([1]), np.array([1.0]), [0])
    with pytest.raises(ValueError, match="connect c with a"):
        ratings(apart)
