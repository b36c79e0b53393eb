"""What may look at the answers of a benchmark while it runs, and end it before its last problem."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from ..results.journal import Event
from ..types import RolloutKey, Score, Solution


class Watch(Protocol):
    """Told of every rollout that is over; one for each benchmark that is watched."""

    @property
    def done(self) -> bool:
        """Whether no further rollout may start."""
        ...

    def begin(self, append: Callable[[Event], None]) -> None:
        """The benchmark starts; events are journaled by ``append``."""
        ...

    def scored(self, key: RolloutKey, score: Score, solution: Solution) -> None:
        """A rollout has its verdict."""
        ...

    def failed(self, key: RolloutKey) -> None:
        """A rollout has ended without one; a later invocation of the run may ask again."""
        ...
