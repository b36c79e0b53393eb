"""``nat``: an agent of NeMo Agent Toolkit solves the problem, by ``POST /generate/full``.

The server asks its models itself: what they used is known where it tells, and never guessed.
"""

from __future__ import annotations

from collections.abc import Mapping

from ..config.solver_fields import AGENT
from ..config.solvers import NatSolverConfig
from ..services.json_server import JsonServer
from ..steps import Step, StepSource
from ..types import Json, Problem, Solution
from .contract import SolveTools
from .nat_events import NatEvents
from .question import question_of

PATH = "/generate/full"
WHO = "an agent of NeMo Agent Toolkit"


class Nat:
    """Sends whole problems to the agent."""

    def __init__(self, config: NatSolverConfig) -> None:
        self._config = config

    async def solve(self, problem: Problem, tools: SolveTools) -> Solution:
        """One request. Raises InfraError where there is no answer."""
        calls, question = tools.servers[AGENT].calls, question_of(problem, WHO)
        tools.steps.add(Step(source=StepSource.USER, message=question))
        events = NatEvents()
        try:
            async with calls.places:
                tools.begin_waiting(calls.peer)
                await streamed(calls, question, tools.seconds_left(), events)
        finally:
            for step in events.steps:
                tools.steps.add(step)
        return Solution(
            response=events.answer or "",
            finish_reason="stop",
            usage=events.usage,
            model=events.model,
            calls=max(1, events.calls),
        )

    def identity(self) -> Mapping[str, Json]:
        """The agent is the server's; its configuration is part of the server's identity."""
        return {"type": "nat"}

    async def close(self) -> None:
        """Nothing to release."""


async def streamed(calls: JsonServer, question: str, seconds: float, events: NatEvents) -> None:
    """Ask the agent at a server, and collect what it streams. Raises InfraError where that is no
    answer; what came before stands in ``events``."""
    body: Json = {"input_message": question}
    async with calls.session().streamed(
        PATH, body, seconds=seconds, accept="text/event-stream"
    ) as pieces:
        async for piece in pieces:
            events.feed(piece)
    events.close()
    if events.error is not None:
        raise calls.unreadable(PATH, f"tells of an error: {events.error:.500}")
    if events.answer is None:
        raise calls.unreadable(PATH, "ended without an answer")
