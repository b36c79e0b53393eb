"""The `simple` solver: one request, one answer; or one for each request of the problem."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from ..config.solvers import SimpleSolver as SimpleSolverConfig
from ..errors import ConfigError, ModelError
from ..finish import FinishReason
from ..types import Generation, Json, Problem, Solution
from .contract import SolveTools
from .requests import Asker


class SimpleSolver:
    """Asks the problem's question once.

    A configured system prompt always reaches the wire: it replaces the benchmark's own.
    """

    def __init__(self, config: SimpleSolverConfig) -> None:
        self._system = config.system_prompt
        self._params = config.generation.params() if config.generation else None
        self._image_detail = config.image_detail

    async def solve(self, problem: Problem, tools: SolveTools) -> Solution:
        """One model call. A refusal of the model is a solution with ``error``."""
        if tools.model is None:
            raise ConfigError("the simple solver needs a service")
        system = problem.system if self._system is None else self._system
        try:
            if problem.requests:
                asker = Asker(
                    tools.model, tools.context, problem, system=system, params=self._params
                )
                return await asker.solution()
            generation = await tools.model.generate(
                prompt=problem.prompt,
                messages=problem.messages,
                system=system,
                images=problem.images,
                image_detail=self._image_detail,
                params=self._params,
                context=tools.context,
            )
        except ModelError as error:
            return Solution(response="", error=error.info)
        solution = to_solution(generation)
        if problem.images:
            details = {**solution.details, "images": len(problem.images)}
            solution = msgspec.structs.replace(solution, details=details)
        return solution

    def identity(self) -> Mapping[str, Json]:
        """What changes the answers."""
        identity: dict[str, Json] = {"type": "simple", "image_detail": self._image_detail}
        if self._system is not None:
            identity["system_prompt"] = self._system
        if self._params:
            identity["generation"] = self._params
        return identity

    async def close(self) -> None:
        """Nothing to release."""


def to_solution(generation: Generation) -> Solution:
    """The solution a generation is.

    Some servers put a finished answer into ``reasoning_content`` and leave the content empty. That
    text is the answer, unless the model was cut off while it still reasoned, or a content filter
    ended it.
    """
    text, reasoning, source = generation.text, generation.reasoning, "content"
    reason = FinishReason.of(generation.finish_reason)
    ended = not reason.truncated and reason is not FinishReason.CONTENT_FILTER
    if not text.strip() and reasoning and ended and not generation.tool_calls:
        text, reasoning, source = reasoning, None, "reasoning_content"
    return Solution.of(generation, response=text, reasoning=reasoning, response_source=source)
