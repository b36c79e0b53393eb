"""Live numbers of a run: counters the engine bumps per rollout, snapshots a display may take.

A ``Tally`` costs a microsecond per rollout and keeps sums per problem, never results. What a
display shows is a frozen ``BenchmarkProgress``; nothing here prints. The score so far and its
interval are computed as the final ones are, from the same per-problem means.
"""

from __future__ import annotations

import time
from array import array
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from ..traffic.client import Load
from ..types import Failure, Score, Solution

if TYPE_CHECKING:
    from ..stats.intervals import Interval

INTERVAL_SECONDS = 1.0
"""Least time between two computations of an interval, which may take at most 5 % of the time."""


@dataclass(frozen=True, slots=True)
class BenchmarkProgress:
    """One benchmark of a run at one moment."""

    label: str
    total: int
    """Rollouts planned."""
    done: int
    """Rollouts with a verdict."""
    restored: int
    """How many of ``done`` came from an earlier invocation."""
    score: Interval | None
    """The score so far, with its 95 % interval."""
    binary: bool
    """Every verdict so far was yes or no: then the score is pass@1, else the mean reward."""
    errored: Mapping[str, int]
    """Rollouts that ended without a verdict, by kind; they are not among ``done``."""
    refused: int
    """Verdicts of this invocation on requests the endpoint refused (a 4xx)."""
    truncated: int
    """Answers of this invocation that a token limit cut."""
    ended_by: Mapping[str, int]
    """Agents of this invocation that a limit ended, by limit."""
    load: Load
    """What the benchmark's service is doing."""
    retries: int
    """Requests of this invocation that got no answer and were or will be tried again."""
    output_tokens: int
    """Completion tokens of this invocation."""
    cost_usd: float | None
    started_at: float | None
    """``time.monotonic()`` of the first rollout of this invocation."""
    finished: bool
    simulated: bool
    stalled: Sequence[str] = ()
    status: str = ""
    repeats: int = 1
    finished_at: float | None = None
    """``time.monotonic()`` when it finished."""

    @property
    def failed(self) -> int:
        """Rollouts that ended without a verdict."""
        return sum(self.errored.values())

    @property
    def left(self) -> int:
        """Rollouts that are still to come."""
        return max(0, self.total - self.done - self.failed)


class Standing:
    """The score so far: sums per problem, and the interval of their means."""

    def __init__(self) -> None:
        self.binary = True
        self.rated = True
        """Every verdict so far has a reward; else there is no score to show."""
        self.within: tuple[float, float] | None = None
        """What rewards can be, where the benchmark declares it."""
        self.rollouts = 0
        self._places: dict[int, int] = {}
        self._rewards, self._correct, self._counts = array("d"), array("d"), array("d")
        self._clusters: list[str | None] = []
        self._grouped = False
        self._found: Interval | None = None
        self._of = 0
        self._not_before = 0.0

    def add(self, score: Score, problem_idx: int, cluster: str | None) -> None:
        """A verdict."""
        place = self._places.get(problem_idx)
        if place is None:
            place = self._places[problem_idx] = len(self._counts)
            for column in (self._rewards, self._correct, self._counts):
                column.append(0.0)
            self._clusters.append(cluster)
            self._grouped = self._grouped or cluster is not None
        self.rollouts += 1
        self.rated = self.rated and score.rated
        self._counts[place] += 1
        self._rewards[place] += score.reward
        self._correct[place] += bool(score.correct)
        self.binary = self.binary and score.correct is not None

    def score(self, *, final: bool = False) -> Interval | None:
        """The mean over problems with its interval; a recent one, unless it is to be ``final``."""
        if not self.rated:
            return None
        started = time.monotonic()
        if self._of == self.rollouts or (started < self._not_before and not final):
            return self._found
        import numpy as np

        from ..results.per_problem import outside
        from ..stats.intervals import mean_interval

        sums = np.frombuffer(self._correct if self.binary else self._rewards)
        values = sums / np.frombuffer(self._counts)
        named: list[str] | None = None
        if self._grouped:
            named = [f"#{i}" if name is None else name for i, name in enumerate(self._clusters)]
        within = None if self.binary or outside(values, self.within) else self.within
        self._found = mean_interval(values, named, within=within)
        self._of = self.rollouts
        took = time.monotonic() - started
        self._not_before = started + max(INTERVAL_SECONDS, 20 * took) if self.rollouts > 999 else 0
        return self._found


@dataclass(slots=True)
class Tally:
    """Mutable counters of one benchmark; updated on the event loop only."""

    label: str
    total: int
    simulated: bool = False
    repeats: int = 1
    restored: int = 0
    standing: Standing = field(default_factory=Standing)
    errors: Counter[str] = field(default_factory=Counter)
    refused: int = 0
    truncated: int = 0
    ended_by: Counter[str] = field(default_factory=Counter)
    output_tokens: int = 0
    cost_usd: float | None = None
    started_at: float | None = None
    finished: bool = False
    finished_at: float | None = None
    status: str = ""
    traffic: Callable[[], Load] | None = None
    """What the benchmark's service is doing."""
    _stalled: Callable[[], Sequence[str]] | None = None
    _tries_before: int = 0

    def start(self, stalled: Callable[[], Sequence[str]] | None = None) -> None:
        """The first rollout of this invocation begins; ``stalled`` names those that hang."""
        self._stalled = stalled
        if self.started_at is not None:  # it had ended, and goes on
            return
        self.started_at = time.monotonic()
        if self.traffic is not None:
            self._tries_before = self.traffic().failed_tries

    def scored(
        self, score: Score, solution: Solution, problem_idx: int = 0, cluster: str | None = None
    ) -> None:
        """A rollout got its verdict."""
        self.standing.add(score, problem_idx, cluster)
        self.refused += solution.error is not None
        self.truncated += solution.truncated or bool(score.details.get("truncated"))
        self.simulated |= solution.simulated
        if solution.ended_by is not None:
            self.ended_by[solution.ended_by.value] += 1
        if not solution.cached:
            self.output_tokens += solution.usage.completion_tokens or 0
        if solution.cost_usd is not None:
            self.cost_usd = (self.cost_usd or 0.0) + solution.cost_usd

    def errored(self, kind: Failure) -> None:
        """A rollout ended without a verdict."""
        self.errors[kind.value] += 1

    def again(self, kind: Failure) -> None:
        """A rollout that ended without a verdict is tried again."""
        self.errors[kind.value] -= 1

    def reopen(self) -> None:
        """What has no verdict is tried again, though the benchmark had ended."""
        self.errors.clear()
        self.finished, self.finished_at = False, None

    def restore(self, score: Score, problem_idx: int, cluster: str | None = None) -> None:
        """A verdict of an earlier invocation."""
        self.restored += 1
        self.standing.add(score, problem_idx, cluster)

    def finish(self) -> None:
        """Note that no further rollout of this benchmark will start in this invocation."""
        self.finished = True
        self.finished_at = time.monotonic()

    def snapshot(self) -> BenchmarkProgress:
        """The numbers now."""
        running = not self.finished and self.started_at is not None
        load = self.traffic() if self.traffic is not None and running else Load()
        return BenchmarkProgress(
            label=self.label,
            total=self.total,
            done=self.standing.rollouts,
            restored=self.restored,
            score=self.standing.score(final=self.finished),
            binary=self.standing.binary,
            errored={kind: count for kind, count in self.errors.items() if count > 0},
            refused=self.refused,
            truncated=self.truncated,
            ended_by=dict(self.ended_by),
            load=load,
            retries=max(0, load.failed_tries - self._tries_before),
            output_tokens=self.output_tokens,
            cost_usd=self.cost_usd,
            started_at=self.started_at,
            finished=self.finished,
            simulated=self.simulated,
            stalled=tuple(self._stalled()) if self._stalled and not self.finished else (),
            status="; ".join(filter(None, (load.outage, self.status))),
            repeats=self.repeats,
            finished_at=self.finished_at,
        )
