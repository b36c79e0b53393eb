"""The environment of task folders: each problem is a task, each answer a workspace in which the
task's own tests are run.

Invariants: what could not be run or verified is refused before the first rollout; tests that could
not start are an InfraError, tests without a reward are unscored, neither is ever a score.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path

from ...errors import ConfigError
from ...sandbox_spec import HandoverSpec, SandboxSpec
from ...sandboxes.contract import Sandbox
from ...task_folders.files import task_digest
from ...task_folders.folder import read_task
from ...task_folders.records import Stage, Task
from ...types import Json, Problem, Score, Solution
from ..contract import Environment, Grading, Needs, VerifyTools
from .grading import TaskGrader
from .multi_step import begin
from .options import HarborOptions, names_of, options_of
from .spec import begin_command, workspace_of
from .suites import chosen, find, parse

TASK, TASK_DIR, STEP = "task", "task_dir", "step"
SHOWN = 10
"""Tasks that one error names."""
AGENT_TIMEOUT, PASS_ENV = "agent_timeout_sec", "pass_env"


class HarborEnvironment(Environment):
    """Tasks in containers, by the names of their folders."""

    def __init__(
        self,
        name: str,
        folders: Sequence[Path],
        options: HarborOptions,
        *,
        dockerfile: Path | None = None,
    ) -> None:
        """``dockerfile``: what the image of every task is built of, instead of its own."""
        self.name = name
        self._folders, self._options, self._dockerfile = folders, options, dockerfile
        self._tasks: dict[int, Task] = {}
        self._digest = ""
        self._grader = TaskGrader(name, options)

    @property
    def needs(self) -> Needs:
        """A container of each task's own, and a solver that works in it."""
        return Needs(sandbox=SandboxSpec(plain=True, cwd=""), agent=True)

    @cached_property
    def grading(self) -> Grading:
        """What further metrics are given."""
        return Grading(self.name)

    async def prepare(self) -> None:
        """Tell this version of the tasks from others."""
        digests = await asyncio.to_thread(lambda: [task_digest(one) for one in self._folders])
        self._digest = hashlib.sha256("".join(digests).encode()).hexdigest()[:16]

    async def size(self) -> int:
        """Number of tasks."""
        return len(self._folders)

    async def check(self, order: Sequence[int]) -> None:
        """Raise one ConfigError for all tasks of ``order`` that cannot be run or verified."""
        await asyncio.to_thread(self._check_all, order)

    def _check_all(self, order: Sequence[int]) -> None:
        errors: list[ConfigError] = []
        for idx in order:
            try:
                self._check(idx)
            except ConfigError as error:
                errors.append(error)
        if len(errors) == 1:
            raise errors[0]
        if errors:
            lines = "".join(f"\n  {error}" for error in errors[:SHOWN])
            more = f"\n  and {len(errors) - SHOWN} more" if len(errors) > SHOWN else ""
            raise ConfigError(
                f"{len(errors)} of {len(order)} tasks cannot be run:{lines}{more}", where=self.name
            )

    def _check(self, idx: int) -> None:
        task = self._task(idx)
        workspace_of(task, self._options)
        for stage in task.stages:
            self._grader.check(task, stage)

    def _task(self, idx: int) -> Task:
        if idx not in self._tasks:
            self._tasks[idx] = read_task(self._folders[idx], self._dockerfile)
        return self._tasks[idx]

    async def seed(self, idx: int) -> Problem:
        """The task at a place in the order of names; of one with steps, its first."""
        task = await asyncio.to_thread(self._task, idx)
        return self._problem(task, idx, task.stages[0])

    async def next_stage(
        self, problem: Problem, sandbox: Sandbox
    ) -> tuple[Mapping[str, Json], Problem | None]:
        """What became of a step, and the next one."""
        task = await asyncio.to_thread(self._task, problem.idx)
        number = [stage.name for stage in task.stages].index(str(problem.metadata[STEP]))
        outcome = await self._grader.step(task, task.stages[number], sandbox)
        if "over" in outcome:
            return outcome, None
        following = task.stages[number + 1]
        await begin(sandbox, following, after=True)
        return outcome, self._problem(task, problem.idx, following)

    def _problem(self, task: Task, idx: int, stage: Stage) -> Problem:
        own: dict[str, Json] = {TASK: task.name, TASK_DIR: str(task.folder)}
        if stage.agent_timeout is not None:
            own[AGENT_TIMEOUT] = stage.agent_timeout
        if stage.name:
            own[STEP] = stage.name
        if allowed := names_of(self._options.pass_env):
            own[PASS_ENV] = list(allowed)
        return Problem(
            idx=idx,
            prompt=stage.instruction,
            metadata={**task.metadata, **own},
            workspace=workspace_of(task, self._options),
            handover=HandoverSpec(pre_agent_cmd=begin_command(task)),
            goes_on=stage is not task.stages[-1],
            verify_timeout=self._grader.seconds(stage),
        )

    async def verify(self, problem: Problem, solution: Solution, tools: VerifyTools) -> Score:
        """What the task's tests say of what the solver left."""
        task = await asyncio.to_thread(self._task, problem.idx)
        return await self._grader.grade(task, problem, solution, tools)

    def identity(self) -> Mapping[str, Json]:
        """The tasks by name and content, and what is done differently from what they say."""
        return {
            "dataset": self.name,
            "dataset_rows": len(self._folders),
            "dataset_digest": self._digest,
            **({"dockerfile": self._dockerfile.name} if self._dockerfile else {}),
            "verifier": "task-tests-1",
            "timeout_multiplier": self._options.timeout_multiplier,
            **({"keep_tools": list(kept)} if (kept := names_of(self._options.keep_tools)) else {}),
            **({"allowlist": self._options.allowlist} if self._options.allowlist else {}),
        }

    async def close(self) -> None:
        """Nothing to release."""


def open_harbor(uri: str, params: Mapping[str, Json]) -> list[Environment]:
    """The tasks of ``harbor://...``. Raises ConfigError."""
    place, given = parse(uri)
    options = options_of({**params, **given}, uri)
    source = find(place, options.registry, uri)
    folders = chosen(source.folders, names_of(options.tasks), names_of(options.exclude), uri)
    return [HarborEnvironment(source.name, folders, options)]
