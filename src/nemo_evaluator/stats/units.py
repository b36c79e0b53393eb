"""What counts as one independent observation: a problem, or a cluster of problems."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]


def cluster_codes(clusters: Sequence[object], n: int) -> npt.NDArray[np.intp]:
    """A number from 0 for the cluster of each of ``n`` problems, in the order of appearance.

    Raises ValueError unless there is one label per problem.
    """
    if len(clusters) != n:
        raise ValueError(f"{len(clusters)} cluster labels for {n} problems; same length needed")
    known: dict[object, int] = {}
    return np.array([known.setdefault(label, len(known)) for label in clusters], dtype=np.intp)


def cluster_sums(values: Array, clusters: Sequence[object]) -> Array:
    """Sum of the values of each cluster. Example: [1, 2, 3] in a, a, b: [3, 3]."""
    sums = np.bincount(cluster_codes(clusters, len(values)), weights=values)
    return sums.astype(np.float64)


def cluster_sizes(clusters: Sequence[object], n: int) -> Array:
    """Number of problems in each cluster. Example: a, a, b: [2, 1]."""
    return np.bincount(cluster_codes(clusters, n)).astype(np.float64)


def corrected_sums(residuals: Array, clusters: Sequence[object] | None) -> Array:
    """Sums of residuals of each cluster, enlarged so that Σ s²/N² is a variance without bias.

    A cluster pulls the mean towards itself, so its residuals are too small: the sum is divided by
    √min(1 - w, 1 - 2w + Σw²), w the cluster's share of all values. The first is the CR2 correction
    of Bell & McCaffrey (Survey Methodology 28, 2002) for values that are independent, the second
    the same for values that are alike within a cluster. Where clusters are equal both are Miller's
    G/(G - 1). One cluster alone: 0.
    Example: residuals -1, -1, 2 in clusters a, a, b: -2·√4.5, 2·√1.5.
    """
    if clusters is None:
        n = len(residuals)
        return residuals * math.sqrt(n / (n - 1)) if n > 1 else np.zeros(n)
    sums = cluster_sums(residuals, clusters)
    if len(sums) < 2:
        return np.zeros(len(sums))
    share = cluster_sizes(clusters, len(residuals)) / len(residuals)
    kept = np.minimum(1 - share, 1 - 2 * share + float(share @ share))
    return np.asarray(sums / np.sqrt(kept))


def effective_units(clusters: Sequence[object] | None, n: int) -> float:
    """Kish's effective number of independent units, N²/Σm² over clusters of m problems.

    As many as there are clusters if they are equally large, fewer if not; without clusters n.
    Example: a, a, b: 9/5.
    """
    if clusters is None:
        return float(n)
    sizes = cluster_sizes(clusters, n)
    return n * n / float(sizes @ sizes)
