"""How well a judge agrees with people: pure functions of verdicts and labels.

Verdicts that could not be had are counted beside, never as agreement nor as disagreement. No
interval has no width: rows that all agree still leave room for those that were not seen.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ..stats.intervals import wilson
from ..types import Record

RESAMPLES = 2000
SEED = 42


class Share(Record, frozen=True, kw_only=True, omit_defaults=False):
    """A number with its 95 % interval; None where it is not defined."""

    value: float | None
    low: float | None
    high: float | None
    n: int


class Agreement(Record, frozen=True, kw_only=True, omit_defaults=False):
    """Verdicts against labels."""

    n: int
    unjudged: int
    """Rows for which no verdict could be had."""
    accuracy: Share
    kappa: Share
    """Cohen's kappa: agreement beyond what chance would give."""
    labels: tuple[str, ...]
    confusion: tuple[tuple[int, ...], ...]
    """Rows: what people say; columns: what the judge says."""
    base_rate: dict[str, float]
    """Share of each label among what people say."""
    weighted_kappa: Share | None = None
    """Grades: kappa with quadratic weights, by which a near miss is nearly agreement."""
    offset: Share | None = None
    """Grades: mean of the judge's grade minus people's, on the scale."""
    consistency: Share | None = None
    """Share of rows on which a judge that was asked several times said the same each time."""
    position: Share | None = None
    """Pairs: share of verdicts that change when the answers change places."""
    first_preferred: Share | None = None
    """Pairs: of those, the share in which the answer shown first won."""
    length: Share | None = None
    """How much likelier the judge is to prefer the longer (pairs), or approve of a longer answer
    (grades: rank correlation), than people are; 0 where it shares their taste."""


def agreement(
    said: Sequence[str | None], human: Sequence[str], *, labels: Sequence[str] = ()
) -> Agreement:
    """Accuracy (Wilson), kappa and the confusion matrix.

    Kappa's interval is the wider of the percentile bootstrap over rows and Wilson's for the share
    of agreement, chance held fixed (the bootstrap alone has no width where all rows agree).

    Example: said a a b b, human a b b b: accuracy 0.75, kappa (0.75 - 0.5) / (1 - 0.5) = 0.5.
    """
    pairs = [(one, other) for one, other in zip(said, human, strict=True) if one is not None]
    names = tuple(labels) or tuple(sorted({name for pair in pairs for name in pair}))
    index = {name: i for i, name in enumerate(names)}
    codes = np.array([[index[one], index[other]] for one, other in pairs], dtype=np.int64)
    codes = codes.reshape(-1, 2)
    matrix = _matrix(codes, len(names))
    n = len(pairs)
    right = int(np.trace(matrix))
    low, high = wilson(right / n, n) if n else (None, None)
    counts = matrix.sum(axis=1)
    return Agreement(
        n=n,
        unjudged=len(said) - n,
        accuracy=Share(value=right / n if n else None, low=low, high=high, n=n),
        kappa=_bootstrapped(codes, len(names)),
        labels=names,
        confusion=tuple(tuple(int(cell) for cell in row) for row in matrix),
        base_rate={name: float(counts[i] / n) for name, i in index.items()} if n else {},
    )


def kappa(matrix: np.ndarray[tuple[int, int], np.dtype[np.float64]]) -> float | None:
    """Cohen's kappa (1960): (p_o - p_e) / (1 - p_e); None where chance alone would always agree."""
    total = matrix.sum()
    if not total:
        return None
    observed = float(np.trace(matrix) / total)
    chance = float((matrix.sum(axis=0) * matrix.sum(axis=1)).sum() / total**2)
    return None if chance >= 1.0 else (observed - chance) / (1.0 - chance)


def weighted_kappa(judged: Sequence[float | None], human: Sequence[float]) -> Share:
    """Cohen's kappa with quadratic weights (Cohen 1968), of numbers that need no categories: 1 -
    E(x-y)² over its mean if every x met every y. Percentile bootstrap over rows; where not one row
    differs, the lower end is Wilson's for the share of rows that do not. None where nothing varies.

    Example: judged 0 2, human 0 1: 1 - 0.5 / ((0 + 1 + 4 + 1) / 4) = 0.6667.
    """
    rows = np.array([(x, y) for x, y in zip(judged, human, strict=True) if x is not None])
    rows = rows.reshape(-1, 2)
    value = _quadratic(rows)
    if value is None:
        return Share(value=None, low=None, high=None, n=len(rows))
    share = _resampled(rows, _quadratic, value)
    if value == 1.0:
        low, _ = wilson(1.0, len(rows))
        share = Share(value=value, low=low, high=1.0, n=len(rows))
    return share


def offset(judged: Sequence[float | None], human: Sequence[float]) -> Share:
    """What the judge gives above people: mean, with a bootstrap interval."""
    return _mean(np.array([x - y for x, y in zip(judged, human, strict=True) if x is not None]))


def consistency(said: Sequence[Sequence[str | None]]) -> Share:
    """Share of rows with the same verdict each time, of those with a verdict each time."""
    whole = [set(row) for row in said if len(row) > 1 and None not in row]
    return share(sum(len(labels) == 1 for labels in whole), len(whole))


def share(count: int, n: int) -> Share:
    """A share with Wilson's interval."""
    if not n:
        return Share(value=None, low=None, high=None, n=0)
    low, high = wilson(count / n, n)
    return Share(value=count / n, low=low, high=high, n=n)


def length_bias_of_pairs(
    said: Sequence[str | None], human: Sequence[str], longer: Sequence[str]
) -> Share:
    """How much oftener the judge prefers the longer answer than people do, over pairs on which
    both prefer one and lengths differ: the mean difference, with a bootstrap interval."""
    gaps = [
        float(one == long) - float(other == long)
        for one, other, long in zip(said, human, longer, strict=True)
        if one in ("A", "B") and other in ("A", "B") and long in ("A", "B")
    ]
    return _mean(np.array(gaps))


def length_bias_of_grades(
    judged: Sequence[float | None], human: Sequence[float], lengths: Sequence[int]
) -> Share:
    """Rank correlation of what the judge gives above people with the answer's length (Spearman),
    with a bootstrap interval. None where nothing varies."""
    rows = [
        (one - other, length)
        for one, other, length in zip(judged, human, lengths, strict=True)
        if one is not None
    ]
    gaps = np.array([gap for gap, _ in rows])
    sizes = np.array([float(length) for _, length in rows])
    value = _spearman(gaps, sizes)
    if value is None:
        return Share(value=None, low=None, high=None, n=len(rows))
    table = np.column_stack([gaps, sizes])
    return _resampled(table, lambda drawn: _spearman(drawn[:, 0], drawn[:, 1]), value)


def _matrix(
    codes: np.ndarray[tuple[int, int], np.dtype[np.int64]], size: int
) -> np.ndarray[tuple[int, int], np.dtype[np.float64]]:
    flat = np.bincount(codes[:, 1] * size + codes[:, 0], minlength=size * size)
    return flat.reshape(size, size).astype(np.float64)


def _bootstrapped(codes: np.ndarray[tuple[int, int], np.dtype[np.int64]], size: int) -> Share:
    n = len(codes)
    value = kappa(_matrix(codes, size)) if n else None
    if value is None:
        return Share(value=None, low=None, high=None, n=n)
    found = _resampled(codes, lambda drawn: kappa(_matrix(drawn, size)), value)
    observed = float((codes[:, 0] == codes[:, 1]).mean())
    chance = _chance(codes, size)
    low, high = ((end - chance) / (1.0 - chance) for end in wilson(observed, n))
    assert found.low is not None and found.high is not None
    return Share(value=value, low=min(low, found.low), high=max(high, found.high), n=n)


def _chance(codes: np.ndarray[tuple[int, int], np.dtype[np.int64]], size: int) -> float:
    """How often two would agree who keep their shares of labels and know nothing."""
    shares = [np.bincount(codes[:, i], minlength=size) / len(codes) for i in range(2)]
    return float(shares[0] @ shares[1])


def _quadratic(rows: np.ndarray[tuple[int, int], np.dtype[np.float64]]) -> float | None:
    if not len(rows):
        return None
    x, y = rows[:, 0], rows[:, 1]
    chance = float(x.var() + y.var() + (x.mean() - y.mean()) ** 2)
    return None if chance == 0.0 else 1.0 - float(((x - y) ** 2).mean()) / chance


def _resampled(
    rows: np.ndarray[tuple[int, int], np.dtype[Any]],
    statistic: Callable[[np.ndarray[tuple[int, int], np.dtype[Any]]], float | None],
    value: float,
) -> Share:
    """A statistic's percentile bootstrap over rows; resamples without a value do not count."""
    n, generator = len(rows), np.random.default_rng(SEED)
    drawn = [
        found
        for _ in range(RESAMPLES)
        if (found := statistic(rows[generator.integers(0, n, n)])) is not None
    ]
    low, high = np.quantile(drawn, [0.025, 0.975]) if drawn else (value, value)
    return Share(value=value, low=float(low), high=float(high), n=n)


def _mean(values: np.ndarray[tuple[int], np.dtype[np.float64]]) -> Share:
    n = len(values)
    if not n:
        return Share(value=None, low=None, high=None, n=0)
    generator = np.random.default_rng(SEED)
    means = values[generator.integers(0, n, size=(RESAMPLES, n))].mean(axis=1)
    low, high = np.quantile(means, [0.025, 0.975])
    return Share(value=float(values.mean()), low=float(low), high=float(high), n=n)


def _spearman(
    a: np.ndarray[tuple[int], np.dtype[np.float64]], b: np.ndarray[tuple[int], np.dtype[np.float64]]
) -> float | None:
    if len(a) < 3:
        return None
    one, other = _ranks(a), _ranks(b)
    if float(one.std()) == 0.0 or float(other.std()) == 0.0:
        return None
    return float(np.corrcoef(one, other)[0, 1])


def _ranks(
    values: np.ndarray[tuple[int], np.dtype[np.float64]],
) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    """Ranks, ties at their mean."""
    _, codes, counts = np.unique(values, return_inverse=True, return_counts=True)
    ends = np.cumsum(counts)
    ranks: np.ndarray[tuple[int], np.dtype[np.float64]] = (ends - (counts - 1) / 2)[codes]
    return ranks
