"""A solver that asks until the answer is long enough."""

from __future__ import annotations

from collections.abc import Mapping

from pydantic import Field

from nemo_evaluator.config.base import ConfigRecord
from nemo_evaluator.solvers.contract import SolveTools
from nemo_evaluator.types import Json, Problem, Solution


class Patient:
    """Asks at most ``rounds`` times."""

    class Options(ConfigRecord):
        """How often it asks."""

        rounds: int = Field(2, ge=1)
        """Most questions."""

    def __init__(self, options: Options) -> None:
        self._rounds = options.rounds

    async def solve(self, problem: Problem, tools: SolveTools) -> Solution:
        """The first long answer, or the last one."""
        assert tools.model is not None
        for _ in range(self._rounds):
            answer = await tools.model.generate(
                prompt=problem.prompt,
                messages=problem.messages,
                system=problem.system,
                context=tools.context,
            )
            if len(answer.text) > 40:
                break
        return Solution.of(answer)

    def identity(self) -> Mapping[str, Json]:
        """What changes the answers."""
        return {"type": "patient", "rounds": self._rounds}

    async def close(self) -> None:
        """Nothing to release."""
