"""How long a run will take, as a range: drawn again and again from the times of a past run.

Each draw resamples the past (few rollouts seen make a wide range), and lets some rollouts take
longer than any that was seen, as some of many new ones will: one in n + 1, by the tail's slope.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from .schedule import Seconds, together

DRAWS, FEWEST_DRAWS, STEPS = 200, 40, 1_000_000
"""Runs drawn for a forecast: as many as take about a second."""
SHARDS_DRAWN = 8
TAIL, STEEPEST = 0.1, 0.5
"""Share of the longest durations whose slope goes on beyond the longest, and its limit: beyond that
a mean of few would say more about one draw than about the work."""


@dataclass(frozen=True, slots=True)
class Range:
    """A number of which 5 % of the draws are lower, half, and 5 % higher."""

    low: float
    middle: float
    high: float

    @classmethod
    def of(cls, drawn: Sequence[float]) -> Range:
        """The range of some draws.

        >>> Range.of([1.0, 2.0, 3.0])
        Range(low=1.0, middle=2.0, high=3.0)
        """
        ordered = sorted(drawn)
        last = len(ordered) - 1
        at = [ordered[round(share * last)] for share in (0.05, 0.5, 0.95)]
        return cls(*at)


@dataclass(frozen=True, slots=True)
class Work:
    """The rollouts of one benchmark that are to be made."""

    name: str
    service: str | None
    rollouts: int
    places: int
    """Its own limit of rollouts in flight, in each shard."""
    timeout: float
    """No rollout takes longer."""
    durations: Seconds
    """Of the past."""


@dataclass(frozen=True, slots=True)
class Expected:
    """What the draws say."""

    seconds: Range
    """From the first rollout to the last."""
    slowest: Range
    """The slowest of all rollouts."""
    jobs: Range | None = None
    """Jobs one after the other; infinite where no job can finish the slowest rollout."""


def expect(
    work: Sequence[Work],
    *,
    slowdown: float = 1.0,
    shards: int = 1,
    limit: float = math.inf,
    seed: int = 0,
) -> Expected:
    """The time of some work in shards at once, in jobs that each work ``limit`` seconds."""
    random = np.random.default_rng(seed)
    total = max(1, sum(one.rollouts for one in work))
    draws = max(FEWEST_DRAWS, min(DRAWS, STEPS // total))
    seconds, slowest, jobs = [], [], []
    for _ in range(draws):
        part = [_resampled(one, random) for one in work]
        ends, tops = [], []
        for shard in range(min(shards, SHARDS_DRAWN)):
            drawn = [
                (one, _drawn(one, past, _part(one.rollouts, shard, shards), random) * slowdown)
                for one, past in zip(work, part, strict=True)
            ]
            tops += [float(d.max()) for _, d in drawn if len(d)]
            ends.append((_of_services(drawn, math.inf), _of_services(drawn, limit)))
        seconds.append(_last([end for end, _ in ends], shards))
        slowest.append(max(tops, default=0.0))
        if limit < math.inf:
            jobs.append(_jobs(_last([end for _, end in ends], shards), limit))
    return Expected(Range.of(seconds), Range.of(slowest), Range.of(jobs) if jobs else None)


def _part(rollouts: int, shard: int, shards: int) -> int:
    return rollouts // shards + (shard < rollouts % shards)


def _resampled(work: Work, random: np.random.Generator) -> Seconds:
    return np.sort(random.choice(work.durations, len(work.durations)))


def _drawn(work: Work, past: Seconds, count: int, random: np.random.Generator) -> Seconds:
    """Between two durations that follow each other, and beyond the longest, with the same chance
    each: that neither leaves out the tail nor counts it twice."""
    place = random.random(count) * (len(past) + 1)
    drawn = np.interp(place, np.arange(1, len(past) + 1), past)
    beyond = place > len(past)
    longest = float(work.durations.max())
    drawn[beyond] = past[-1] * np.exp(random.exponential(_slope(past), int(beyond.sum())))
    return np.minimum(drawn, max(work.timeout, longest))


def _slope(ordered: Seconds) -> float:
    """How fast the tail grows: the mean logarithm of the longest over the shortest of them."""
    top = ordered[-max(4, math.ceil(TAIL * len(ordered))) :]
    if len(top) < 2 or top[0] <= 0:
        return 0.0
    return min(STEEPEST, float(np.log(top[1:] / top[0]).mean()))


def _of_services(drawn: Sequence[tuple[Work, Seconds]], limit: float) -> float:
    services: dict[str | None, list[tuple[Seconds, int]]] = {}
    for work, durations in drawn:
        services.setdefault(work.service, []).append((durations, work.places))
    return max((together(parts, limit) for parts in services.values()), default=0.0)


def _last(ends: Sequence[float], shards: int) -> float:
    """The end of the last shard, where only some of them were drawn: the maximum of many normal
    numbers grows with the root of the logarithm of how many they are."""
    top = max(ends)
    if shards <= len(ends) or math.isinf(top):
        return top
    middle = sum(ends) / len(ends)
    return middle + (top - middle) * math.sqrt(math.log(shards) / math.log(len(ends)))


def _jobs(seconds: float, limit: float) -> float:
    return max(1.0, seconds if math.isinf(seconds) else math.ceil(seconds / limit - 1e-9))
