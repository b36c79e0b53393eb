"""Solvers are opened by type, or by the path of a class."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
from pydantic import TypeAdapter

from nemo_evaluator import SeedResult, SolveResult
from nemo_evaluator.config.solvers import Solver as SolverConfig
from nemo_evaluator.errors import ConfigError
from nemo_evaluator.kinds import SOLVERS
from nemo_evaluator.solvers.contract import Solver, SolveTools
from nemo_evaluator.solvers.registry import open_solver
from nemo_evaluator.solvers.simple import SimpleSolver
from nemo_evaluator.traffic.types import CallContext
from nemo_evaluator.types import Json, Problem, Solution


class Echo:
    """A solver of one's own: says what it was told."""

    def __init__(self, text: str) -> None:
        self.text = text

    async def solve(self, problem: Problem, tools: SolveTools) -> Solution:
        return Solution(response=self.text)

    def identity(self) -> Mapping[str, Json]:
        return {"text": self.text}

    async def close(self) -> None: ...


class Parrot:
    """A solver of NVIDIA NeMo Evaluator."""

    async def solve(self, task: SeedResult) -> SolveResult:
        return SolveResult(response=task.prompt, reward=0.5)


class ParrotWithSandbox(Parrot):
    async def solve(self, task: SeedResult, sandbox: Any = None) -> SolveResult:
        return await super().solve(task)


class NoSolver:
    pass


def opened(**fields: Any) -> Solver:
    return open_solver(TypeAdapter[Any](SolverConfig).validate_python(fields))


def test_simple_is_built_in() -> None:
    assert isinstance(opened(type="simple", service="s"), SimpleSolver)


def test_a_solver_of_ones_own() -> None:
    solver = opened(type="custom", class_path=f"{__name__}:Echo", config={"text": "hi"})
    assert solver.identity() == {"text": "hi"}


@pytest.mark.parametrize("name", ["Parrot", "ParrotWithSandbox"])
async def test_a_solver_of_the_known_system_takes_a_task(name: str) -> None:
    solver = opened(type="custom", class_path=f"{__name__}:{name}")
    tools = SolveTools(model=None, context=CallContext())
    solution = await solver.solve(Problem(idx=0, prompt="hi", target=""), tools)
    assert (solution.response, solution.reward) == ("hi", 0.5)
    assert (solution.calls, solution.tries) == (0, 0)
    assert solver.identity() == {"type": f"{__name__}.{name}"}
    await solver.close()


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        (
            {"class_path": "echo"},
            "there is no solver 'echo' — known: ",
        ),
        (
            {"class_path": "no_such_module:X"},
            "'no_such_module:X': cannot be loaded: ModuleNotFound",
        ),
        ({"class_path": f"{__name__}:Missing"}, "has no 'Missing'"),
        ({"class_path": f"{__name__}:Echo"}, "missing 1 required positional argument: 'text'"),
        ({"class_path": f"{__name__}:NoSolver"}, "is not a solver — it needs solve(task), or"),
    ],
)
def test_errors_name_the_solver(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        opened(type="custom", **fields)
    assert message in str(caught.value)


def test_built_in_solvers_are_listed() -> None:
    assert {"simple", "custom", "oracle", "nop"} <= set(SOLVERS.names())
