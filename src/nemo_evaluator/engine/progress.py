"""Live numbers of a run: counters the engine bumps per rollout, snapshots a display may take.

A ``Tally`` costs a microsecond per rollout and keeps sums, never results. What a display shows is a
frozen ``BenchmarkProgress``; nothing here prints.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from ..types import Failure, Score, Solution


@dataclass(frozen=True, slots=True)
class BenchmarkProgress:
    """One benchmark of a run at one moment."""

    label: str
    total: int
    """Rollouts planned."""
    done: int
    """Rollouts that ended, with a verdict or with an error."""
    restored: int
    """How many of ``done`` came from an earlier invocation."""
    scored: int
    score_sum: float
    score_sq_sum: float
    """Sums of rewards over scored rollouts, for mean and standard error."""
    binary: bool
    """Every verdict so far was yes or no: then the score is the share of ``correct``."""
    errored: Mapping[str, int]
    """Final errors by kind."""
    truncated: int
    """Answers of this invocation that a token limit cut."""
    in_flight: int
    limit: int | None
    """Requests the adaptive limiter allows now."""
    tokens: int
    """Tokens of this invocation (prompt and completion)."""
    cost_usd: float | None
    started_at: float | None
    """``time.monotonic()`` of the first rollout of this invocation."""
    finished: bool
    simulated: bool
    stalled: Sequence[str] = ()
    status: str = ""
    correct: int = 0
    """Verdicts of yes."""
    repeats: int = 1
    """Rollouts per problem; those of one problem are not independent."""
    finished_at: float | None = None
    """``time.monotonic()`` when it finished."""


@dataclass(slots=True)
class Tally:
    """Mutable counters of one benchmark; updated on the event loop only."""

    label: str
    total: int
    simulated: bool = False
    repeats: int = 1
    restored: int = 0
    scored_count: int = 0
    score_sum: float = 0.0
    score_sq_sum: float = 0.0
    binary: bool = True
    correct: int = 0
    errors: Counter[str] = field(default_factory=Counter)
    truncated: int = 0
    tokens: int = 0
    cost_usd: float | None = None
    started_at: float | None = None
    finished: bool = False
    finished_at: float | None = None
    status: str = ""
    traffic: Callable[[], tuple[int, int | None]] | None = None
    """Gives (requests in flight, current limit) of the benchmark's service."""
    stalled: Callable[[], Sequence[str]] | None = None

    def start(self) -> None:
        """The first rollout of this invocation begins."""
        self.started_at = time.monotonic()

    def scored(self, score: Score, solution: Solution) -> None:
        """A rollout got its verdict."""
        self._add(score)
        self.truncated += solution.truncated or bool(score.details.get("truncated"))
        self.tokens += solution.usage.total_tokens or 0
        self.simulated |= solution.simulated
        if solution.cost_usd is not None:
            self.cost_usd = (self.cost_usd or 0.0) + solution.cost_usd

    def errored(self, kind: Failure) -> None:
        """A rollout ended without a verdict."""
        self.errors[kind.value] += 1

    def restore(self, score: Score) -> None:
        """A verdict of an earlier invocation."""
        self.restored += 1
        self._add(score)

    def finish(self) -> None:
        """No further rollout of this benchmark in this invocation."""
        self.finished = True
        self.finished_at = time.monotonic()

    def snapshot(self) -> BenchmarkProgress:
        """The numbers now."""
        in_flight, limit = self.traffic() if self.traffic and not self.finished else (0, None)
        return BenchmarkProgress(
            label=self.label,
            total=self.total,
            done=self.scored_count + self.errors.total(),
            restored=self.restored,
            scored=self.scored_count,
            score_sum=self.score_sum,
            score_sq_sum=self.score_sq_sum,
            binary=self.binary,
            errored=dict(self.errors),
            truncated=self.truncated,
            in_flight=in_flight,
            limit=limit,
            tokens=self.tokens,
            cost_usd=self.cost_usd,
            started_at=self.started_at,
            finished=self.finished,
            simulated=self.simulated,
            stalled=tuple(self.stalled()) if self.stalled and not self.finished else (),
            status=self.status,
            correct=self.correct,
            repeats=self.repeats,
            finished_at=self.finished_at,
        )

    def _add(self, score: Score) -> None:
        self.scored_count += 1
        self.score_sum += score.reward
        self.score_sq_sum += score.reward * score.reward
        self.binary = self.binary and score.correct is not None
        self.correct += bool(score.correct)
