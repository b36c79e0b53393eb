"""What a past run says about the speed of the next one: read from its journals and documents.

A pilot is a past run of few problems. Only times are kept. An answer from the cache took no time
and says nothing.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ...errors import ConfigError
from ...results.active_time import active_seconds
from ...results.journal import Began, Errored, Event, Scored, Solved, events
from ...results.layout import JOURNAL
from ...results.progress_file import RunProgress, read_progress
from ...results.run_directory import info_of, plan_of
from ...types import BenchmarkPlan, Failure
from .schedule import Part, Seconds, together

MOST_EVENTS = 400_000
"""Events of a journal that are read: more do not make a forecast better."""
PLACES = 32
TIMED_OUT = (Failure.SOLVE_TIMEOUT, Failure.TIMEOUT)


@dataclass(frozen=True, slots=True)
class Timed:
    """One benchmark of a past run."""

    plan: BenchmarkPlan
    durations: Seconds
    """Seconds that each attempt held its place, in the order in which they ended."""
    verification: float
    """The longest verification in seconds."""


@dataclass(frozen=True, slots=True)
class Past:
    """A past run."""

    directory: Path
    benchmarks: Mapping[str, Timed]
    """By slug."""
    slowdown: float
    """Its time divided by what its durations alone explain: retries, waiting, a busy machine."""
    per_second: float | None
    """Rollouts per second of the whole run."""
    places: int
    """Rollouts that could be in flight."""
    startup: float | None
    """Seconds from its start to its first rollout; None where it does not say."""
    closing: float
    """Seconds from its last rollout to its end."""

    def named(self, name: str, label: str | None = None) -> list[Timed]:
        """What it says of a benchmark of a configuration: by its label, else by its name."""
        found = [t for t in self.benchmarks.values() if label in (t.plan.name, t.plan.slug)]
        return found or [
            t
            for t in self.benchmarks.values()
            if name in (t.plan.identity.get("benchmark"), t.plan.name)
        ]


@dataclass(slots=True)
class _Times:
    ended: array[float]
    began: list[float]


def past_of(directory: Path) -> Past:
    """What the run in a directory says. Raises ConfigError where it holds none."""
    lock = plan_of(directory)
    if lock is None:
        raise ConfigError("holds no run", where=str(directory))
    times = _Times(array("d"), [])
    found = {plan.slug: _timed(directory, plan, times) for plan in lock.benchmarks}
    timed = {slug: benchmark for slug, benchmark in found.items() if len(benchmark.durations)}
    info = info_of(directory, lock)
    active = active_seconds(times.ended, sorted(times.began))
    count = sum(len(benchmark.durations) for benchmark in timed.values())
    parts = max(1, len(info.merged_from))
    progress = read_progress(directory)
    return Past(
        directory=directory,
        benchmarks=timed,
        slowdown=1.0 if parts > 1 else _slowdown(timed, active),
        per_second=count / active if active else None,
        places=parts * max((_places(plan) for plan in lock.benchmarks), default=PLACES),
        startup=_startup(progress, times),
        closing=_closing(progress, times),
    )


def _timed(directory: Path, plan: BenchmarkPlan, times: _Times) -> Timed:
    held, verification = array("d"), 0.0
    for event in _first_events(directory / plan.slug / JOURNAL, plan):
        match event:
            case Began():
                times.began.append(event.at)
            case Solved() if not event.solution.cached:
                ms = event.solution.wall_ms
                held.append((event.solution.latency_ms if ms is None else ms) / 1000)
                times.ended.append(event.at)
            case Errored() if event.error.kind in TIMED_OUT and plan.settings.timeout:
                held.append(plan.settings.timeout)
                times.ended.append(event.at)
            case Scored():
                verification = max(verification, event.verify_ms / 1000)
                times.ended.append(event.at)
    return Timed(plan, np.array(held, dtype=np.float64), verification)


def _first_events(path: Path, plan: BenchmarkPlan) -> Iterator[Event]:
    for count, event in enumerate(events(path, plan)):
        if count >= MOST_EVENTS:
            return
        yield event


def _places(plan: BenchmarkPlan) -> int:
    return plan.settings.max_concurrent or PLACES


def _slowdown(timed: Mapping[str, Timed], active: float) -> float:
    services: dict[str | None, list[Part]] = {}
    for benchmark in timed.values():
        part = Part(benchmark.durations, _places(benchmark.plan))
        services.setdefault(benchmark.plan.service, []).append(part)
    explained = max(map(together, services.values()), default=0.0)
    return max(1.0, active / explained) if explained and active else 1.0


def _startup(progress: RunProgress | None, times: _Times) -> float | None:
    if progress is None or not (began := [at for at in times.began if at >= progress.started]):
        return None
    return min(began) - progress.started


def _closing(progress: RunProgress | None, times: _Times) -> float:
    if progress is None or progress.running or not times.ended:
        return 0.0
    return max(0.0, progress.heartbeat - max(times.ended))
