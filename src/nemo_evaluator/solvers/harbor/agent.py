"""What the script is told about an agent: which one, its arguments and variables, and its model.

Invariant: of the model it learns the address and the key of a door, never those of the endpoint.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ...config.agent_solvers import HarborFields
from ...config.scrubber import KNOWN
from ...config.secrecy import secret_variable
from ...errors import ConfigError
from ...traffic.client import NO_WINDOW, Window
from ...traffic.door.sessions import Endpoint
from ...types import Json

Given = dict[str, Any]
"""What the script is told of an agent, and what it tells."""
PLACEHOLDER = Endpoint(
    openai_url="http://127.0.0.1:9/v1",
    anthropic_url="http://127.0.0.1:9",
    token="no-key-needed",
    model="model",
)
"""Stands for the door while an agent is only looked at."""
OF_THE_DOOR = ("api_base", "base_url", "api_key", "model_name", "llm_kwargs.api_key")
"""Arguments that would take an agent past the door."""
OUR_PYTHON = ("PYTHONHOME", "VIRTUAL_ENV", "__PYVENV_LAUNCHER__")
QUIET = {"LITELLM_LOG": "ERROR", "LITELLM_TELEMETRY": "false"}
ITS_OWN = {**QUIET, "LITELLM_LOCAL_MODEL_COST_MAP": "True"}
"""Of harbor's own process; without the last it looks prices up on the network."""
TOKENS = 262_144
"""How long prompts and answers may be where the service does not say."""


@dataclass(frozen=True, slots=True)
class Named:
    """The agent that a configuration names."""

    agent: str
    """A name of harbor, ``module:Class``, or an absolute folder."""
    folder: bool = False
    sys_path: tuple[str, ...] = ()
    """Where the module of an own agent is looked for."""
    files: tuple[Path, ...] = ()
    """Files that the agent is made of, where they are known."""


def named(agent: str) -> Named:
    """Raises ConfigError for a folder or a file that is no agent."""
    path = Path(agent).expanduser()
    if path.is_dir():
        return _folder(path.resolve())
    module, colon, name = agent.rpartition(":")
    if not colon:
        return Named(agent)
    if not module.endswith(".py"):
        return Named(agent, sys_path=(str(Path.cwd()),))
    file = Path(module).expanduser().resolve()
    if not file.is_file():
        raise ConfigError(f"there is no file {module}", where="solver.agent")
    return Named(f"{file.stem}:{name}", sys_path=(str(file.parent),), files=(file,))


def _folder(path: Path) -> Named:
    for name in ("agent.toml", "run.sh.j2"):
        if not (path / name).is_file():
            raise ConfigError(
                f"the folder {path} has no {name}",
                where="solver.agent",
                hint="an agent's folder has agent.toml, run.sh.j2 and, where wanted, install.sh.j2",
            )
    files = tuple(sorted(file for file in path.rglob("*") if file.is_file()))
    return Named(str(path), folder=True, files=files)


def check_arguments(config: HarborFields) -> None:
    """Raise ConfigError for arguments that would take the agent past the door."""
    for name in OF_THE_DOOR:
        outer, _, inner = name.partition(".")
        value = config.agent_kwargs.get(outer)
        if value is not None and (not inner or (isinstance(value, Mapping) and inner in value)):
            raise ConfigError(
                "the agent's model is the one of `service`, reached through the evaluator",
                where=f"solver.agent_kwargs.{name}",
                hint="remove it; the address and key of the endpoint belong to the service",
            )


def told(
    config: HarborFields,
    agent: Named,
    endpoint: Endpoint | None,
    *,
    anthropic: bool,
    window: Window = NO_WINDOW,
) -> Given:
    """The agent as the script is told of it; ``endpoint`` is its model, if it has one."""
    given: Given = {
        "agent": agent.agent,
        "folder": agent.folder,
        "sys_path": [*agent.sys_path, *_look_in(config.environment)],
        "kwargs": config.agent_kwargs,
        "model_info": _model_info(window),
        "environment": environment_of(config),
        "env": {},
        "model": None,
        "url": None,
        "key": None,
    }
    if endpoint is None:
        return given | {"env": dict(config.container_env)}
    name = endpoint.model
    if not anthropic and not name.startswith("openai/"):
        name = f"openai/{name}"
    url = endpoint.anthropic_url if anthropic else endpoint.openai_url
    ours = {"LLM_BASE_URL": url, "LLM_API_KEY": endpoint.token, "LLM_MODEL": name}
    env = {**QUIET, **endpoint.env(), **ours, **config.container_env}
    return given | {"env": env, "model": name, "url": url, "key": endpoint.token}


def _model_info(window: Window) -> dict[str, Json]:
    """What an agent is told of a model that it cannot look up. Costs are ours to know."""
    return {
        "max_input_tokens": window.prompt or TOKENS,
        "max_output_tokens": window.completion or TOKENS,
        "input_cost_per_token": 0.0,
        "output_cost_per_token": 0.0,
    }


def _look_in(environment: str | None) -> tuple[str, ...]:
    return named(environment).sys_path if environment and ":" in environment else ()


def environment_of(config: HarborFields) -> Given | None:
    """harbor's own environment, where the configuration names one. Raises ConfigError."""
    if config.environment is None:
        return None
    own = ":" in config.environment
    name = named(config.environment).agent if own else config.environment
    return {"import_path" if own else "type": name, "kwargs": config.environment_kwargs}


def worker_env() -> dict[str, str]:
    """The environment of harbor's interpreter: ours without what is secret, and without what is
    only right for our own interpreter."""
    env = {
        name: value
        for name, value in os.environ.items()
        if name not in OUR_PYTHON and not secret_variable(name) and KNOWN(value) == value
    }
    local = "127.0.0.1,localhost"
    for name in ("NO_PROXY", "no_proxy"):
        env[name] = ",".join(filter(None, [env.get(name), local]))
    return {**env, **ITS_OWN}
