"""What an importer is: something that reads results of another tool as benchmarks of a run.

It is a class, called with its nested ``Options`` (a `ConfigRecord`) or, if it has none, with its
options as keyword arguments. It reads and never writes; rollouts stream.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol, runtime_checkable

from ..measured import Measure
from ..types import (
    BenchmarkPlan,
    ErrorInfo,
    Json,
    Outcome,
    Problem,
    Record,
    RolloutKey,
    Score,
    Solution,
)


class Rollout(Record, frozen=True, kw_only=True):
    """One rollout: scored, or with an error that says why it is not."""

    problem: Problem
    repeat: int = 0
    at: float = 0.0
    """When it was answered, in Unix time; 0: unknown."""
    solution: Solution | None = None
    score: Score | None = None
    outcome: Outcome = Outcome.SCORED
    error: ErrorInfo | None = None
    """Set where there is no score."""

    @property
    def key(self) -> RolloutKey:
        """Which rollout this is."""
        return RolloutKey(self.problem.idx, self.repeat)


@dataclass(frozen=True, kw_only=True, slots=True)
class Imported:
    """One benchmark as another tool ran it."""

    name: str
    model: str | None
    source: str
    """Where it was read, for messages and for the record of the run."""
    tool: str
    """What wrote it."""
    size: int
    """Problems of the dataset: every ``problem_idx`` is below it."""
    rollouts: Callable[[], Iterator[Rollout]]
    """The rollouts, in any order; read anew by each call."""
    repeats: int = 1
    problems: tuple[int, ...] | None = None
    """The problems that were to be done; None: all of them."""
    identity: Mapping[str, Json] = field(default_factory=dict)
    """What makes it comparable with others of the same tool: ``environment.…``."""
    measures: tuple[Measure, ...] = ()
    """Numbers that the tool made of all rows."""
    solver: str = "imported"
    created: str | None = None
    """ISO 8601."""
    plan: BenchmarkPlan | None = None
    """The plan of a run of ours that was handed on to the other tool: it is restored."""


@runtime_checkable
class Importer(Protocol):
    """Reads results of one tool."""

    def takes(self, path: Path) -> bool:
        """Whether a path is one of its files, or a folder of them. Reads little."""

    def read(self, path: Path) -> Sequence[Imported]:
        """The benchmarks of a file or a folder. Raises ConfigError."""
