"""The solver that starts the agent of ``agent.py`` in the workspace of each problem."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from nemo_evaluator.errors import InfraError
from nemo_evaluator.solvers.contract import SolverNeeds, SolveTools
from nemo_evaluator.steps import Observation, ObservationResult, Step, StepSource, ToolCall
from nemo_evaluator.types import Json, Problem, Solution

AGENT = Path(__file__).with_name("agent.py")


class Editor:
    """Copies the agent into the sandbox, runs it, and records what it said and did."""

    needs = SolverNeeds(sandbox=True, network="door")

    async def solve(self, problem: Problem, tools: SolveTools) -> Solution:
        """One run of the agent. Its answer is the workspace it leaves."""
        assert tools.workspace is not None
        sandbox = tools.workspace.sandbox
        endpoint = await tools.door(inside=True)
        await sandbox.upload("/tmp/agent.py", AGENT)
        tools.steps.add(Step(source=StepSource.USER, message=problem.prompt))
        process = await sandbox.start(
            ["python3", "/tmp/agent.py", problem.prompt], env=endpoint.env()
        )
        if await process.wait() != 0:
            raise InfraError(f"the agent failed: {process.stderr.text[-500:]}")
        told = json.loads(process.stdout.text)
        tools.steps.add(
            Step(
                source=StepSource.AGENT,
                message=told["said"],
                model_name=endpoint.model,
                tool_calls=(
                    ToolCall(
                        tool_call_id="edit-1",
                        function_name="edit",
                        arguments={"file": "calc.py", "line": told["edited"]},
                    ),
                ),
                observation=Observation(
                    results=(ObservationResult(source_call_id="edit-1", content="written"),)
                ),
            )
        )
        return Solution(response=told["said"])

    def identity(self) -> Mapping[str, Json]:
        """What changes the answers: runs with another identity are not mixed."""
        return {"type": "editor", "version": 1}

    async def close(self) -> None:
        """Nothing to release."""
