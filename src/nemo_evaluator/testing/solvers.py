"""What every solver promises; see `solvers.contract`.

```python
class TestMine(SolverContract):
    @pytest.fixture
    def solver(self):
        return MySolver()
```
"""

from __future__ import annotations

import asyncio

import msgspec
import pytest

from ..errors import InfraError
from ..solvers.contract import Solver, SolveTools, needs_of
from ..traffic.errors import TransportError
from ..traffic.types import CallContext
from ..types import Failure, Problem, Solution
from .models import Script, scripted_model

MANY = 16


def tools(script: Script, idx: int = 0) -> SolveTools:
    """What a solver gets for one rollout, with a model that answers by a script."""
    context = CallContext(session=f"contract/{idx}/0", benchmark="contract", problem_idx=idx)
    model = scripted_model(script)
    return SolveTools(model=model, context=context, models={"model": model})


class SolverContract:
    """Subclass it with a fixture ``solver`` that needs a model, and no workspace."""

    def problem(self, idx: int = 0) -> Problem:
        """What is solved."""
        return Problem(idx=idx, prompt=f"What is {idx} + 1?", target=str(idx + 1))

    def answers(self, idx: int) -> Script:
        """What the model says to every request of a problem; the solver's final text holds it."""
        return lambda request: str(idx + 1)

    async def test_what_the_model_says_is_the_answer(self, solver: Solver) -> None:
        """The solution holds the model's answer, and what it cost is known."""
        assert isinstance(solver, Solver) and needs_of(solver) is not None
        solution = await solver.solve(self.problem(), tools(self.answers(0)))
        assert isinstance(solution, Solution) and "1" in solution.response
        assert solution.error is None

    async def test_problems_at_once_do_not_mix(self, solver: Solver) -> None:
        """One solver solves many problems at once."""
        found = await asyncio.gather(
            *(solver.solve(self.problem(i), tools(self.answers(i), i)) for i in range(MANY))
        )
        assert all(str(i + 1) in solution.response for i, solution in enumerate(found))

    async def test_a_failure_of_the_endpoint_is_not_an_answer(self, solver: Solver) -> None:
        """InfraError, never a solution that could be scored."""
        with pytest.raises(InfraError):
            await solver.solve(
                self.problem(),
                tools(lambda request: TransportError(Failure.CONNECTION, "the line is down")),
            )

    async def test_its_identity_is_plain_and_steady(self, solver: Solver) -> None:
        """The identity is JSON, and solving does not change it."""
        before = msgspec.json.encode(dict(solver.identity()), order="sorted")
        await solver.solve(self.problem(), tools(self.answers(0)))
        assert msgspec.json.encode(dict(solver.identity()), order="sorted") == before

    async def test_it_can_be_closed_twice(self, solver: Solver) -> None:
        """Closing again does nothing."""
        await solver.close()
        await solver.close()
