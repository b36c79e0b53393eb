"""``solver: {type: container}``: settings of a harness that runs in an image.

The harness asks by itself (`environments.container`); here nothing is ever solved.
"""

from __future__ import annotations

from collections.abc import Mapping

from ..config.solvers import ContainerSolverConfig
from ..errors import ConfigError
from ..types import Json, Problem, Solution
from .contract import SolveTools


class ContainerSolver:
    """Holds the configuration."""

    def __init__(self, config: ContainerSolverConfig) -> None:
        self.container = config

    async def solve(self, problem: Problem, tools: SolveTools) -> Solution:
        """Raises ConfigError: only a harness in an image has a use for it."""
        raise ConfigError(
            "is for harnesses in images, and this benchmark is none",
            where="solver.type: container",
            hint="name a benchmark container://IMAGE#TASK, or use solver: {type: simple}",
        )

    def identity(self) -> Mapping[str, Json]:
        """What the harness is told. Not the values of variables: they may be secrets."""
        settings = self.container.model_dump(exclude={"service", "env_vars", "mounts"})
        named = {"env_vars": sorted(self.container.env_vars)}
        return {**{k: v for k, v in settings.items() if v is not None}, **named}

    async def close(self) -> None:
        """Nothing to release."""
