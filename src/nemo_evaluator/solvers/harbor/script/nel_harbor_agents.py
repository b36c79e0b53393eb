"""Agents of harbor by what the other side says of them: their class, their configuration, and what
they take."""

from __future__ import annotations

import inspect
import sys
from pathlib import Path
from typing import Any

from harbor.agents.factory import AgentFactory
from harbor.models.model_api_format import ModelApiFormat
from harbor.models.trial.config import AgentConfig
from nel_harbor_folder import FolderAgent

Given = dict[str, Any]
"""What the other side says of an agent."""
AgentClass = Any
"""A class of harbor, or an object of one: their types are not known here."""
KEY = "NEL_SESSION_KEY"
"""Variable that holds the key of a rollout's session."""


def _agent_reference(given: Given) -> dict[str, str]:
    return {"import_path" if ":" in given["agent"] else "name": given["agent"]}


def _env(given: Given) -> dict[str, str]:
    return {**given["env"], **({KEY: given["key"]} if given["model"] is not None else {})}


def config_of(agent_class: AgentClass, given: Given) -> AgentConfig:
    """The agent's configuration: its model is reached by the door, with the session's key."""
    connection: Given = {}
    if given["model"] is not None and agent_class.MODEL_CONNECTION is not None:
        connection = {"base_url": given["url"], "model_api_key_name": KEY}
    return AgentConfig(
        **_agent_reference(given),
        **connection,
        model_name=given["model"],
        kwargs=_kwargs(agent_class, given),
        env=_env(given),
    )


def _kwargs(agent_class: AgentClass, given: Given) -> Given:
    """The arguments of the agent, and those defaults that it takes."""
    own = dict(given["kwargs"])
    defaults: Given = {
        "model_info": given["model_info"],
        # It would try for a minute to install the recorder, and nobody keeps the recording.
        "record_terminal_session": False,
    }
    if agent_class.MODEL_CONNECTION is None and given["model"] is not None:
        defaults |= {"api_base": given["url"], "api_key": given["key"]}
    return {name: value for name, value in defaults.items() if _takes(agent_class, name)} | own


def options_of(agent_class: AgentClass) -> set[str]:
    """The names of the arguments that an agent takes; empty where it does not say."""
    if agent_class.options_model is None:
        return set()
    names: set[str] = set()
    for name, field in agent_class.options_model.model_fields.items():
        alias = field.validation_alias
        names |= {name, *getattr(alias, "choices", [alias] if alias else [])}
    return names


def _takes(agent_class: AgentClass, name: str) -> bool:
    if agent_class.options_model is not None:
        return name in options_of(agent_class)
    parameters = inspect.signature(agent_class.__init__).parameters
    return name in parameters


def make(agent_class: AgentClass, given: Given, logs: Path, more: Given) -> AgentClass:
    """An agent that writes its logs there; ``more``: arguments beside the configured ones."""
    if given["folder"]:
        folder, variables = (
            Path(given["agent"]),
            {"model": given["model"], "base_url": given["url"]},
        )
        return FolderAgent(logs, folder, variables | given["kwargs"], extra_env=_env(given))
    return AgentFactory.create_agent_from_config(
        config_of(agent_class, given), logs_dir=logs, **more
    )


def look_in(folders: list[str]) -> None:
    """Let modules be imported from folders of the user."""
    sys.path[:0] = [folder for folder in folders if folder not in sys.path]


def class_of(given: Given) -> AgentClass:
    """The class of an agent. Raises what importing it raises."""
    if given["folder"]:
        return FolderAgent
    look_in(given["sys_path"])
    return AgentFactory.get_agent_class_from_config(AgentConfig(**_agent_reference(given)))


def only_anthropic(agent_class: AgentClass) -> bool:
    """Whether its model must speak Anthropic's API."""
    connection = agent_class.MODEL_CONNECTION
    formats = connection.supported_api_formats if connection is not None else []
    return list(formats) == [ModelApiFormat.ANTHROPIC_MESSAGES]


def needs_model(agent_class: AgentClass, name: str) -> bool:
    """Whether the agent can do nothing without a model."""
    return agent_class.MODEL_CONNECTION is not None and name not in ("oracle", "nop")
