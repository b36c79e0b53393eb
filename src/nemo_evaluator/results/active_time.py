"""How long a run was active, from the times of its events."""

from __future__ import annotations

import math
from array import array
from collections.abc import Sequence

import numpy as np

IDLE_SECONDS = 300.0
"""A longer gap between two events is taken for a pause where the starts were not noted."""


def active_seconds(times: array[float], began: Sequence[float]) -> float:
    """Seconds that a run was active: from the start of every invocation to its last event.

    Where the starts were not noted (journals of earlier versions), gaps longer than
    ``IDLE_SECONDS`` count as pauses. Example: begun at 0 and at 100, events at 5, 10, 110: 10 + 10
    = 20 s.
    """
    ordered = np.sort(np.frombuffer(times)) if times else np.zeros(0)
    if not began:
        gaps = np.diff(ordered)
        return float(gaps[gaps <= IDLE_SECONDS].sum())
    starts = np.sort(np.asarray(began, dtype=np.float64))
    ends = np.append(starts[1:], math.inf)
    last = np.searchsorted(ordered, ends, side="left") - 1
    worked = last >= np.searchsorted(ordered, starts, side="left")
    return float((ordered[last[worked]] - starts[worked]).sum())
