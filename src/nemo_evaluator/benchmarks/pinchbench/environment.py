"""PinchBench as a benchmark: an agent works in a workspace; checks, a judge, or both grade it.

The score of a task is the mean of its checks, the weighted mean of its rubric, or the two by the
weights of the task. Works with every solver that leaves files in a workspace.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from ...environments.contract import Environment, Grading, Needs, VerifyTools
from ...environments.fingerprint import digest
from ...environments.grading import attributed
from ...environments.lending import lent, let_go
from ...environments.row_checks import check_rows
from ...errors import ConfigError, InfraError
from ...sandboxes.contract import Limits, SandboxSpec
from ...scoring.judged import Ruling
from ...types import Failure, Json, Phase, Problem, Score, Solution
from .checks import run_checks
from .rubric import GRADER, files_for_judge, judged
from .tasks import Criterion, Task, digest_of, read_tasks, sessions_of
from .transcript import steps_taken, told, transcript_of

FOLDER = "NEL_PINCHBENCH_DIR"
"""The variable that names a copy of the repository, or its folder of tasks."""
WORKSPACE = SandboxSpec(limits=Limits(memory_mb=2048, pids=256, cpus=2.0, disk_mb=512))
EXPLANATION_CHARS = 300


class PinchBench(Environment):
    """See the module."""

    name = "pinchbench"

    def __init__(
        self,
        tasks_dir: str | None = None,
        tasks: str | Sequence[str] = (),
        exclude: str | Sequence[str] = (),
        grading: str | Sequence[str] = (),
        criteria: bool = False,
    ) -> None:
        """``tasks_dir``: a copy of the repository. ``tasks``, ``exclude``: patterns of ids.
        ``grading``: only tasks that are graded so. ``criteria``: each criterion is a metric."""
        given = tasks_dir or os.environ.get(FOLDER)
        if given is None:
            raise ConfigError(
                "its tasks are not in this package",
                where=self.name,
                hint="git clone https://github.com/pinchbench/skill, then params: "
                f"{{tasks_dir: skill}} or {FOLDER}=skill",
            )
        kinds = _as_list(grading)
        found = read_tasks(Path(given).expanduser(), _as_list(tasks), _as_list(exclude))
        self._tasks = [t for t in found if not kinds or t.header.grading_type in kinds]
        if not self._tasks:
            raise ConfigError(
                "no task is left", where=self.name, hint="see tasks, exclude, grading"
            )
        self._criteria, self._digest = criteria, ""

    @property
    def needs(self) -> Needs:
        """A sandbox for the checks, and a judge where a task has a rubric."""
        judge = any(task.rubric for task in self._tasks)
        return Needs(sandbox=WORKSPACE, judge=judge, own_rubric=judge, agent=True)

    @property
    def grading(self) -> Grading:
        """What further metrics are given."""
        return Grading(self.name, sandbox=WORKSPACE)

    async def prepare(self) -> None:
        """Tell these tasks from others."""
        self._digest = await asyncio.to_thread(digest_of, self._tasks)

    async def size(self) -> int:
        """Number of tasks."""
        return len(self._tasks)

    async def check(self, order: Sequence[int]) -> None:
        """Raise one ConfigError for all tasks whose files are not there."""

        def attempt(idx: int) -> None:
            self._tasks[idx].files()

        await asyncio.to_thread(check_rows, order, attempt, where=self.name)

    async def seed(self, idx: int) -> Problem:
        """A task: what the agent is asked, and its files. What grades it is not told."""
        task = self._tasks[idx]
        files = await asyncio.to_thread(task.files)
        metadata: dict[str, Json] = {
            "task": task.header.id,
            "name": task.header.name,
            "category": task.header.category,
            "grading_type": task.header.grading_type,
            "agent_timeout_sec": task.header.timeout_seconds,
        }
        if sessions := sessions_of(task.header):
            metadata["sessions"] = list(sessions)
        spec = SandboxSpec(files=files, limits=WORKSPACE.limits)
        return Problem(idx=idx, prompt=task.prompt, metadata=metadata, workspace=spec)

    async def verify(self, problem: Problem, solution: Solution, tools: VerifyTools) -> Score:
        """The score of what the agent did and left. Raises InfraError where it cannot be told."""
        task = self._tasks[problem.idx]
        with attributed(self.name, problem.idx):
            steps = steps_taken(problem, solution)
            checks, files = {}, ""
            async with lent(problem, solution, tools, WORKSPACE, self.name) as sandbox:
                assert sandbox is not None
                if task.checks is not None:
                    events = transcript_of(steps)
                    checks = await run_checks(sandbox, task.checks, events, task.header.id)
                if task.rubric:
                    files = await files_for_judge(sandbox)
            rulings: Sequence[Ruling] = ()
            if task.rubric:
                await let_go(solution, tools)
                if tools.judge is None:
                    raise InfraError(
                        "no judge is configured", kind=Failure.VERIFIER, phase=Phase.VERIFY
                    )
                rulings = await judged(tools.judge, task, told(steps), files)
            return score_of(task, checks, rulings, criteria=self._criteria)

    def identity(self) -> Mapping[str, Json]:
        """The tasks with their files, and how they are graded."""
        return {
            "dataset": self.name,
            "dataset_digest": self._digest,
            "dataset_rows": len(self._tasks),
            "tasks": [task.header.id for task in self._tasks],
            "grader": digest(GRADER, "checks: mean; rubric: by criterion"),
        }

    async def close(self) -> None:
        """Nothing to release."""


def score_of(
    task: Task, checks: Mapping[str, float], rulings: Sequence[Ruling], *, criteria: bool = False
) -> Score:
    """The score of a task.

    Example: checks 1 and 0 with weight 0.4, criteria 1 (75 %) and 0.5 (25 %) with weight 0.6:
    0.4 * 0.5 + 0.6 * 0.875 = 0.725.
    """
    metrics: dict[str, float] = {}
    details: dict[str, Json] = {}
    graded = {name: float(ruling.value) for name, ruling in _by_name(task.rubric, rulings)}
    if checks:
        metrics["checks"] = sum(checks.values()) / len(checks)
        details["checks"] = dict(checks)
    if rulings:
        metrics["rubric"] = sum(
            criterion.weight * float(ruling.value)
            for criterion, ruling in zip(task.rubric, rulings, strict=True)
        )
        details["rubric"] = {
            name: {"score": float(ruling.value), "why": ruling.explanation[:EXPLANATION_CHARS]}
            for name, ruling in _by_name(task.rubric, rulings)
        }
    of_checks, of_judge = task.weights
    reward = of_checks * metrics.get("checks", 0.0) + of_judge * metrics.get("rubric", 0.0)
    if criteria:
        metrics |= {
            f"{task.header.id}/{name}": value for name, value in {**checks, **graded}.items()
        }
    return Score(reward=reward, metrics=metrics, details=details, extracted=task.header.id)


def _by_name(criteria: Sequence[Criterion], rulings: Sequence[Ruling]) -> list[tuple[str, Ruling]]:
    return [(one.name, ruling) for one, ruling in zip(criteria, rulings, strict=bool(rulings))]


def _as_list(given: str | Sequence[str]) -> list[str]:
    return [given] if isinstance(given, str) else list(given)
