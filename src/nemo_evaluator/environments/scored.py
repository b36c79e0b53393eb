"""A rollout with its verdict, for whatever sums up all of a benchmark."""

from __future__ import annotations

from ..types import Problem, Record, Score, Solution


class ScoredProblem(Record, frozen=True, kw_only=True):
    """One rollout with its verdict, as an environment that sums up is given it."""

    problem: Problem
    """As it stands in the journal: without images."""
    repeat: int
    solution: Solution
    score: Score
