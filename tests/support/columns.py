"""Rewards as the rollouts of a run held in memory."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from nemo_evaluator.decisions.rollouts import Rollouts, rollouts_of

Floats = npt.NDArray[np.float64]


def columns(rewards: Floats, clusters: list[str] | None = None) -> Rollouts:
    """Rewards of n problems × k repeats."""
    n, k = rewards.shape
    template = rollouts_of([])
    total = n * k
    nothing = np.zeros(total, dtype=np.int64)
    return Rollouts(
        problems=np.repeat(np.arange(n), k),
        repeats=np.tile(np.arange(k), n),
        rewards=rewards.ravel(),
        correct=np.full(total, np.nan),
        truncated=np.zeros(total, dtype=np.bool_),
        categories=[None] * total,
        clusters=[None] * total if clusters is None else [c for c in clusters for _ in range(k)],
        expected=nothing,
        prompts=nothing,
        rows=[{}] * total,
        positions=np.arange(total),
        ignored=template.ignored,
    )
