"""The `harbor` solver. See the package.

Invariants: whatever becomes of an attempt, its steps are recorded and its bridge is closed; what
the agent left is only verified where something is known about the agent (`outcome.py`).
"""

from __future__ import annotations

import asyncio
import shutil
import uuid
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import cast

from ...config.agent_solvers import HarborFields
from ...config.secrecy import masked
from ...errors import ConfigError, InfraError
from ...files.digests import digest
from ...foreign import ForeignError
from ...sandboxes.contract import Sandbox
from ...sandboxes.finishing import finish
from ...steps import steps_from
from ...traffic.client import NO_WINDOW, Window
from ...types import EndedBy, Failure, Json, Problem, Solution
from ..contract import Endpoint, SolverNeeds, SolveTools
from ..question import question_of
from ..time_limits import TimeLimit, time_limit
from .agent import PLACEHOLDER, Given, check_arguments, named, told
from .bridge import Bridge
from .logs import Document, last_words, plain_steps, trajectory, with_costs
from .outcome import Circumstances, Ended, answers_of, judged
from .trials import tried
from .worker import HarborWorker

SKILLS = "/skills"
PROGRAMS = {"terminus-2": "tmux"}
"""What an agent tries to install where it is absent."""
GRACE = 0.05
"""Part of an agent's time that it gets to end in, at most `MOST_GRACE` seconds."""
MOST_GRACE = 15.0
MARK = "/tmp/.nel-start"
CHANGED = (
    f"find . /app /testbed /workspace -xdev -newer {MARK} -print -quit 2>/dev/null | grep -q ."
)
"""Whether anything is newer than the mark that was made when the agent began."""
PREFACE = """\
A skill for this task is in {path}. Read {path}/SKILL.md before you begin.

"""


class HarborSolver:
    """Runs an agent of the harbor package."""

    def __init__(self, config: HarborFields) -> None:
        self._config = config
        self._agent = named(config.agent)
        self._worker = HarborWorker(config.python)
        self._described: Given = {}
        check_arguments(config)

    async def prepare(self) -> None:
        """See `Prepares`: the interpreter, the agent, its arguments and its skill."""
        config = self._config
        if config.skill_dir is not None and not await asyncio.to_thread(
            _is_skill, config.skill_dir
        ):
            raise ConfigError(
                f"{config.skill_dir} is no folder with a SKILL.md", where="solver.skill_dir"
            )
        endpoint = None if config.service is None else PLACEHOLDER
        self._described = await self._worker.describe(self._agent_data(endpoint))
        if self._described["needs_model"] and config.service is None:
            raise ConfigError(
                f"the agent {config.agent!r} asks a model", where="solver", hint="give it a service"
            )
        if config.environment is not None:
            self._check_environment()
        if self._described["anthropic"]:  # its arguments depend on that
            self._described = await self._worker.describe(self._agent_data(endpoint))

    def _check_environment(self) -> None:
        if self._agent.folder:
            raise ConfigError(
                "an agent that is a folder works in our workspaces only", where="solver.environment"
            )
        if self._described["inside"] and self._config.service is not None:
            raise ConfigError(
                f"{self._config.agent!r} runs inside harbor's environment, from where it does not "
                "reach its model",
                where="solver.environment",
                hint="leave environment out: our workspaces have a door to the model",
            )

    @property
    def needs(self) -> SolverNeeds:
        """A workspace; an agent that runs inside reaches its model from there."""
        if self._config.environment is not None:
            return SolverNeeds()
        inside = self._described.get("inside", True) and self._config.service is not None
        return SolverNeeds(sandbox=True, network="door" if inside else "none")

    async def solve(self, problem: Problem, tools: SolveTools) -> Solution:
        """What the agent made of the problem. Raises InfraError where nothing is known of that."""
        if self._config.environment is not None:
            given = await self._agent_data_with_model(tools)
            limit, asks = self._limit(problem, tools), self._described["needs_model"]
            return await tried(self._worker, given, problem, tools, limit, asks)
        if tools.workspace is None:
            raise ConfigError("agents of harbor work in a sandbox", hint="set sandbox")
        if self._described["name"] == "oracle" and problem.metadata.get("step"):
            raise ConfigError(
                "harbor's oracle knows the first step of a task only",
                hint="solver: {type: oracle}, which needs no harbor, knows all of them",
            )
        sandbox, before = tools.workspace.sandbox, answers_of(tools)
        async with self._running(problem, tools, sandbox) as (rollout, logs):
            await sandbox.exec(["sh", "-c", f": > {MARK}"])
            limit = self._limit(problem, tools)
            try:
                found = await self._worker.call(
                    "run",
                    rollout=rollout,
                    instruction=self._prompt(problem),
                    seconds=limit.seconds,
                    grace=_grace(limit),
                )
            except ForeignError as error:
                raise InfraError(f"harbor failed: {error}") from None
            finally:
                document = await asyncio.to_thread(trajectory, logs)
                for step in steps_from(document) if document else ():
                    tools.steps.add(step)
            changed = (await sandbox.exec(CHANGED)).ok
            ended = Ended.of(found)
            has_words = bool(last_words(document, ended.metadata or {}).strip())
            known = Circumstances(limit, self._described["needs_model"], changed, has_words, before)
            return self._solution(problem, tools, ended, known, document)

    def identity(self) -> Mapping[str, Json]:
        """What changes the meaning of the answers."""
        config, worker = self._config, self._worker
        skill = None if config.skill_dir is None else _digest(Path(config.skill_dir))
        return {
            "type": "harbor",
            "agent": Path(config.agent).name if self._agent.folder else self._agent.agent,
            "agent_version": self._described.get("version"),
            "agent_files": digest(*(path.read_bytes() for path in self._agent.files)),
            "harbor": worker.interpreter.version if worker.interpreter else None,
            "agent_kwargs": cast("Json", masked(config.agent_kwargs)),
            "container_env": sorted(config.container_env),
            "time_limit": [config.run_timeout, config.timeout_strategy, config.max_agent_timeout],
            "cmd_timeout": config.cmd_timeout,
            "skill": skill,
            **({"environment": config.environment} if config.environment else {}),
        }

    async def close(self) -> None:
        """End harbor's process."""
        await self._worker.close()

    def _agent_data(self, endpoint: Endpoint | None, window: Window = NO_WINDOW) -> Given:
        anthropic = bool(self._described.get("anthropic"))
        return told(self._config, self._agent, endpoint, anthropic=anthropic, window=window)

    async def _agent_data_with_model(self, tools: SolveTools) -> Given:
        """The agent, with the model of a rollout."""
        if tools.model is None:
            return self._agent_data(None)
        endpoint = await tools.door(inside=self._described["inside"])
        return self._agent_data(endpoint, tools.model.window)

    @asynccontextmanager
    async def _running(
        self, problem: Problem, tools: SolveTools, sandbox: Sandbox
    ) -> AsyncIterator[tuple[str, Path]]:
        """The agent of a rollout, ready to begin, and the folder of its logs."""
        rollout = f"{tools.context.session}-{tools.context.attempt}-{uuid.uuid4().hex[:6]}"
        folder = await self._worker.folder(rollout)
        bridge = self._worker.bridges[rollout] = Bridge(sandbox, self._config.cmd_timeout)
        try:
            await bridge.open()
            await self._set_up(rollout, folder / "agent", problem, tools, sandbox)
            yield rollout, folder / "agent"
        finally:
            await finish(self._end(rollout, folder))

    async def _end(self, rollout: str, folder: Path) -> None:
        await self._worker.finish(rollout)
        await self._worker.bridges.pop(rollout).close()
        await asyncio.to_thread(shutil.rmtree, folder, ignore_errors=True)

    async def _set_up(
        self, rollout: str, logs: Path, problem: Problem, tools: SolveTools, sandbox: Sandbox
    ) -> None:
        config, metadata = self._config, problem.metadata
        if config.skill_dir is not None:
            await sandbox.upload_folder(f"{SKILLS}/{config.skill}", Path(config.skill_dir))
        task, is_open = metadata.get("task_dir"), sandbox.spec.network in ("bridge", "host")
        if not is_open and (program := PROGRAMS.get(config.agent)) is not None:
            await _must_have(sandbox, program, config.agent)
        try:
            await self._worker.call(
                "set_up",
                rollout=rollout,
                given=await self._agent_data_with_model(tools),
                place={
                    "logs": str(logs),
                    "workdir": sandbox.spec.cwd,
                    "open_network": is_open,
                    "task": task if isinstance(task, str) else None,
                    "skills": config.skill is not None,
                },
                seconds=config.setup_timeout,
            )
        except ForeignError as error:
            why = f"could not be set up: {error}"
            if error.kind == "TimeoutError":
                why = f"was not set up within {config.setup_timeout:g} s (setup_timeout)"
            raise InfraError(f"the agent {config.agent!r} {why}", kind=Failure.SANDBOX) from None

    def _limit(self, problem: Problem, tools: SolveTools) -> TimeLimit:
        """How long the agent may work, so that it can end, and its logs be read, within the
        rollout's time."""
        limit = time_limit(self._config, problem, tools)
        if limit.why != "benchmark.timeout" or limit.seconds == float("inf"):
            return limit
        return TimeLimit(max(1.0, limit.seconds - 2 * _grace(limit)), limit.why)

    def _prompt(self, problem: Problem) -> str:
        question = question_of(problem, "an agent of harbor")
        if self._config.skill is None:
            return question
        return PREFACE.format(path=f"{SKILLS}/{self._config.skill}") + question

    def _solution(
        self,
        problem: Problem,
        tools: SolveTools,
        ended: Ended,
        known: Circumstances,
        document: Document | None,
    ) -> Solution:
        response = last_words(document, ended.metadata or {})
        if document is None:
            for step in plain_steps(problem.prompt, response):
                tools.steps.add(step)
        limit = judged(ended, tools, known)
        if limit is None and self._out_of_turns(ended, document):
            limit = EndedBy.TURNS
        details: dict[str, Json] = {
            "agent": self._described["name"],
            "agent_version": ended.version,
            "workspace_changed": known.changed,
            "agent_error": ended.error,
        }
        if ended.timed_out:
            details |= {"limit": known.limit.why, "limit_seconds": round(known.limit.seconds, 1)}
        calls = answers_of(tools) - known.before
        return Solution(
            response=response,
            model=None if tools.model is None else tools.model.name,
            calls=calls,
            tries=calls,
            trajectory=() if document is None else (with_costs(document, tools.steps.taken()),),
            ended_by=limit,
            details={name: value for name, value in details.items() if value is not None},
        )

    def _out_of_turns(self, ended: Ended, document: Document | None) -> bool:
        """Whether terminus-2, which does not say so, had no turn left and was not done."""
        most = self._config.agent_kwargs.get("max_turns")
        if most is None or (ended.metadata or {}).get("n_episodes") != most or document is None:
            return False
        last = document["steps"][-1].get("tool_calls") or ()
        return not any(call.get("function_name") == "mark_task_complete" for call in last)


async def _must_have(sandbox: Sandbox, program: str, agent: str) -> None:
    found = await sandbox.exec(["sh", "-c", 'command -v -- "$1"', "sh", program])
    if not found.ok:
        raise InfraError(
            f"{agent} needs {program}, which the image does not have and the workspace has no "
            "network to install it",
            kind=Failure.SANDBOX,
        )


def _grace(limit: TimeLimit) -> float:
    return min(MOST_GRACE, GRACE * limit.seconds)


def _is_skill(folder: str) -> bool:
    return (Path(folder) / "SKILL.md").is_file()


def _digest(folder: Path) -> str:
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return digest(*((str(path.relative_to(folder)), path.read_bytes()) for path in files))
