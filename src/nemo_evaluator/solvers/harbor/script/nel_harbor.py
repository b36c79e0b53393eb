"""Runs agents of the harbor package, in the interpreter that has it (see ``foreign``).

It uses harbor's public classes as they are. The agent's environment is a `Bridge`: what harbor
would do in a container of its own is done by the other side, in the workspace of the rollout.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harbor.agents.factory import AgentFactory
from harbor.agents.installed.base import BaseInstalledAgent
from harbor.environments.factory import EnvironmentFactory
from harbor.models.agent.context import AgentContext
from harbor.models.environment_type import EnvironmentType
from harbor.models.task.task import Task
from harbor.models.trial.config import EnvironmentConfig, TaskConfig, TrialConfig
from harbor.models.trial.paths import EnvironmentPaths, TrialPaths
from harbor.trial.trial import Trial
from nel_harbor_agents import (
    AgentClass,
    Given,
    class_of,
    config_of,
    look_in,
    make,
    needs_model,
    only_anthropic,
    options_of,
)
from nel_harbor_bridge import Bridge
from nel_harbor_folder import FolderAgent

if TYPE_CHECKING:
    from nemo_evaluator.foreign.child import Peer

SKILLS = "/skills"

logging.basicConfig(stream=sys.stderr, level=logging.WARNING)


class Running:
    """The agent of one rollout. It works as the user of its workspace."""

    def __init__(self, agent: AgentClass, environment: Bridge) -> None:
        self.agent, self.environment = agent, environment
        self.context = AgentContext()

    def scoped(self) -> Any:
        """Around what the agent does: its variables."""
        return self.environment.scoped_exec_env(self.agent.extra_env)


RUNNING: dict[str, Running] = {}


async def describe(peer: Peer, given: Given) -> Given:
    """What an agent is, and whether it could be made: before anything is paid."""
    look_in(given["sys_path"])
    name = given["agent"]
    known = AgentFactory.registered_names()
    if ":" not in name and not given["folder"] and name not in known:
        return {"unknown": known}
    agent_class = class_of(given)
    if (options := options_of(agent_class)) and (wrong := sorted(set(given["kwargs"]) - options)):
        return {"unknown_arguments": wrong, "known": sorted(options)}
    if (environment := given["environment"]) is not None:
        kinds = [kind.value for kind in EnvironmentType]
        if environment.get("type", kinds[0]) not in kinds:
            return {"unknown_environment": kinds}
        _check_environment(EnvironmentConfig(**environment))
    description = {
        "name": agent_class.name(),
        "inside": issubclass(agent_class, BaseInstalledAgent | FolderAgent),
        "anthropic": only_anthropic(agent_class),
        "skills": agent_class.capabilities.skills,
        "needs_model": needs_model(agent_class, name),
    }
    if given["model"] or not description["needs_model"]:
        with tempfile.TemporaryDirectory() as folder:
            if not given["folder"]:
                AgentFactory.run_preflight(config_of(agent_class, given))
            if name != "oracle":  # which needs a task
                description["version"] = make(agent_class, given, Path(folder), {}).version()
    return description


async def set_up(peer: Peer, rollout: str, given: Given, place: Given, seconds: float) -> None:
    """Make the agent of a rollout, and let it install itself in its place."""
    logs, is_open = Path(place["logs"]), place["open_network"]
    environment = Bridge(peer, rollout, place["workdir"], is_open, logs)
    agent_class = class_of(given)
    more = _of_task(agent_class, place, seconds)
    agent = make(agent_class, given, logs, more)
    agent.session_id = f"{rollout}__agent"
    running = Running(agent, environment)
    await environment.start(force_build=False)
    if not is_open and agent.capabilities.native_web_tools:
        await agent.set_web_tools_disabled(True, environment)
    with running.scoped():
        await asyncio.wait_for(agent.setup(environment), seconds)
    RUNNING[rollout] = running


async def run(peer: Peer, rollout: str, instruction: str, seconds: float, grace: float) -> Any:
    """Let the agent work, for this many seconds at most; what became of it."""
    running = RUNNING[rollout]
    error, timed_out = None, False
    with running.scoped():
        work = asyncio.create_task(_contained(running, instruction))
        try:
            done, _ = await asyncio.wait({work}, timeout=seconds)
            if timed_out := not done:
                await _end_agent(peer, rollout, running.agent, work, grace)
            if work.done():  # else it does not let itself be ended
                await work
        except asyncio.CancelledError:
            if not timed_out:
                work.cancel()
                await asyncio.wait({work}, timeout=grace)
                raise
        except Exception as raised:
            error = raised
    return {
        "timed_out": timed_out,
        "error": None if error is None else _error_data(error),
        "context": await _context(running),
    }


async def _contained(running: Running, instruction: str) -> None:
    """The agent's own run; it cannot end this process."""
    try:
        await running.agent.run(instruction, running.environment, running.context)
    except SystemExit as error:
        raise RuntimeError(f"the agent called sys.exit({error.code!r})") from error


async def finish(peer: Peer, rollout: str) -> None:
    """Forget the agent of a rollout."""
    RUNNING.pop(rollout, None)


async def trial(
    peer: Peer,
    given: Given,
    task: str,
    folder: str,
    seconds: float,
) -> Given:
    """A whole trial of harbor: its environment, its verifier, its reward."""
    agent = config_of(class_of(given), given)
    made = await Trial.create(
        TrialConfig(
            task=TaskConfig(path=Path(task)),
            trials_dir=Path(folder),
            agent=agent.model_copy(update={"override_timeout_sec": seconds}),
            environment=EnvironmentConfig(**given["environment"]),
        )
    )
    result = await made.run()
    raised, verdict = result.exception_info, result.verifier_result
    kinds = [] if raised is None else [raised.exception_type]
    return {
        "timed_out": "AgentTimeoutError" in kinds,
        "error": None if raised is None else {"kinds": kinds, "message": raised.exception_message},
        "rewards": None if verdict is None else verdict.rewards,
        "logs": str(made.paths.agent_dir),
        "context": {"metadata": {}, "version": result.agent_info.version},
    }


def _check_environment(config: EnvironmentConfig) -> None:
    """Raises what the environment itself says of what it lacks."""
    kind = EnvironmentFactory.get_environment_class(config.type, config.import_path)
    kind.preflight(config.kwargs)


async def _end_agent(peer: Peer, rollout: str, agent: AgentClass, work: Any, grace: float) -> None:
    """End an agent whose time is over: programs inside are asked first, so that they can write
    down what they did."""
    if isinstance(agent, BaseInstalledAgent | FolderAgent):
        await peer.call("terminate", rollout=rollout)
        await asyncio.wait({work}, timeout=grace)
    work.cancel()
    await asyncio.wait({work}, timeout=grace)


async def _context(running: Running) -> Given:
    """What the agent says about its work, and its logs, on this side."""
    agent, environment = running.agent, running.environment
    with contextlib.suppress(Exception):
        await environment.download_dir(str(EnvironmentPaths.agent_dir), agent.logs_dir)
    try:
        agent.populate_context_post_run(running.context)
    except Exception:
        logging.warning("the agent's logs are not understood", exc_info=True)
    context = running.context
    return {
        "metadata": json.loads(json.dumps(context.metadata or {}, default=str)),
        "cost_usd": context.cost_usd,
        "version": agent.version(),
    }


def _of_task(agent_class: AgentClass, place: Given, seconds: float) -> Given:
    """What an agent learns of the task beside the instruction. Its files lie in the folder of the
    rollout, which the evaluator removes."""
    more: Given = {}
    task: str | None = place["task"]
    if place["skills"] and agent_class.capabilities.skills:
        more["skills_dir"] = SKILLS
    if task is None:
        return more
    if agent_class.name() == "oracle":
        paths = TrialPaths(trial_dir=Path(place["logs"]).parent / "trial")
        paths.mkdir()
        return {"task_dir": Path(task), "trial_paths": paths, "agent_timeout_sec": seconds}
    with contextlib.suppress(Exception):  # a task of another format has no such servers
        if servers := Task(task).config.environment.mcp_servers:
            more["mcp_servers"] = servers
    return more


def _error_data(error: Exception) -> Given:
    kinds = [kind.__name__ for kind in type(error).__mro__]
    return {"kinds": kinds, "message": str(error)[:4000]}


METHODS = {
    "describe": describe,
    "set_up": set_up,
    "run": run,
    "finish": finish,
    "trial": trial,
}
