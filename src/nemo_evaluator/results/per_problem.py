"""Values of rollouts as means per problem, and the metrics of a benchmark with their intervals.

The unit of every interval is the problem, or the cluster of problems; a declared range of rewards
bounds it.
"""

from __future__ import annotations

import math
from array import array
from collections.abc import Sequence

import msgspec
import numpy as np
import numpy.typing as npt

from ..stats.intervals import Interval, mean_interval, unbounded_interval
from ..stats.judge_error import prediction_powered
from ..stats.passk import pass_at_k, pass_hat_k, reported_k
from ..stats.ratio import ratio_interval
from ..stats.thin_data import thin_evidence
from ..types import JudgeCalibration
from .summary import Estimate

Floats = npt.NDArray[np.float64]
HALF = 0.5
"""Share of the scale from which a grade is a verdict that the answer is right."""


def as_floats(column: array[float]) -> Floats:
    """The numbers of a column, without a copy."""
    return np.frombuffer(column) if column else np.zeros(0)


def outside(values: Floats, within: tuple[float, float] | None) -> int:
    """How many values lie outside a range."""
    if within is None:
        return 0
    slack = 1e-9 * (within[1] - within[0])
    return int(((values < within[0] - slack) | (values > within[1] + slack)).sum())


def clipped(estimate: Estimate, within: Sequence[float] | None) -> Estimate:
    """The estimate with its value and interval clipped to a range."""
    if within is None:
        return estimate
    low, high = within
    value, lower, upper = (
        min(max(number, low), high)
        for number in (estimate.value, estimate.ci_lower, estimate.ci_upper)
    )
    return msgspec.structs.replace(estimate, value=value, ci_lower=lower, ci_upper=upper)


class PerProblem:
    """Values of rollouts averaged per problem; intervals over problems or their clusters."""

    def __init__(
        self, problems: array[int] | npt.NDArray[np.int64], clusters: list[str | None]
    ) -> None:
        ids, first, self._codes, self._counts = np.unique(
            np.asarray(problems), return_index=True, return_inverse=True, return_counts=True
        )
        named = [clusters[i] for i in first]
        self._clusters = (
            [name if name is not None else f"#{i}" for name, i in zip(named, ids, strict=True)]
            if any(name is not None for name in named)
            else None
        )

    def mean(self, values: Floats, within: tuple[float, float] | None = None) -> Estimate:
        """``within``: the range of the values; it is not believed if one lies outside."""
        means = self._sums(values) / self._counts
        return self._estimate(means, within=None if outside(values, within) else within)

    def corrected(self, values: Floats, by: JudgeCalibration) -> Estimate:
        """The mean that people would give, by labelled rows of judge and people."""
        judge, human = np.asarray(by.rows, dtype=np.float64).T
        if by.verdicts:
            values = (values >= HALF).astype(np.float64)
        means = self._sums(values) / self._counts
        found = prediction_powered(means, judge, human, self._clusters)
        return Estimate(
            value=found.value,
            ci_lower=found.lower,
            ci_upper=found.upper,
            n=found.n,
            method=found.method,
        )

    def warnings(self, values: Floats, within: tuple[float, float] | None) -> tuple[str, ...]:
        """What is to be said of the interval of ``mean``."""
        found, strays = [], outside(values, within)
        if within is not None and strays:
            found.append(
                f"{strays:,} rewards lie outside the declared range, {within[0]:g} to "
                f"{within[1]:g}: the interval does not use it"
            )
            within = None
        means = self._sums(values) / self._counts
        return tuple(found + thin_evidence(means, self._clusters, within=within))

    def rate(self, above: Floats, below: Floats) -> Estimate | None:
        """Sum of ``above`` over sum of ``below``; None if nothing bears on it.

        The interval is that of the linearised values R + (a - R·b) / mean(b), whose mean is R
        (Taylor linearisation of a ratio; Cochran, Sampling Techniques, 1977, 6.3). Problems on
        which it does not bear are left out. Example: a = 1, 0, 0 and b = 1, 1, 0: 0.5 of n = 2.
        """
        a, b = self._sums(above) / self._counts, self._sums(below) / self._counts
        bears = (a != 0) | (b != 0)
        if not bears.any() or b.sum() <= 0:
            return None
        ratio = float(a.sum() / b.sum())
        values = ratio + (a[bears] - ratio * b[bears]) / b[bears].mean()
        if bool((b[bears] == 1.0).all()):
            values = a[bears]  # a plain share: exact, so that all-or-nothing is seen as such
        clusters = self._clusters
        if clusters is not None:
            clusters = [name for name, keep in zip(clusters, bears, strict=True) if keep]
        interval = mean_interval(values, clusters)
        share = bool((above >= 0).all() and (above <= below).all())
        low, high = (0.0, 1.0) if share else (-math.inf, math.inf)
        return Estimate(
            value=ratio,
            ci_lower=max(low, interval.lower),
            ci_upper=min(high, interval.upper),
            n=interval.n,
            method=interval.method,
        )

    def ratio(self, above: Floats, below: Floats) -> Interval | None:
        """Total of ``above`` by total of ``below``, neither negative; None if nothing bears on it.
        Unlike a ``rate`` it is no share of anything, and may have no upper limit."""
        a, b = self._sums(above), self._sums(below)
        return ratio_interval(a, b, self._clusters) if b.sum() > 0 else None

    def amount(self, values: Floats) -> Interval:
        """The mean of values that are no shares, wherever they lie."""
        return unbounded_interval(self._sums(values) / self._counts, self._clusters)

    def pass_metrics(self, right: Floats, repeats: int) -> dict[str, Estimate]:
        """pass@k for the reported k, and pass^k of all repeats."""
        correct = self._sums(right)
        metrics = {}
        for k in reported_k(repeats):
            enough = self._counts >= k
            if not enough.any():
                continue
            pairs = list(zip(self._counts[enough], correct[enough], strict=True))
            at = np.array([pass_at_k(int(n), int(c), k) for n, c in pairs])
            metrics[f"pass@{k}"] = self._estimate(at, enough)
            if k == repeats and k > 1:
                all_k = np.array([pass_hat_k(int(n), int(c), k) for n, c in pairs])
                metrics[f"pass^{k}"] = self._estimate(all_k, enough)
        return metrics

    def _sums(self, values: Floats) -> Floats:
        sums = np.bincount(self._codes, weights=values, minlength=len(self._counts))
        return sums.astype(np.float64, copy=False)

    def _estimate(
        self,
        values: Floats,
        chosen: npt.NDArray[np.bool_] | None = None,
        within: tuple[float, float] | None = None,
    ) -> Estimate:
        clusters = self._clusters
        if clusters is not None and chosen is not None:
            clusters = [name for name, keep in zip(clusters, chosen, strict=True) if keep]
        interval = mean_interval(values, clusters, within=within)
        return Estimate(
            value=interval.value,
            ci_lower=interval.lower,
            ci_upper=interval.upper,
            n=interval.n,
            method=interval.method,
        )
