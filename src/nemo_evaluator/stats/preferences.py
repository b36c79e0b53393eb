"""Ratings of several models from comparisons of two at a time, with ties and an effect of order.

The unit of the intervals is the problem: all comparisons on one problem are drawn together.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]
Ints = npt.NDArray[np.intp]

ELO = 400 / math.log(10)
"""Points of Elo's scale for one unit of a strength's logarithm."""
CENTRE = 1000.0
STEPS = 100


@dataclass(frozen=True, slots=True)
class Comparisons:
    """Verdicts of a judge, one per comparison."""

    models: Sequence[str]
    first: Ints
    """Index of the model whose answer was shown first."""
    second: Ints
    won: Array
    """1: the first won, 0.5: a tie, 0: the second won."""
    problems: Sequence[object]
    """What each comparison was about."""


@dataclass(frozen=True, slots=True)
class Rating:
    """One model, on Elo's scale: 1000 is the average, 400 points are odds of 10 to 1."""

    model: str
    rating: float
    lower: float
    upper: float
    comparisons: int
    wins: int
    ties: int


@dataclass(frozen=True, slots=True)
class Ratings:
    """All models, the best first."""

    ratings: tuple[Rating, ...]
    ties: float
    """Davidson's ν: how likely ties are; the share of ties between equals is ν/(2 + ν)."""
    first_share: float
    """Share of decided comparisons between equals that the answer shown first wins."""
    problems: int


def ratings(
    given: Comparisons, *, confidence: float = 0.95, resamples: int = 500, seed: int = 42
) -> Ratings:
    """Strengths by maximum likelihood, with percentile intervals of bootstraps of whole problems.

    Raises ValueError if there are no comparisons, or models that no chain of comparisons connects.
    """
    size = len(given.models)
    if not len(given.won):
        raise ValueError("there are no comparisons")
    _check_connected(given.first, given.second, given.models)
    cells, at = np.unique(
        np.stack([given.first, given.second, (2 * given.won).astype(np.intp)]),
        axis=1,
        return_inverse=True,
    )
    at = at.reshape(-1)
    _, about = np.unique(np.array([str(p) for p in given.problems]), return_inverse=True)
    count = int(about.max()) + 1
    fitted = davidson(cells, np.bincount(at).astype(np.float64), size)
    generator = np.random.default_rng(seed)
    drawn = []
    for _ in range(resamples):
        weights = np.bincount(generator.integers(0, count, count), minlength=count)
        counts = np.bincount(at, weights=weights[about], minlength=cells.shape[1])
        drawn.append(davidson(cells, counts.astype(np.float64), size, start=fitted)[:size])
    tail = (1 - confidence) / 2
    lower, upper = np.quantile(np.array(drawn), [tail, 1 - tail], axis=0)
    found = [
        _rating(given, i, *(CENTRE + ELO * float(x[i]) for x in (fitted, lower, upper)))
        for i in range(size)
    ]
    return Ratings(
        ratings=tuple(sorted(found, key=lambda one: -one.rating)),
        ties=math.exp(fitted[size]),
        first_share=1 / (1 + math.exp(fitted[size + 1])),
        problems=count,
    )


def davidson(cells: Ints, counts: Array, models: int, *, start: Array | None = None) -> Array:
    """Bradley and Terry's model with ties (Davidson, JASA 65, 1970) and an effect of order
    (Davidson & Beaver, Biometrics 33, 1977): log strengths of mean 0, log ν and log γ.

    P(first) : P(second) : P(tie) = a : γ·b : ν√(ab) for strengths a and b. ``cells`` are columns
    of first, second and twice the verdict, ``counts`` how often each occurred. Every model has one
    more comparison with the average, half won and half lost, and one more tie, win and loss are
    shared by ν and γ: so a model that never loses has a finite strength. By Newton's method; the
    likelihood is concave.
    Example: of two models one won 30, lost 10 and tied 20 in either order: odds √(a/b)² = 3 before
    the additions, 2.9 after.
    """
    first, second, verdict = cells
    design = _design(first, second, models)
    chosen = np.array([1, 2, 0])[verdict]  # second, tie, first: rows of the design
    x = np.zeros(models + 2) if start is None else start.copy()
    for _ in range(STEPS):
        gradient, curvature = _prior(x, models)
        shares = np.exp(design @ x)
        shares /= shares.sum(axis=0)
        mean = np.einsum("oc,ocp->cp", shares, design)
        gradient += counts @ (design[chosen, np.arange(len(counts))] - mean)
        spread = np.einsum("c,oc,ocp,ocq->pq", counts, shares, design, design, optimize=True)
        curvature += spread - (mean * counts[:, None]).T @ mean
        step = np.linalg.solve(curvature, gradient)
        step *= min(1.0, 2.0 / max(1e-12, float(np.abs(step).max())))
        x = x + step
        if float(np.abs(step).max()) < 1e-9:
            break
    x[:models] -= x[:models].mean()
    return np.asarray(x)


def _design(first: Ints, second: Ints, models: int) -> Array:
    """[outcome, cell, parameter]: log weights of first, second and tie."""
    rows = np.arange(len(first))
    design = np.zeros((3, len(first), models + 2))
    design[0, rows, first] = 1.0
    design[1, rows, second] = 1.0
    design[1, :, models + 1] = 1.0
    design[2, rows, first] += 0.5
    design[2, rows, second] += 0.5
    design[2, :, models] = 1.0
    return design


def _prior(x: Array, models: int) -> tuple[Array, Array]:
    """Gradient and curvature of half a win and half a loss of every parameter against 0."""
    share = 1 / (1 + np.exp(-x))
    return 0.5 - share, np.diag(share * (1 - share))


def _rating(given: Comparisons, index: int, rating: float, lower: float, upper: float) -> Rating:
    ahead, behind = given.first == index, given.second == index
    return Rating(
        model=given.models[index],
        rating=rating,
        lower=min(lower, rating),
        upper=max(upper, rating),
        comparisons=int(ahead.sum() + behind.sum()),
        wins=int((ahead & (given.won == 1)).sum() + (behind & (given.won == 0)).sum()),
        ties=int(((ahead | behind) & (given.won == 0.5)).sum()),
    )


def _check_connected(first: Ints, second: Ints, models: Sequence[str]) -> None:
    reached = {0}
    pairs = set(zip(first.tolist(), second.tolist(), strict=True))
    for _ in models:
        for a, b in pairs:
            if a in reached or b in reached:
                reached |= {a, b}
    if len(reached) < len(models):
        apart = ", ".join(name for i, name in enumerate(models) if i not in reached)
        raise ValueError(f"no comparisons connect {apart} with {models[0]}")
