"""When the last of many rollouts ends: rollouts on places, in jobs that end at a time limit.

Pure functions on numbers. The rule is the engine's: a place takes the next rollout as soon as the
last one is over, and the limiter opens places one after the other. What is in flight when a job
ends is lost, and done again at the start of the next job.
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ...traffic.limiter import DOUBLING_SECONDS, START

Seconds = NDArray[np.float64]
EXACT = 5_000
"""Rollouts that are put on places one by one; of more, all but the last are a sum."""


def opens_at(place: int) -> float:
    """Seconds after the start from which the limiter admits one more request.

    >>> opens_at(7), opens_at(15)
    (0.0, 0.5)
    """
    return 0.0 if place < START else DOUBLING_SECONDS * math.log2((place + 1) / START)


def finish(durations: Seconds, places: int, limit: float = math.inf, beyond: float = 0.0) -> float:
    """Seconds of work until the last rollout has ended. A job works ``limit`` seconds; a rollout
    that no job can finish makes it infinite. ``beyond``: seconds of further rollouts like the first
    of very many, which are not listed.

    Four rollouts of 3 s on two places take two rounds; in jobs of 4 s nothing is lost, because a
    place that cannot finish a rollout begins it in the next job.

    >>> finish(np.array([3.0, 3.0, 3.0, 3.0]), 2)
    6.0
    >>> finish(np.array([3.0, 3.0, 3.0, 3.0]), 2, limit=4.0)
    7.0
    """
    if not len(durations):
        return 0.0
    if float(durations.max()) > limit:
        return math.inf
    before = 0.0
    if len(durations) > EXACT:
        head, durations = durations[:-EXACT], durations[-EXACT:]
        before = _sum_of(head, beyond, places, limit)
    free = [before + (opens_at(place) if not before else 0.0) for place in range(places)]
    free = free[: len(durations)]
    heapq.heapify(free)
    for seconds in durations.tolist():
        start = free[0]
        if limit < math.inf and math.fmod(start, limit) + seconds > limit:
            start = (math.floor(start / limit) + 1) * limit
        heapq.heapreplace(free, start + seconds)
    return max(free)


def _sum_of(durations: Seconds, beyond: float, places: int, limit: float) -> float:
    """About how long very many rollouts take: the places are never free. Each job loses what is in
    flight at its end, on average half of a rollout met at a random moment."""
    total = float(durations.sum())
    work = (total + beyond) / places
    if limit == math.inf:
        return work
    lost = float((durations**2).sum()) / total / 2
    return work * limit / max(limit - lost, lost)


class Part(NamedTuple):
    """The rollouts of one benchmark."""

    durations: Seconds
    """Of all of them, or of as many as are put on places one by one and some more."""
    places: int
    """Its own limit."""
    rollouts: int | None = None
    """How many there are; None: as many as durations."""

    @property
    def beyond(self) -> float:
        """Seconds of those that have no duration of their own."""
        more = (self.rollouts or 0) - len(self.durations)
        return more * float(self.durations.mean()) if more > 0 else 0.0


def together(parts: Sequence[Part], limit: float = math.inf) -> float:
    """Seconds until all benchmarks of one service are done, which share the most places that one of
    them has."""
    if not parts:
        return 0.0
    every = np.concatenate([part.durations for part in parts])
    most, beyond = max(part.places for part in parts), sum(part.beyond for part in parts)
    shared = finish(every, most, limit, beyond)
    if len(parts) == 1:
        return shared
    return max(shared, *(finish(p.durations, p.places, limit, p.beyond) for p in parts))
