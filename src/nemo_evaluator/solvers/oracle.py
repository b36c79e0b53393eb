"""The `oracle` solver: runs the solution that a task brings. What it leaves must be worth 1.

Invariant: a solution that fails is no error: the task's tests say what it is worth. A task that
brings none is an InfraError, never a score.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path

from ..config.solvers import OracleSolverConfig
from ..errors import ConfigError, InfraError
from ..sandboxes.contract import ExecResult, Sandbox, SandboxLost
from ..steps import Observation, ObservationResult, Step, StepSource, ToolCall
from ..task_folders.files import packed
from ..task_folders.folder import read_task
from ..task_folders.records import SOLUTION
from ..task_folders.records import Solution as Gold
from ..task_folders.variables import resolved
from ..types import EndedBy, Json, Problem, Solution
from .contract import SolverNeeds, SolveTools
from .time_limits import time_limit

SHOWN = 64 << 10
"""Characters of the output that are kept."""


class OracleSolver:
    """Copies a task's ``solution/`` to ``/solution`` and runs its ``solve.sh``."""

    needs = SolverNeeds(sandbox=True)

    def __init__(self, config: OracleSolverConfig) -> None:
        self._config = config

    async def solve(self, problem: Problem, tools: SolveTools) -> Solution:
        """What the solution printed. Raises InfraError where the task brings none."""
        folder = problem.metadata.get("task_dir")
        if not isinstance(folder, str) or tools.workspace is None:
            raise ConfigError(
                "the oracle runs the solutions of task folders, and this benchmark has none",
                hint="name a benchmark such as harbor:///path/to/tasks",
            )
        gold = await asyncio.to_thread(_gold, folder, str(problem.metadata.get("step") or ""))
        if gold is None:
            raise InfraError(f"{folder}: the task brings no solution")
        allowed = problem.metadata.get("pass_env")
        env = resolved(gold.env, os.environ, _names(allowed), folder)
        limit = time_limit(self._config, problem, tools)
        began = time.perf_counter()
        sandbox = tools.workspace.sandbox
        if sandbox.spec.plain and sandbox.user != 0:  # who may make no folder there
            owned = ["install", "-d", "-o", str(sandbox.user), SOLUTION]
            await sandbox.exec(owned, user=0, cwd="/")
        files = await asyncio.to_thread(packed, gold.sources)
        done = await _run(sandbox, gold, env, limit.seconds, files)
        tools.steps.add(_step(gold, done))
        ended = EndedBy.TIME if done.timed_out else None
        return Solution(
            response=_output_shown(done),
            calls=0,
            tries=0,
            latency_ms=round((time.perf_counter() - began) * 1000, 3),
            ended_by=ended,
            details={
                "exit_code": done.exit_code,
                **({"limit": limit.why, "limit_seconds": round(limit.seconds, 1)} if ended else {}),
            },
        )

    def identity(self) -> Mapping[str, Json]:
        """The solver's limits: they may end a solution early."""
        return {"type": "oracle", **self._config.model_dump(exclude={"type"}, exclude_none=True)}

    async def close(self) -> None:
        """Nothing to release."""


async def _run(
    sandbox: Sandbox, gold: Gold, env: Mapping[str, str], seconds: float, files: bytes
) -> ExecResult:
    # Each command in a container costs a tenth of a second: one unpacks and runs. bash runs a
    # script that has no interpreter line too, as Harbor does.
    unpack = f"mkdir -p {SOLUTION} && tar -x --no-same-owner -C {SOLUTION} -f -"
    done = await sandbox.exec(
        f"{unpack} || exit 1\nexec < /dev/null 2>&1; {SOLUTION}/{gold.script}",
        timeout=seconds,
        env={"DEBIAN_FRONTEND": "noninteractive", **env},
        output_bytes=SHOWN,
        stdin=files,
    )
    if done.stderr:  # of the solution, both streams are one
        raise SandboxLost(f"the solution cannot be copied: {done.stderr.strip()[-300:]}")
    return done


def _step(gold: Gold, done: ExecResult) -> Step:
    call = "oracle-1"
    result = ObservationResult(
        source_call_id=call,
        content=_output_shown(done),
        extra={"exit_code": done.exit_code, "timed_out": done.timed_out},
    )
    return Step(
        source=StepSource.AGENT,
        message="",
        tool_calls=(
            ToolCall(
                tool_call_id=call,
                function_name="bash",
                arguments={"command": f"{SOLUTION}/{gold.script}"},
            ),
        ),
        observation=Observation(results=(result,)),
        extra={"duration_ms": round(done.duration * 1000, 1)},
    )


def _output_shown(done: ExecResult) -> str:
    """The beginning of the output; with a mark where that is not all."""
    return done.stdout + ("\n[output truncated]" if done.stdout_truncated else "")


def _names(told: Json) -> Sequence[str]:
    return [str(name) for name in told] if isinstance(told, list | tuple) else []


@lru_cache(maxsize=1024)
def _gold(folder: str, step: str) -> Gold | None:
    """The solution of a task, or of one of its steps."""
    stages = read_task(Path(folder)).stages
    return next((stage.solution for stage in stages if stage.name == step), None)
