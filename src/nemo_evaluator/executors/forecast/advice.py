"""Whether the time limit of a job holds the work, and what to change where it does not."""

from __future__ import annotations

import enum
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from ..progress_text import duration
from .expected import Expected, Work, expect
from .past import Past

GRACE_SECONDS = 60.0
"""Of a job, for its end: schedulers send their signal up to a minute early."""
QUARTER = 900
MOST_SHARDS = 1024


class Verdict(enum.StrEnum):
    """What becomes of the work."""

    NO_LIMIT = "no limit"
    FITS = "fits"
    """One job does it all."""
    SEVERAL_JOBS = "several jobs"
    """The jobs that may follow each other do."""
    TOO_LONG = "too long"
    NEVER = "never"
    """No job is long enough for its start and the slowest rollout."""

    @property
    def good(self) -> bool:
        """Nothing needs to be changed."""
        return self not in (Verdict.TOO_LONG, Verdict.NEVER)


@dataclass(frozen=True, slots=True)
class Limits:
    """What the cluster grants."""

    walltime: float | None = None
    """Seconds of a job."""
    jobs: int = 1
    """Jobs that may follow each other."""
    all_jobs: float | None = None
    """Seconds of all of them together."""
    shards: int = 1
    at_once: int | None = None
    """Shards that run at the same time; None: all."""
    starting: float = 0.0
    """Seconds that the start of model servers may take at most."""
    own_endpoint: bool = False
    """Each shard has a model server of its own."""

    @property
    def together(self) -> int:
        """Shards that ask at the same time."""
        return min(self.shards, self.at_once or self.shards)


@dataclass(frozen=True, slots=True)
class Forecast:
    """How long some work takes, and what is to be said of it."""

    past: Past
    work: tuple[Work, ...]
    limits: Limits
    expected: Expected
    startup: float
    """Seconds before the first rollout of a job, at most."""
    unmeasured: float | None
    """Seconds of the work at the rate of the past, where more is asked of the same endpoint."""
    verdict: Verdict
    advice: tuple[str, ...] = ()

    @property
    def rollouts(self) -> int:
        """Rollouts that are to be made."""
        return sum(work.rollouts for work in self.work)

    @property
    def usable(self) -> float:
        """Seconds that a job can work."""
        return _usable(self.limits, self.startup, self.past)


def forecast(past: Past, work: Sequence[Work], limits: Limits) -> Forecast:
    """What a past run says of some work."""
    startup = (past.startup or 0.0) + limits.starting
    usable = _usable(limits, startup, past)
    expected = expect(work, slowdown=past.slowdown, shards=limits.shards, limit=max(usable, 1e-3))
    unmeasured = _unmeasured(past, work, limits)
    verdict = _verdict(expected, limits, usable, unmeasured)
    found = Forecast(past, tuple(work), limits, expected, startup, unmeasured, verdict)
    return found if verdict.good else replace(found, advice=tuple(_advice(found)))


def _usable(limits: Limits, startup: float, past: Past) -> float:
    if limits.walltime is None:
        return math.inf
    return limits.walltime - startup - past.closing - GRACE_SECONDS


def _unmeasured(past: Past, work: Sequence[Work], limits: Limits) -> float | None:
    asked = limits.together * max((one.places for one in work), default=0)
    if limits.own_endpoint or asked <= past.places or not past.per_second:
        return None
    return sum(one.rollouts for one in work) / past.per_second


def _verdict(
    expected: Expected, limits: Limits, usable: float, unmeasured: float | None
) -> Verdict:
    if limits.walltime is None:
        return Verdict.NO_LIMIT
    if expected.slowest.high > usable:
        return Verdict.NEVER
    if max(expected.seconds.high, unmeasured or 0.0) <= usable:
        return Verdict.FITS
    jobs = _jobs(expected, usable, unmeasured)
    within = limits.all_jobs is None or jobs * limits.walltime <= limits.all_jobs
    return Verdict.SEVERAL_JOBS if jobs <= limits.jobs and within else Verdict.TOO_LONG


def _jobs(expected: Expected, usable: float, unmeasured: float | None) -> float:
    assert expected.jobs is not None
    return max(expected.jobs.high, math.ceil((unmeasured or 0.0) / usable))


def _advice(found: Forecast) -> Iterator[str]:
    """What to change; each alone is enough."""
    past, limits, expected = found.past, found.limits, found.expected
    around = found.startup + past.closing + GRACE_SECONDS
    if found.verdict is Verdict.NEVER:
        yield f"cluster.walltime: {walltime(around + expected.slowest.high)} or more"
        if limits.starting > (past.startup or 0.0):
            yield f"a shorter startup_timeout, if servers start in less than {limits.starting:g} s"
        return
    worst = max(expected.seconds.high, found.unmeasured or 0.0)
    yield f"cluster.walltime: {walltime(around + worst)} (one job)"
    jobs = _jobs(expected, found.usable, found.unmeasured)
    yield f"cluster.auto_resume: true with max_retries: {jobs - 1:.0f} ({jobs:.0f} jobs)" + (
        f", and max_walltime at least {walltime(jobs * (limits.walltime or 0.0))}"
        if limits.all_jobs is not None
        else ""
    )
    if found.unmeasured is None and (shards := _enough_shards(found)) is not None:
        yield f"cluster.shards: {shards}"


def _enough_shards(found: Forecast) -> int | None:
    """The smallest of some numbers of shards that each end within one job."""
    shards = max(2, found.limits.shards + 1)
    most = min(MOST_SHARDS, max(work.rollouts for work in found.work))
    if not found.limits.own_endpoint:  # more than was measured is no advice
        most = min(most, found.past.places // max(work.places for work in found.work))
    while shards <= most:
        trial = expect(found.work, slowdown=found.past.slowdown, shards=shards)
        if trial.seconds.high <= found.usable:
            return shards
        wanted = math.ceil(shards * trial.seconds.high / found.usable)
        shards = max(shards + 1, min(2 * shards, wanted))
    return None


def walltime(seconds: float) -> str:
    """A time limit, rounded up to a quarter of an hour.

    >>> walltime(4000), walltime(90000)
    ('01:15:00', '1-01:00:00')
    """
    whole = QUARTER * math.ceil(seconds / QUARTER)
    days, rest = divmod(whole, 86400)
    text = f"{rest // 3600:02d}:{rest % 3600 // 60:02d}:00"
    return f"{days}-{text}" if days else text


def words(found: Forecast) -> list[str]:
    """A forecast as lines for a user."""
    past, expected, limits = found.past, found.expected, found.limits
    seen = sum(len(timed.durations) for timed in past.benchmarks.values())
    shards, times = _in_shards(limits)
    seconds, slowest = expected.seconds, expected.slowest
    starting = f" (start of servers: at most {limits.starting:g} s)" if limits.starting else ""
    lines = [
        f"forecast from {seen:,} rollouts in {past.directory}:",
        f"  start-up {duration(found.startup)}{starting}, slowest rollout "
        f"{duration(slowest.middle)} (at most about {duration(slowest.high)})",
        f"  {found.rollouts:,} rollouts{shards}: {duration(times * seconds.middle)} "
        f"({duration(times * seconds.low)} to {duration(times * seconds.high)})",
    ]
    if found.unmeasured is not None:
        asked = limits.together * max(work.places for work in found.work)
        lines.append(
            f"  {asked} at once were not measured, only {past.places}: if the endpoint answers no"
            f" faster than it did, it takes {duration(found.unmeasured)}"
        )
    return [*lines, *(f"  {line}" for line in _verdict_lines(found))]


def _in_shards(limits: Limits) -> tuple[str, int]:
    """What is said of shards, and how often this many at once follow each other."""
    if limits.shards == 1:
        return "", 1
    if limits.together == limits.shards:
        return f" in {limits.shards} shards at once", 1
    text = f" in {limits.shards} shards, {limits.together} at once"
    return text, math.ceil(limits.shards / limits.together)


def _verdict_lines(found: Forecast) -> Iterator[str]:
    limits, expected = found.limits, found.expected
    if limits.walltime is None:
        return
    limit = f"cluster.walltime ({duration(limits.walltime)})"
    match found.verdict:
        case Verdict.FITS:
            yield f"{limit} holds it"
        case Verdict.SEVERAL_JOBS:
            assert expected.jobs is not None
            jobs = _jobs(expected, found.usable, found.unmeasured)
            yield (
                f"{limit} holds a part of it: about {expected.jobs.middle:.0f} jobs one after the "
                f"other, at most about {jobs:.0f} of the {limits.jobs} that may follow"
            )
        case Verdict.TOO_LONG:
            jobs = _jobs(expected, found.usable, found.unmeasured)
            yield (
                f"warning: {limit} is too short: it takes {jobs:.0f} jobs, and "
                f"{limits.jobs} may follow each other. One of these helps:"
            )
        case Verdict.NEVER:
            yield (
                f"warning: {limit} does not hold the start-up and the slowest rollout: no job can "
                "finish it. Set"
            )
    for advice in found.advice:
        yield f"  {advice}"
