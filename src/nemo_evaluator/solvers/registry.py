"""Solvers by type."""

from __future__ import annotations

from ..config.solvers import SimpleSolver as SimpleSolverConfig
from ..config.solvers import Solver as SolverConfig
from ..errors import ConfigError
from .contract import Solver

BUILT_IN = [("simple", "one request, one answer")]


def open_solver(config: SolverConfig) -> Solver:
    """The solver of a configuration. Raises ConfigError for one this version cannot run."""
    if isinstance(config, SimpleSolverConfig):
        from .simple import SimpleSolver

        return SimpleSolver(config)
    raise ConfigError(f"solver {config.type!r} cannot be run by this version", hint="use simple")


def list_solvers() -> list[tuple[str, str]]:
    """Name and one line about each."""
    return BUILT_IN
