"""Data on which no interval can be trusted, named: the reader is told beside the score."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from .units import cluster_sizes, effective_units

Array = npt.NDArray[np.float64]

LARGE_CLUSTER = 0.25
FEW_CLUSTERS = 6
FEW_DEVIATIONS = 10.0


def thin_evidence(
    values: Array,
    clusters: Sequence[object] | None = None,
    *,
    within: tuple[float, float] | None = None,
) -> list[str]:
    """Why the interval of these values' mean may miss more often than it says; usually nothing.

    One cluster with over a quarter of all problems, or fewer than 6 effective clusters (Kish's
    N²/Σm²). Or values without a known range whose variance rests on fewer than 10 of them, by
    (Σe²)²/Σe⁴: rarer ones may be unseen. Example: 97 values of 8 and 3 of 1: the last (3.2).
    """
    found = []
    n = len(values)
    if clusters is not None:
        sizes = cluster_sizes(clusters, n)
        units = effective_units(clusters, n)
        share = float(sizes.max()) / n
        if len(sizes) > 1 and share > LARGE_CLUSTER:
            found.append(
                f"one cluster holds {share * 100:.0f} % of the problems: the interval rests on "
                f"{units:.1f} effective clusters of {len(sizes):,}"
            )
        elif units < FEW_CLUSTERS:
            found.append(f"the interval rests on {units:.1f} effective clusters only")
    known = within is not None or (values.min() >= 0 and values.max() <= 1)
    if not known and (k := deviating(values)) < FEW_DEVIATIONS:
        found.append(
            f"the variance rests on about {k:.1f} of {n:,} problems and the range of the rewards "
            "is not known: the interval may be too narrow; declare reward_range"
        )
    return found


def deviating(values: Array) -> float:
    """How many values the variance rests on: (Σe²)²/Σe⁴ of deviations e; 0 where all are alike.

    The number of the rare ones where few differ from the rest (of n shares p it is about np).
    """
    squares = (values - values.mean()) ** 2
    fourth = float(squares @ squares)
    return float(squares.sum()) ** 2 / fourth if fourth > 0 else 0.0
