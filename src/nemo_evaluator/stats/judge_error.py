"""A judge's score corrected by people's labels of a sample, the judge's error carried on."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from .intervals import Interval, mean_interval
from .paired import paired_difference
from .student import t_quantile

Array = npt.NDArray[np.float64]

MIN_LABELLED = 10
"""Fewer labelled rows say nothing of a judge's error."""


def prediction_powered(
    judged: Array,
    judge: Array,
    human: Array,
    clusters: Sequence[object] | None = None,
    *,
    confidence: float = 0.95,
) -> Interval:
    """What people would give the run: the judge's mean plus people's mean excess over the judge.

    mean(judged) + mean(human - judge) (Angelopoulos, Bates, Fannjiang, Jordan & Zrnic, Science
    382, 2023), without bias if the labelled rows are drawn as those of the run are. ``judged`` are
    the run's problems, ``judge`` and ``human`` the labelled rows, all in [0, 1]. The two intervals,
    of ``mean_interval`` and ``paired_difference``, are put together as Zou & Donner do (Statistics
    in Medicine 27, 2008), so that it holds at the edges and where few labels differ.
    Raises ValueError for fewer than MIN_LABELLED labelled rows.
    Example: a judge's 0.8 of 100 that approves 4 of 50 which people do not: 0.72 [0.580, 0.824].
    """
    _check(judge, human)
    raw = mean_interval(judged, clusters, confidence=confidence)
    excess = paired_difference(judge, human, confidence=confidence)
    value = raw.value + excess.delta
    lower = value - math.hypot(raw.value - raw.lower, excess.delta - excess.lower)
    upper = value + math.hypot(raw.upper - raw.value, excess.upper - excess.delta)
    return Interval(_share(value), _share(lower), _share(upper), raw.n, "prediction-powered")


def rogan_gladen(
    judged: Array,
    judge: Array,
    human: Array,
    clusters: Sequence[object] | None = None,
    *,
    confidence: float = 0.95,
) -> Interval | None:
    """The share of right answers behind a judge of known sensitivity and specificity.

    (q + c - 1)/(s + c - 1) of the judge's share q, s of the right approved and c of the wrong
    refused by it (Rogan & Gladen, American Journal of Epidemiology 107, 1978), with the interval of
    Lang & Reiczigel (Preventive Veterinary Medicine 113, 2014); q counts as many problems as its
    own interval allows for. It needs s and c to hold for the run, whatever its share of right
    answers. None unless all values are verdicts, both kinds were labelled, and s + c > 1.
    Example: q = 0.8 of 100, s = 28/30, c = 16/20: 0.818 [0.675, 1.0].
    """
    _check(judge, human)
    if not all(np.isin(column, (0.0, 1.0)).all() for column in (judge, human)):
        return None
    right = human == 1
    n_right, n_wrong = int(right.sum()), int((~right).sum())
    if not n_right or not n_wrong:
        return None
    hits, refused = float(judge[right].sum()), n_wrong - float(judge[~right].sum())
    denominator = hits / n_right + refused / n_wrong - 1
    if denominator <= 0:
        return None
    z = t_quantile(0.5 + confidence / 2, math.inf)
    raw = mean_interval(judged, clusters, confidence=confidence)
    value = (raw.value + refused / n_wrong - 1) / denominator
    s, c = (hits + 1) / (n_right + 2), (refused + 1) / (n_wrong + 2)
    of_s, of_c = s * (1 - s) / (n_right + 2), c * (1 - c) / (n_wrong + 2)
    of_q = ((raw.upper - raw.lower) / 2 / z) ** 2
    centre = (raw.value + c - 1) / (s + c - 1)
    moved = centre + 2 * z * z * (centre * of_s - (1 - centre) * of_c)
    variance = of_q + centre**2 * of_s + (1 - centre) ** 2 * of_c
    half = z * math.sqrt(variance) / (s + c - 1)
    lower, upper = min(moved - half, value), max(moved + half, value)
    return Interval(_share(value), _share(lower), _share(upper), raw.n, "Rogan-Gladen")


def _share(value: float) -> float:
    return min(1.0, max(0.0, value))


def _check(judge: Array, human: Array) -> None:
    if len(judge) != len(human) or len(judge) < MIN_LABELLED:
        raise ValueError(f"{len(human)} labelled rows; at least {MIN_LABELLED} are needed")
