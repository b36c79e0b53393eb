"""Solvers by type: built in, or a class of one's own (``type: custom``).

``class_path`` is ``module:Class``, or a name from the entry points of an installed package. The
class is called with ``config`` as keyword arguments and fulfils ``solvers.contract.Solver``, or has
a ``solve(task)`` as in the known system.
"""

from __future__ import annotations

from importlib import import_module
from inspect import Parameter, signature
from typing import TYPE_CHECKING, Any

from ..errors import ConfigError
from ..plugins import installed
from .contract import Solver

if TYPE_CHECKING:
    from ..config.solvers import CustomSolverConfig
    from ..config.solvers import Solver as SolverConfig

BUILT_IN = [
    ("simple", "one request, one answer"),
    ("custom", "a class of your own (class_path: module:Class)"),
]
GROUP = "nemo_evaluator.solvers"
NEEDS = "it needs solve(task), or solve(problem, tools), identity() and close()"


def open_solver(config: SolverConfig) -> Solver:
    """The solver of a configuration. Raises ConfigError for one this version cannot run."""
    from ..config.solvers import CustomSolverConfig
    from ..config.solvers import SimpleSolver as SimpleSolverConfig

    if isinstance(config, SimpleSolverConfig):
        from .simple import SimpleSolver

        return SimpleSolver(config)
    if isinstance(config, CustomSolverConfig):
        return _open_custom(config)
    raise ConfigError(
        f"solver {config.type!r} cannot be run by this version", hint="use simple or custom"
    )


def list_solvers() -> list[tuple[str, str]]:
    """Name and one line about each, without importing any."""
    return BUILT_IN + [(entry.name, entry.value) for entry in installed(GROUP)]


def _open_custom(config: CustomSolverConfig) -> Solver:
    where = f"solver {config.class_path!r}"
    try:
        solver = _load(config.class_path)(**config.config)
    except ConfigError:
        raise
    except Exception as error:  # foreign code
        raise ConfigError(f"{type(error).__name__}: {error}", where=where) from error
    if _takes_a_task(solver):
        adapted: Solver = import_module(__package__).EngineSolver(solver)
        return adapted
    if not isinstance(solver, Solver):
        raise ConfigError("is not a solver", where=where, hint=NEEDS)
    return solver


def _takes_a_task(solver: Any) -> bool:
    """Whether this is a solver of the known system: it has ``solve(task)``, with a ``sandbox`` or
    without."""
    if not callable(getattr(solver, "solve", None)):
        return False
    kinds = {name: given.kind for name, given in signature(solver.solve).parameters.items()}
    kinds.pop("sandbox", None)
    return list(kinds.values()) == [Parameter.POSITIONAL_OR_KEYWORD]


def _load(class_path: str) -> Any:
    found = [entry for entry in installed(GROUP) if entry.name == class_path]
    if found:
        return found[0].load()
    module, colon, attribute = class_path.partition(":")
    if not colon:
        raise ConfigError(f"no solver {class_path!r}", hint="write it as module:Class")
    return getattr(import_module(module), attribute)
