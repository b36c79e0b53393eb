"""From what a solver left to a score: where the tests run, whether they started, what they said."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import replace
from fnmatch import fnmatchcase
from typing import Any

import msgspec

from ...errors import ConfigError, InfraError
from ...sandbox_spec import SandboxSpec
from ...sandboxes.contract import MAX_TRANSFER, Sandbox, SandboxLost
from ...task_folders.records import Check, Stage, Task
from ...task_folders.variables import resolved
from ...types import Failure, Json, Phase, Problem, Score, Solution
from ..contract import VerifyTools
from ..lending import lent
from .multi_step import one_reward, told_of
from .options import HarborOptions, names_of
from .rewards import REWARD, Rewards
from .spec import spec_of
from .startup import Start
from .tools import set_back
from .verifier import Verified, never_started, run_tests, without_reward

SLACK_SECONDS = 300.0
"""For containers that are made, and files that are copied."""
SHOWN_PATHS = 20
SHOWN = 8 << 10
"""Characters of the tests' output that are kept with a score."""


class TaskGrader:
    """Verifies the answers to the tasks of one benchmark."""

    def __init__(self, benchmark: str, options: HarborOptions) -> None:
        self._benchmark, self._options = benchmark, options
        self._controls: dict[tuple[str, str], asyncio.Task[Start]] = {}
        """Whether a task's tests start in its untouched environment, by task and step."""

    def check(self, task: Task, stage: Stage) -> None:
        """Raise ConfigError for what the tests of a stage lack."""
        self._env(task, stage.check)
        if stage.check.place is not None and stage is not task.stages[-1]:
            raise ConfigError(
                f"step {stage.name!r} is verified in a container of its own, and others follow it",
                where=str(task.folder),
                hint="leave the task out (?exclude=NAME), or run it with harbor itself",
            )
        if stage.check.place is not None:
            spec_of(stage.check.place, task.folder, self._options)

    def seconds(self, stage: Stage) -> float:
        """How long the verification of a stage may take: its tests, and once more to see whether
        they start at all."""
        return 2 * self._seconds(stage.check) + SLACK_SECONDS

    async def grade(
        self, task: Task, problem: Problem, solution: Solution, tools: VerifyTools
    ) -> Score:
        """The score of what a solver left. Raises InfraError, or NoVerdict."""
        if solution.error is not None:
            details = {"model_error": solution.error.message}
            return Score(reward=0.0, correct=False, failure=solution.error.kind, details=details)
        if solution.reward is not None and not solution.workspace:
            return Score(reward=solution.reward, details={"reward_source": "solver"})
        done = steps_of(solution)
        if done and "over" in done[-1]:
            return Score(**_score_fields(one_reward(task, done)), details={"steps": done})
        stage = task.stages[-1]
        async with lent(problem, solution, tools, None, self._benchmark) as sandbox:
            if sandbox is None:
                raise InfraError(
                    "nothing was left to verify", kind=Failure.SANDBOX, phase=Phase.VERIFY
                )
            verified = await self._verified(task, stage, sandbox, tools)
        broken = await self._broken(task, stage, verified, tools)
        steps = [*done, told_of(stage, verified)] if stage.name else []
        if verified.rewards is None:
            raise without_reward(verified, _details(verified, broken, steps))
        rewards = one_reward(task, steps) if steps else verified.rewards
        return Score(**_score_fields(rewards), details=_details(verified, broken, steps))

    async def step(self, task: Task, stage: Stage, sandbox: Sandbox) -> dict[str, Json]:
        """What became of a step that others follow, in the workspace. Raises InfraError."""
        env, seconds = self._env(task, stage.check), self._seconds(stage.check)
        await self._set_back(task, sandbox)
        verified = await run_tests(sandbox, stage.check, task.place, env, seconds)
        start, line = verified.start
        if start is not Start.STARTED:
            raise never_started(f"step {stage.name}: {line}")
        return told_of(stage, verified)

    async def _verified(
        self, task: Task, stage: Stage, sandbox: Sandbox, tools: VerifyTools
    ) -> Verified:
        """The tests of a stage, run where the agent worked or in their own container."""
        check = stage.check
        env, seconds = self._env(task, check), self._seconds(check)
        if check.place is None:
            changed = await self._set_back(task, sandbox)
            found = await run_tests(sandbox, check, task.place, env, seconds)
            return replace(found, set_back=changed)
        carried = await _artifacts_of(sandbox, check)
        spec = spec_of(check.place, task.folder, self._options)
        async with _fresh(tools, spec, self.seconds(stage)) as own:
            own.user = 0
            for path, archive in carried.items():
                await own.restore(path, archive)
            return await run_tests(own, check, check.place, env, seconds)

    async def _set_back(self, task: Task, sandbox: Sandbox) -> tuple[str, ...]:
        """Have the tests run with programs of the image; what the agent had changed of them."""
        if any(fnmatchcase(task.name, one) for one in names_of(self._options.keep_tools)):
            return ()
        return await set_back(sandbox)

    async def _broken(
        self, task: Task, stage: Stage, verified: Verified, tools: VerifyTools
    ) -> str:
        """What the agent has broken so that the tests could not start; empty where they started.
        Raises InfraError where the agent is not to blame."""
        start, line = verified.start
        if start is Start.STARTED:
            return ""
        if start is Start.ABSENT and await self._control(task, stage, tools) is Start.STARTED:
            return line
        raise never_started(line)

    async def _control(self, task: Task, stage: Stage, tools: VerifyTools) -> Start:
        """Whether the tests start in the untouched environment; tried once for each stage."""
        key = (task.name, stage.name)
        if (known := self._controls.get(key)) is None:
            known = asyncio.create_task(self._tried(task, stage, tools))
            self._controls[key] = known
            known.add_done_callback(lambda done: self._forget_failed(key, done))
        return await asyncio.shield(known)

    def _forget_failed(self, key: tuple[str, str], done: asyncio.Task[Start]) -> None:
        if done.cancelled() or done.exception() is not None:
            self._controls.pop(key, None)

    async def _tried(self, task: Task, stage: Stage, tools: VerifyTools) -> Start:
        place = stage.check.place or task.place
        spec = spec_of(place, task.folder, self._options)
        async with _fresh(tools, spec, self.seconds(stage)) as sandbox:
            env, seconds = self._env(task, stage.check), self._seconds(stage.check)
            found = await run_tests(sandbox, stage.check, place, env, seconds)
        return found.start[0]

    def _env(self, task: Task, check: Check) -> Mapping[str, str]:
        allowed = names_of(self._options.pass_env)
        return resolved(check.env, os.environ, allowed, str(task.folder))

    def _seconds(self, check: Check) -> float:
        return check.timeout * self._options.timeout_multiplier


def _fresh(
    tools: VerifyTools, spec: SandboxSpec, seconds: float
) -> AbstractAsyncContextManager[Sandbox]:
    """A sandbox of its own for the tests, which take at most this many seconds."""
    if tools.sandboxes is None:
        raise ConfigError("needs a sandbox", hint="set sandbox: {type: docker}")
    lifetime = max(spec.limits.lifetime, seconds)
    limits = msgspec.structs.replace(spec.limits, lifetime=lifetime)
    return tools.sandboxes.acquire(msgspec.structs.replace(spec, limits=limits))


async def _artifacts_of(sandbox: Sandbox, check: Check) -> dict[str, bytes]:
    """What an agent left that a verifier in another container gets: folders by their path."""
    carried = {}
    for path in check.artifacts:
        try:
            carried[path] = await sandbox.save(path, max_bytes=4 * MAX_TRANSFER)
        except FileNotFoundError:
            continue
        except ValueError as error:
            raise SandboxLost(f"an artifact cannot be carried: {error}") from None
    return carried


def steps_of(solution: Solution) -> list[Any]:
    """What became of the earlier steps of a task."""
    stages = solution.details.get("stages")
    return list(stages) if isinstance(stages, list | tuple) else []


def _score_fields(rewards: Rewards) -> dict[str, Any]:
    """The rewards as fields of a score."""
    reward = rewards.reward
    metrics = {name: value for name, value in rewards.metrics.items() if name != REWARD}
    correct = reward == 1 if reward in (0, 1) else None
    return {"reward": reward, "correct": correct, "metrics": metrics}


def _details(verified: Verified, broken: str, steps: list[Any]) -> dict[str, Json]:
    details: dict[str, Json] = {
        "exit_code": verified.exit_code,
        "verifier_seconds": round(verified.seconds, 3),
        "test_output": shortened(verified.output),
    }
    if verified.reward_file_before:
        details["reward_file_before"] = True
    if verified.set_back:
        details["tools_set_back"] = list(verified.set_back[:SHOWN_PATHS])
    if broken:
        details["verifier_broken_by_agent"] = broken
    if steps:
        details["steps"] = steps
    return details


def shortened(output: str) -> str:
    """The beginning and the end of an output."""
    if len(output) <= SHOWN:
        return output
    return f"{output[: SHOWN // 4]}\n[...]\n{output[-3 * SHOWN // 4 :]}"
