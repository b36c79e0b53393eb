"""Opens the solver of a configuration: built in, of an installed package, or one's own class.

A class of one's own is ``type: custom`` with ``class_path``, or ``type: module:Class``. A solver
fulfils ``solvers.contract.Solver``, or has a ``solve(task)`` as in NVIDIA NeMo Evaluator.
"""

from __future__ import annotations

from importlib import import_module
from inspect import Parameter, signature
from typing import TYPE_CHECKING, Any

from ..config.plugins import given
from ..kinds import SOLVERS
from .contract import Solver

if TYPE_CHECKING:
    from ..config.agent_solvers import CustomSolverConfig
    from ..config.solvers import Solver as SolverConfig

NEEDS = "it needs solve(task), or solve(problem, tools), identity() and close()"


def open_solver(config: SolverConfig) -> Solver:
    """The solver of a configuration. Raises ConfigError."""
    return _as_solver(config.type, SOLVERS.open(config.type, given(config)))


def open_custom(config: CustomSolverConfig) -> Solver:
    """The solver of ``class_path``, called with ``config`` as keyword arguments; or a program."""
    if config.class_path is None:
        from .command import CommandSolver

        return CommandSolver(config)
    return _as_solver(config.class_path, SOLVERS.open(config.class_path, config.config))


def _as_solver(name: str, solver: object) -> Solver:
    if _takes_a_task(solver):
        adapted: Solver = import_module(__package__).EngineSolver(solver)
        return adapted
    if not isinstance(solver, Solver):
        raise SOLVERS.wrong(name, NEEDS)
    return solver


def _takes_a_task(solver: Any) -> bool:
    """Whether this is a solver of NVIDIA NeMo Evaluator: it has ``solve(task)``, with or without a
    ``sandbox``."""
    if not callable(getattr(solver, "solve", None)):
        return False
    kinds = {name: given.kind for name, given in signature(solver.solve).parameters.items()}
    kinds.pop("sandbox", None)
    return list(kinds.values()) == [Parameter.POSITIONAL_OR_KEYWORD]
