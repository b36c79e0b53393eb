"""The damage of every category of a benchmark: a whole that holds can hide a part that fell."""

from __future__ import annotations

import numpy as np

from .damage import Damage, Sides
from .pairing import Pairs


def category_damages(pairs: Pairs, *, higher_is_better: bool = True) -> dict[str, Damage]:
    """Category → its damage over the paired problems, by name."""
    labels = np.array([name or "" for name in pairs.categories], dtype=object)
    found = {}
    for name in sorted({name for name in pairs.categories if name}):
        mask = labels == name
        clusters = None
        if pairs.clusters is not None:
            clusters = [c for c, kept in zip(pairs.clusters, mask, strict=True) if kept]
        found[name] = Damage(Sides(*pairs.chosen(mask), clusters), higher_is_better)
    return found
