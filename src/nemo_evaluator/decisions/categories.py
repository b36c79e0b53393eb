"""What became of every category: a whole that holds can hide a part that fell."""

from __future__ import annotations

import numpy as np

from ..stats.multiple import holm
from ..stats.student import chi_squared_tail
from ..types import Record
from .damage import LEVEL, Damage, Sides
from .interim_damage import Watched
from .pairing import Pairs
from .verdicts import MIN_PAIRS

HETEROGENEOUS = 0.01
"""p-value below which the categories are said to differ."""


class CategoryDelta(Record, frozen=True, kw_only=True, omit_defaults=False):
    """One category, over its paired problems."""

    baseline: float
    candidate: float
    delta: float
    n: int
    ci_lower: float
    ci_upper: float
    fell: bool = False
    """A drop beyond the limit is shown, corrected for the number of categories (Holm)."""


def category_deltas(
    pairs: Pairs, *, higher_is_better: bool, limit: float, watched: Watched | None = None
) -> dict[str, CategoryDelta]:
    """Category → its difference, by name. The intervals are wide enough to hold all together at
    95 %, of those with enough problems (Bonferroni)."""
    damages = category_damages(pairs, higher_is_better=higher_is_better, watched=watched)
    fell = fallen(damages, limit)
    level = LEVEL / max(1, sum(damage.n >= MIN_PAIRS for damage in damages.values()))
    found = {}
    for name, damage in damages.items():
        bounds = damage.bounds(level)
        ends = (-bounds.upper, -bounds.lower) if higher_is_better else (bounds.lower, bounds.upper)
        one, other = float(damage.seen.baseline.mean()), float(damage.seen.candidate.mean())
        found[name] = CategoryDelta(
            baseline=one,
            candidate=other,
            delta=other - one,
            n=damage.n,
            ci_lower=ends[0],
            ci_upper=ends[1],
            fell=name in fell,
        )
    return found


def category_damages(
    pairs: Pairs, *, higher_is_better: bool = True, watched: Watched | None = None
) -> dict[str, Damage]:
    """Category → its damage over the paired problems, by name."""
    labels = np.array([name or "" for name in pairs.categories], dtype=object)
    found = {}
    for name in sorted({name for name in pairs.categories if name}):
        mask = labels == name
        clusters = None
        if pairs.clusters is not None:
            clusters = [c for c, kept in zip(pairs.clusters, mask, strict=True) if kept]
        sides = Sides(*pairs.chosen(mask), clusters)
        found[name] = Damage(sides, higher_is_better, watched=watched)
    return found


def fallen(damages: dict[str, Damage], limit: float) -> set[str]:
    """The categories with a drop beyond the limit after Holm's correction over all of them that
    have enough problems."""
    tested = {name: damage for name, damage in damages.items() if damage.n >= MIN_PAIRS}
    # A p-value costs two dozen intervals; one interval tells who can be significant at all.
    p = [d.p_beyond(limit) if d.bounds().lower > limit else 1.0 for d in tested.values()]
    return {name for name, q in zip(tested, holm(p), strict=True) if q <= LEVEL}


def heterogeneity(pairs: Pairs) -> float | None:
    """p-value of "all categories changed alike", by the spread of their means against that of the
    problems (chi-squared, one pooled variance). None with clusters, with fewer than two categories,
    or where nothing changed."""
    if pairs.clusters is not None:
        return None
    labels = np.array([name or "" for name in pairs.categories], dtype=object)
    names, codes = np.unique(labels.astype(str), return_inverse=True)
    kept = names[codes] != ""
    d, codes = pairs.differences[kept], np.unique(codes[kept], return_inverse=True)[1]
    counts = np.bincount(codes) if len(codes) else np.zeros(0)
    groups = len(counts)
    if groups < 2 or len(d) <= groups:
        return None
    means = np.bincount(codes, weights=d) / counts
    pooled = float(((d - means[codes]) ** 2).sum()) / (len(d) - groups)
    between = float((counts * (means - d.mean()) ** 2).sum())
    if not pooled:
        return 0.0 if between > 1e-12 else None
    return chi_squared_tail(between / pooled, groups - 1)
