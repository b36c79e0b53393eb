"""The `nop` solver: does nothing. What a task's tests give an untouched workspace must be 0."""

from __future__ import annotations

from collections.abc import Mapping

from ..config.solvers import NopSolverConfig
from ..types import Json, Problem, Solution
from .contract import SolverNeeds, SolveTools


class NopSolver:
    """Leaves the workspace as it is."""

    needs = SolverNeeds(sandbox=True)

    def __init__(self, config: NopSolverConfig) -> None:
        """``config`` has no options."""

    async def solve(self, problem: Problem, tools: SolveTools) -> Solution:
        """An empty answer; no model is called."""
        return Solution(response="", calls=0, tries=0)

    def identity(self) -> Mapping[str, Json]:
        """What identifies this solver: its name."""
        return {"type": "nop"}

    async def close(self) -> None:
        """Nothing to release."""
