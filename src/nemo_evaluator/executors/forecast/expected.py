"""How long a run will take, as a range: drawn again and again from the times of a past run.

Each draw resamples the past (few rollouts seen make a wide range), and lets some rollouts take
longer than any that was seen, as some of many new ones will: one in n + 1, by the tail's slope.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from .schedule import EXACT, Part, Seconds, together

DRAWS, FEWEST_DRAWS, STEPS = 200, 40, 1_000_000
"""Runs drawn for a forecast: as many as take about a second."""
SHARDS_DRAWN, MOST_DRAWN = 8, 2 * EXACT
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
    steps = max(1, sum(min(one.rollouts, MOST_DRAWN * shards) for one in work))
    draws = max(FEWEST_DRAWS, min(DRAWS, STEPS // steps))
    seconds, tops, jobs = [], [], []
    for _ in range(draws):
        past = [_resampled(one, random) for one in work]
        tops.append(max(_slowest(w, p, random) for w, p in zip(work, past, strict=True)))
        ends = []
        for shard in range(min(shards, SHARDS_DRAWN)):
            drawn: dict[str | None, list[Part]] = {}
            for one, seen in zip(work, past, strict=True):
                count = _part(one.rollouts, shard, shards)
                taken = _draw_durations(one, seen, min(count, MOST_DRAWN), random) * slowdown
                drawn.setdefault(one.service, []).append(Part(taken, one.places, count))
            ends.append([_of_services(drawn, until) for until in (math.inf, limit)])
        seconds.append(_last([end for end, _ in ends], shards))
        if limit < math.inf:
            jobs.append(_jobs(_last([end for _, end in ends], shards), limit))
    return Expected(
        Range.of(seconds),
        Range.of([top * slowdown for top in tops]),
        Range.of(jobs) if jobs else None,
    )


def _part(rollouts: int, shard: int, shards: int) -> int:
    return rollouts // shards + (shard < rollouts % shards)


def _resampled(work: Work, random: np.random.Generator) -> Seconds:
    return np.sort(random.choice(work.durations, len(work.durations)))


def _draw_durations(work: Work, past: Seconds, count: int, random: np.random.Generator) -> Seconds:
    return _durations_at(work, past, random.random(count))


def _slowest(work: Work, past: Seconds, random: np.random.Generator) -> float:
    """The longest of all rollouts: of n numbers from 0 to 1 the largest is the n-th root of one."""
    return float(_durations_at(work, past, random.random(1) ** (1 / max(1, work.rollouts)))[0])


def _durations_at(work: Work, past: Seconds, shares: Seconds) -> Seconds:
    """The durations that such shares of all rollouts do not exceed: between two that follow each
    other, and beyond the longest, there are equally many, so that the tail is neither left out nor
    counted twice."""
    place = shares * (len(past) + 1)
    found = np.interp(place, np.arange(1, len(past) + 1), past)
    beyond = place > len(past)
    left = np.maximum(1e-12, len(past) + 1 - place[beyond])
    found[beyond] = past[-1] * left ** -_slope(past)
    return np.minimum(found, max(work.timeout, float(work.durations.max())))


def _slope(ordered: Seconds) -> float:
    """How fast the tail grows: the mean logarithm of the longest over the shortest of them."""
    top = ordered[-max(4, math.ceil(TAIL * len(ordered))) :]
    if len(top) < 2 or top[0] <= 0:
        return 0.0
    return min(STEEPEST, float(np.log(top[1:] / top[0]).mean()))


def _of_services(drawn: Mapping[str | None, Sequence[Part]], limit: float) -> float:
    return max((together(parts, limit) for parts in drawn.values()), default=0.0)


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
