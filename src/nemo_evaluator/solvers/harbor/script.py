"""Runs agents of the harbor package, in the interpreter that has it (see ``foreign``).

It uses harbor's public classes as they are. The agent's environment is a `Bridge`: what harbor
would do in a container of its own is done by the other side, in the workspace of the rollout.
"""

from __future__ import annotations

import asyncio
import contextlib
import inspect
import json
import logging
import os
import re
import shlex
import sys
import tempfile
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, Any

os.environ.setdefault("LITELLM_LOCAL_MODEL_COST_MAP", "True")  # no look-up on the network

import jinja2
from harbor.agents.base import BaseAgent
from harbor.agents.factory import AgentFactory
from harbor.agents.installed.base import BaseInstalledAgent
from harbor.environments.base import BaseEnvironment, ExecResult
from harbor.environments.capabilities import (
    EnvironmentCapabilities,
    EnvironmentResourceCapabilities,
)
from harbor.models.agent.context import AgentContext
from harbor.models.model_api_format import ModelApiFormat
from harbor.models.task.config import EnvironmentConfig, NetworkMode, NetworkPolicy
from harbor.models.task.task import Task
from harbor.models.trial.config import AgentConfig
from harbor.models.trial.paths import EnvironmentPaths, TrialPaths

if TYPE_CHECKING:
    from nemo_evaluator.foreign.child import Peer

KEY = "NEL_SESSION_KEY"
"""Variable that holds the key of a rollout's session."""
SKILLS = "/skills"

logging.basicConfig(stream=sys.stderr, level=logging.WARNING)


class Bridge(BaseEnvironment):  # type: ignore[misc]
    """The workspace of a rollout, as harbor's agents know environments."""

    def __init__(
        self, peer: Peer, rollout: str, workdir: str, open_network: bool, logs: Path
    ) -> None:
        self._peer, self._rollout = peer, rollout
        trial_paths = TrialPaths(trial_dir=logs.parent)
        trial_paths.mkdir()
        mode = NetworkMode.PUBLIC if open_network else NetworkMode.NO_NETWORK
        super().__init__(
            environment_dir=logs.parent / "environment",
            environment_name="workspace",
            session_id=rollout,
            trial_paths=trial_paths,
            task_env_config=EnvironmentConfig(workdir=workdir),
            network_policy=NetworkPolicy(network_mode=mode),
        )

    @staticmethod
    def type() -> str:
        """Its name in messages of harbor."""
        return "nemo-evaluator"

    @property
    def capabilities(self) -> EnvironmentCapabilities:
        """What a task may ask for; the workspace decides."""
        return EnvironmentCapabilities(disable_internet=True, gpus=True, tpus=True)

    @classmethod
    def resource_capabilities(cls) -> EnvironmentResourceCapabilities:
        """See ``capabilities``."""
        return EnvironmentResourceCapabilities(
            cpu_limit=True, memory_limit=True, fractional_cpus=True
        )

    def _validate_definition(self) -> None:
        """There is nothing to build."""

    async def start(self, force_build: bool) -> None:
        """The workspace is open; make the folders that agents expect."""
        paths = EnvironmentPaths()
        await self.ensure_dirs([paths.agent_dir, paths.verifier_dir, paths.artifacts_dir])

    async def stop(self, delete: bool) -> None:
        """The other side closes the workspace."""

    async def exec(
        self,
        command: str,
        cwd: str | None = None,
        env: dict[str, str] | None = None,
        timeout_sec: float | None = None,
        user: str | int | None = None,
        **_: Any,
    ) -> ExecResult:
        """Run a command in the workspace; what it leaves running goes on."""
        done = await self._ask(
            "exec",
            command=command,
            cwd=cwd or self.task_env_config.workdir,
            env=self._merge_env(env) or {},
            seconds=timeout_sec,
            user=self._resolve_user(user),
        )
        if (emit := self._output_callback()) is not None and done["stdout"]:
            await emit(done["stdout"], "stdout")
        return ExecResult(
            stdout=done["stdout"], stderr=done["stderr"], return_code=done["exit_code"]
        )

    async def upload_file(self, source_path: Path | str, target_path: str) -> None:
        """See BaseEnvironment."""
        await self._ask("upload_file", source=_absolute(source_path), target=str(target_path))

    async def upload_dir(self, source_dir: Path | str, target_dir: str) -> None:
        """See BaseEnvironment."""
        await self._ask("upload_folder", source=_absolute(source_dir), target=str(target_dir))

    async def download_file(self, source_path: str, target_path: Path | str) -> None:
        """See BaseEnvironment."""
        await self._ask("download_file", source=str(source_path), target=_absolute(target_path))

    async def download_dir(self, source_dir: str, target_dir: Path | str) -> None:
        """See BaseEnvironment."""
        await self._ask("download_folder", source=str(source_dir), target=_absolute(target_dir))

    async def _ask(self, method: str, **params: Any) -> Any:
        return await self._peer.call(method, rollout=self._rollout, **params)


class Running:
    """The agent of one rollout. It works as the user of its workspace."""

    def __init__(self, agent: Any, environment: Bridge) -> None:
        self.agent, self.environment = agent, environment
        self.context = AgentContext()

    def scoped(self) -> Any:
        """Around what the agent does: its variables."""
        return self.environment.scoped_exec_env(self.agent.extra_env)


class FolderAgent(BaseAgent):  # type: ignore[misc]
    """An agent that is a folder: ``agent.toml``, ``install.sh.j2`` and ``run.sh.j2``."""

    INSTALLED = "/installed-agent"

    def __init__(
        self, logs_dir: Path, folder: Path, told: dict[str, Any], extra_env: dict[str, str]
    ) -> None:
        config = tomllib.loads((folder / "agent.toml").read_text(encoding="utf-8"))
        config |= config.pop("agent", {})
        self._config, self._folder, self._told = config, folder, told
        super().__init__(logs_dir, extra_env={**config.get("env", {}), **extra_env})

    @staticmethod
    def name() -> str:
        """Its name in messages of harbor."""
        return "folder"

    def version(self) -> str | None:
        """As ``agent.toml`` says."""
        version = self._config.get("version")
        return None if version is None else str(version)

    async def setup(self, environment: BaseEnvironment) -> None:
        """Run ``install.sh.j2``, where there is one."""
        template = self._folder / "install.sh.j2"
        if not template.exists():
            return
        target = f"{self.INSTALLED}/install.sh"
        await self._upload(environment, rendered(template, **self._told), target)
        done = await environment.exec(
            f"bash {target}", env={"DEBIAN_FRONTEND": "noninteractive"}, user="root"
        )
        if done.return_code != 0:
            last = (done.stderr or done.stdout or "").strip()[-500:]
            raise RuntimeError(f"install.sh ended with exit code {done.return_code}: {last}")

    async def run(
        self, instruction: str, environment: BaseEnvironment, context: AgentContext
    ) -> None:
        """Run ``run.sh.j2``; what it prints is the answer."""
        template = self._folder / "run.sh.j2"
        script = rendered(template, instruction=instruction, **self._told)
        target = f"{self.INSTALLED}/run.sh"
        await self._upload(environment, script, target)
        await self._upload(environment, instruction, f"{self.INSTALLED}/instruction.md")
        seconds = float(self._config.get("timeout_sec", 1800))
        done = await environment.exec(f"bash {target}", timeout_sec=seconds)
        logs = self.logs_dir / "command-0"
        logs.mkdir(parents=True, exist_ok=True)
        files = {"command": script, "return-code": str(done.return_code)}
        files |= {"stdout": done.stdout or "", "stderr": done.stderr or ""}
        for name, text in files.items():
            (logs / f"{name}.txt").write_text(text, encoding="utf-8")
        context.metadata = {"response": done.stdout or "", "exit_code": done.return_code}

    @staticmethod
    async def _upload(environment: BaseEnvironment, text: str, target: str) -> None:
        with tempfile.NamedTemporaryFile("w", suffix=".sh", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            await environment.upload_file(file.name, target)


def rendered(template: Path, **told: Any) -> str:
    """A script. The instruction is one word of the shell in it, whether the template quotes it or
    not; ``instruction_raw`` is the text itself."""
    text = template.read_text(encoding="utf-8")
    text = re.sub(r"""(["'])(\{\{-?\s*instruction\s*-?\}\})\1""", r"\2", text)
    if "instruction" in told:
        told |= {"instruction_raw": told["instruction"]}
        told["instruction"] = shlex.quote(told["instruction"])
    environment = jinja2.Environment(undefined=jinja2.StrictUndefined, keep_trailing_newline=True)
    return environment.from_string(text).render(**told)


RUNNING: dict[str, Running] = {}


async def describe(peer: Peer, given: dict[str, Any]) -> dict[str, Any]:
    """What an agent is, and whether it could be made: before anything is paid."""
    for folder in given["sys_path"]:
        if folder not in sys.path:
            sys.path.insert(0, folder)
    name = given["agent"]
    known = AgentFactory.registered_names()
    if ":" not in name and not given["folder"] and name not in known:
        return {"unknown": known}
    agent_class = _class_of(given)
    if (options := _options(agent_class)) and (wrong := sorted(set(given["kwargs"]) - options)):
        return {"unknown_arguments": wrong, "known": sorted(options)}
    told = {
        "name": agent_class.name(),
        "inside": issubclass(agent_class, BaseInstalledAgent | FolderAgent),
        "anthropic": _only_anthropic(agent_class),
        "skills": agent_class.capabilities.skills,
        "needs_model": _needs_model(agent_class, name),
    }
    if given["model"] or not told["needs_model"]:
        with tempfile.TemporaryDirectory() as folder:
            if not given["folder"]:
                AgentFactory.run_preflight(_config(agent_class, given))
            if name != "oracle":  # which needs a task
                told["version"] = _made(agent_class, given, Path(folder), {}).version()
    return told


async def set_up(
    peer: Peer,
    rollout: str,
    given: dict[str, Any],
    logs: str,
    workdir: str,
    open_network: bool,
    seconds: float,
    task: str | None,
    skills: bool,
) -> None:
    """Make the agent of a rollout, and let it install itself."""
    folder = Path(logs)
    environment = Bridge(peer, rollout, workdir, open_network, folder)
    agent_class = _class_of(given)
    agent = _made(agent_class, given, folder, _of_task(agent_class, task, seconds, skills))
    agent.session_id = f"{rollout}__agent"
    running = Running(agent, environment)
    await environment.start(force_build=False)
    if not open_network and agent.capabilities.native_web_tools:
        await agent.set_web_tools_disabled(True, environment)
    with running.scoped():
        await asyncio.wait_for(agent.setup(environment), seconds)
    RUNNING[rollout] = running


async def run(peer: Peer, rollout: str, instruction: str, seconds: float, grace: float) -> Any:
    """Let the agent work, for so many seconds at most; what became of it."""
    running = RUNNING[rollout]
    error, timed_out = None, False
    with running.scoped():
        work = asyncio.create_task(
            running.agent.run(instruction, running.environment, running.context)
        )
        try:
            done, _ = await asyncio.wait({work}, timeout=seconds)
            if timed_out := not done:
                await _ended(peer, rollout, running.agent, work, grace)
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
        "error": None if error is None else _told(error),
        "context": await _context(running),
    }


async def finish(peer: Peer, rollout: str) -> None:
    """Forget the agent of a rollout."""
    RUNNING.pop(rollout, None)


async def _ended(peer: Peer, rollout: str, agent: Any, work: Any, grace: float) -> None:
    """End an agent whose time is over: programs inside are asked first, so that they can write
    down what they did."""
    if isinstance(agent, BaseInstalledAgent | FolderAgent):
        await peer.call("terminate", rollout=rollout)
        await asyncio.wait({work}, timeout=grace)
    work.cancel()
    await asyncio.wait({work}, timeout=grace)


async def _context(running: Running) -> dict[str, Any]:
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


def _named(given: dict[str, Any]) -> dict[str, str]:
    return {"import_path" if ":" in given["agent"] else "name": given["agent"]}


def _env(given: dict[str, Any]) -> dict[str, str]:
    return {**given["env"], **({KEY: given["key"]} if given["model"] is not None else {})}


def _config(agent_class: Any, given: dict[str, Any]) -> AgentConfig:
    """The agent's configuration: its model is reached by the door, with the session's key."""
    connection: dict[str, Any] = {}
    if given["model"] is not None and agent_class.MODEL_CONNECTION is not None:
        connection = {"base_url": given["url"], "model_api_key_name": KEY}
    return AgentConfig(
        **_named(given),
        **connection,
        model_name=given["model"],
        kwargs=_kwargs(agent_class, given),
        env=_env(given),
    )


def _kwargs(agent_class: Any, given: dict[str, Any]) -> dict[str, Any]:
    """The arguments of the agent, and those defaults that it takes."""
    own = dict(given["kwargs"])
    defaults: dict[str, Any] = {
        "model_info": given["model_info"],
        # It would try for a minute to install the recorder, and nobody keeps the recording.
        "record_terminal_session": False,
    }
    if agent_class.MODEL_CONNECTION is None and given["model"] is not None:
        defaults |= {"api_base": given["url"], "api_key": given["key"]}
    return {name: value for name, value in defaults.items() if _takes(agent_class, name)} | own


def _options(agent_class: Any) -> set[str]:
    """The names of the arguments that an agent takes; empty where it does not say."""
    if agent_class.options_model is None:
        return set()
    names: set[str] = set()
    for name, field in agent_class.options_model.model_fields.items():
        alias = field.validation_alias
        names |= {name, *getattr(alias, "choices", [alias] if alias else [])}
    return names


def _takes(agent_class: Any, name: str) -> bool:
    if agent_class.options_model is not None:
        return name in _options(agent_class)
    parameters = inspect.signature(agent_class.__init__).parameters
    return name in parameters


def _made(agent_class: Any, given: dict[str, Any], logs: Path, more: dict[str, Any]) -> Any:
    if given["folder"]:
        folder, told = Path(given["agent"]), {"model": given["model"], "base_url": given["url"]}
        return FolderAgent(logs, folder, told | given["kwargs"], extra_env=_env(given))
    return AgentFactory.create_agent_from_config(_config(agent_class, given), logs_dir=logs, **more)


def _of_task(agent_class: Any, task: str | None, seconds: float, skills: bool) -> dict[str, Any]:
    """What an agent learns of the task beside the instruction."""
    more: dict[str, Any] = {}
    if skills and agent_class.capabilities.skills:
        more["skills_dir"] = SKILLS
    if task is None:
        return more
    if agent_class.name() == "oracle":
        paths = TrialPaths(trial_dir=Path(tempfile.mkdtemp(prefix="nel-oracle-")))
        paths.mkdir()
        return {"task_dir": Path(task), "trial_paths": paths, "agent_timeout_sec": seconds}
    with contextlib.suppress(Exception):  # a task of another format has no such servers
        if servers := Task(task).config.environment.mcp_servers:
            more["mcp_servers"] = servers
    return more


def _class_of(given: dict[str, Any]) -> Any:
    if given["folder"]:
        return FolderAgent
    return AgentFactory.get_agent_class_from_config(AgentConfig(**_named(given)))


def _only_anthropic(agent_class: Any) -> bool:
    connection = agent_class.MODEL_CONNECTION
    formats = connection.supported_api_formats if connection is not None else []
    return list(formats) == [ModelApiFormat.ANTHROPIC_MESSAGES]


def _needs_model(agent_class: Any, name: str) -> bool:
    return agent_class.MODEL_CONNECTION is not None and name not in ("oracle", "nop")


def _told(error: Exception) -> dict[str, Any]:
    kinds = [kind.__name__ for kind in type(error).__mro__]
    return {"kinds": kinds, "message": str(error)[:4000]}


def _absolute(path: Path | str) -> str:
    return str(Path(path).absolute())


METHODS = {"describe": describe, "set_up": set_up, "run": run, "finish": finish}
