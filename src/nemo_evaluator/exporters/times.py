"""When a rollout was worked on, as far as the files of its run tell."""

from __future__ import annotations

import datetime
from typing import NamedTuple

from ..results.result_row import ResultRow
from ..results.times import when
from ..results.trajectory_row import TrajectoryRow
from ..results.view import BenchmarkView


class Span(NamedTuple):
    """From when to when; both with a time zone."""

    begun: datetime.datetime
    ended: datetime.datetime


def created(benchmark: BenchmarkView) -> datetime.datetime:
    """When the run was made, in UTC; the time of the bundle's file where it does not say."""
    stamp = when(benchmark.bundle.created)
    if stamp is not None:
        return stamp.astimezone(datetime.UTC)
    return datetime.datetime.fromtimestamp(benchmark.bundle_path.stat().st_mtime, datetime.UTC)


def spent_ms(row: ResultRow) -> float | None:
    """How long a rollout took: an agent with its tools, or one answer."""
    return row.wall_ms if row.wall_ms is not None else row.latency_ms


def rollout_span(
    benchmark: BenchmarkView, row: ResultRow, trajectory: TrajectoryRow | None
) -> Span:
    """When the solver worked on it. Without a time of its own it ended when the run was made."""
    stamp = trajectory.timestamp if trajectory is not None else None
    ended = when(stamp) if isinstance(stamp, str) else _unix(stamp)
    ended = ended or created(benchmark)
    return Span(ended - datetime.timedelta(milliseconds=spent_ms(row) or 0.0), ended)


def _unix(seconds: float | None) -> datetime.datetime | None:
    try:
        return None if seconds is None else datetime.datetime.fromtimestamp(seconds, datetime.UTC)
    except (ValueError, OverflowError, OSError):
        return None
