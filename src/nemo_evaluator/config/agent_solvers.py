"""Solvers that are agents: harbor's, a loop of tool calls, OpenClaw, programs of one's own."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

from pydantic import Field, field_validator, model_validator

from ..sandbox_spec import Network, SolverNeeds
from .base import ConfigRecord
from .endpoints import check_url
from .generation import GenerationConfig
from .solver_fields import (
    GYM,
    AgentFields,
    OwnSolverFields,
    RewardFields,
    SolverFields,
    TimeLimitFields,
    TimeoutStrategy,
)
from .variables import Variables


class HarborFields(AgentFields, TimeLimitFields, RewardFields):
    """Fields of solvers that run an agent of the harbor package."""

    trusted_by = "environment"
    service: str | None = None
    """The model the agent uses; null: it uses none (``oracle``, ``nop``, some of your own)."""
    agent: str = Field(min_length=1)
    """Name of the agent in harbor; or your own: ``module:Class``, ``file.py:Class``, or a folder
    with ``agent.toml`` and ``run.sh.j2``."""
    agent_kwargs: dict[str, Any] = Field(default_factory=dict)
    """Arguments of the agent."""
    container_env: Variables = Field(default_factory=dict)
    """Environment variables of what the agent runs; they win over ours."""
    cmd_timeout: float | None = Field(None, gt=0)
    """Most seconds for one command of the agent; null: what the agent asks for."""
    setup_timeout: float = Field(600.0, gt=0)
    """Seconds for the agent to install itself."""
    skill: str | None = Field(None, pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")
    """Name of a skill that the agent is pointed to, below ``/skills``."""
    skill_dir: str | None = None
    """Folder of the skill on this machine; it holds ``SKILL.md``."""
    python: str | None = None
    """The interpreter that has the harbor package; null: NEL_HARBOR_PYTHON, or one that is found.
    """
    environment: str | None = Field(None, min_length=1)
    """An environment of harbor (``docker``, ``daytona``, ``module:Class``, ...) in the place of our
    workspace: then harbor runs the whole trial, and the reward of its verifier counts."""
    environment_kwargs: dict[str, Any] = Field(default_factory=dict)
    """Arguments of ``environment``."""

    @property
    def needs(self) -> SolverNeeds:
        """See ``SolverFields.needs``."""
        return SolverNeeds() if self.environment is not None else super().needs

    @property
    def trusted(self) -> tuple[tuple[float, float], str] | None:
        """See ``SolverFields.trusted``."""
        return (self.reward_range, "harbor") if self.environment is not None else None

    @model_validator(mode="after")
    def _skill_is_whole(self) -> HarborFields:
        if (self.skill is None) != (self.skill_dir is None):
            raise ValueError("skill and skill_dir belong together")
        if self.environment is None and self.environment_kwargs:
            raise ValueError("environment_kwargs has no effect without environment")
        if self.environment is not None and (self.skill or self.cmd_timeout):
            raise ValueError("skill and cmd_timeout have no effect with an environment of harbor")
        return self


class HarborSolverConfig(HarborFields):
    """An agent of the harbor package."""

    type: Literal["harbor"] = "harbor"
    """Kind of solver."""


class AgentSolverConfig(HarborFields):
    """An agent of a framework; the same as ``harbor``."""

    type: Literal["agent"] = "agent"
    """Kind of solver."""
    framework: Literal["harbor"] = "harbor"
    """Framework of the agent."""


class McpServerConfig(ConfigRecord):
    """A server of the Model Context Protocol: one that is started (``command``), or a running one
    (``url``)."""

    command: list[str] | None = Field(None, min_length=1)
    """Program and arguments; it speaks over its standard input and output."""
    where: Literal["host", "workspace"] = "host"
    """Where ``command`` is started."""
    env: list[str] = Field(default_factory=list)
    """Names of environment variables of the evaluator that the command gets on the ``host``; no
    others but PATH, HOME and the like."""
    url: str | None = None
    """Address of a running server (streamable HTTP)."""
    headers_env: dict[str, str] = Field(default_factory=dict)
    """Headers of every request to ``url``, by the names of the environment variables that hold
    them: ``{Authorization: MY_TOKEN}``."""
    tools: list[str] | None = None
    """Tools that are offered; null: all."""
    startup_timeout: float = Field(60.0, gt=0)
    """Seconds until it must have told its tools."""

    @field_validator("url")
    @classmethod
    def _is_http(cls, url: str | None) -> str | None:
        return None if url is None else check_url(url)

    @model_validator(mode="after")
    def _one_way(self) -> McpServerConfig:
        if (self.command is None) == (self.url is None):
            raise ValueError("an MCP server has either a command or a url")
        if self.url is not None and (self.env or self.where == "workspace"):
            raise ValueError("env and where have no effect on a server that runs already (url)")
        if self.command is not None and self.headers_env:
            raise ValueError("headers_env has no effect on a command")
        if self.where == "workspace" and self.env:
            raise ValueError(
                "env is of the host: a workspace gets no variable of the evaluator; set"
                " container_env of the sandbox"
            )
        return self


class ToolCallingSolverConfig(SolverFields, TimeLimitFields):
    """A loop of model calls and tool calls."""

    type: Literal["tool_calling"] = "tool_calling"
    """Kind of solver."""
    service: str
    """The model that answers."""
    resource_service: str | None = None
    """Gym service whose tools are offered."""
    sandbox_tools: bool = False
    """Offer tools of the sandbox."""
    max_turns: int = Field(50, ge=1)
    """Most model calls per rollout."""
    max_same_calls: int | None = Field(None, ge=2)
    """Ends a rollout in which the same call, arguments and all, was made this often in a row."""
    system_prompt: str | None = None
    """Replaces the benchmark's system prompt."""
    generation: GenerationConfig | None = None
    """Wins, field by field, over the service's generation."""
    tool_timeout: float = Field(180.0, gt=0)
    """Seconds for one tool call."""
    max_output_chars: int = Field(16384, ge=1)
    """Longest tool result passed on, in characters."""
    response_mode: Literal["last_message", "sandbox_artifact"] = "last_message"
    """What is verified: the last message, and the workspace of a problem that has one; or the
    workspace alone."""
    mcp_servers: dict[str, McpServerConfig] = Field(default_factory=dict)
    """Servers of the Model Context Protocol whose tools are offered, by name."""
    parallel_tool_calls: bool = True
    """False: the model is asked for one call at a time, and calls run one after the other."""
    max_parallel_tools: int = Field(8, ge=1)
    """Most calls of one turn that run at the same time. Those of the sandbox always run one after
    the other."""
    tool_protocol: Literal["auto", "native", "text"] = "auto"
    """How the model is told of tools: by the API, or in the text; ``auto``: in the text where the
    endpoint refuses tools."""
    on_context_overflow: Literal["stop", "truncate", "error"] = "stop"
    """What follows when the conversation is too long for the model: ``stop`` verifies what is in
    the workspace, ``truncate`` drops the oldest turns, ``error`` counts it as the model's failure.
    """

    @property
    def needs(self) -> SolverNeeds:
        """See ``SolverFields.needs``."""
        inside = any(server.where == "workspace" for server in self.mcp_servers.values())
        return SolverNeeds(sandbox=self.sandbox_tools or inside)

    @property
    def servers(self) -> dict[str, str]:
        """See ``SolverFields.servers``."""
        return {} if self.resource_service is None else {GYM: self.resource_service}


class OpenClawSolverConfig(AgentFields, TimeLimitFields):
    """The OpenClaw agent."""

    type: Literal["openclaw"] = "openclaw"
    """Kind of solver."""
    service: str
    """The model the agent uses."""
    where: Literal["workspace", "host"] = "workspace"
    """Where it runs: in the sandbox, or unconfined on this machine, in a folder of its own."""
    thinking: str = "high"
    """How much the agent thinks: ``off``, ``minimal``, ``low``, ``medium``, ``high``, or another
    level that it knows."""
    context_window: int | None = Field(None, ge=1)
    """Context of the model in tokens."""
    max_concurrent: int = Field(4, ge=1)
    """Most sub-agents of one agent at a time."""
    idle_timeout_seconds: int = Field(600, ge=1)
    """Seconds without a token of the model after which the agent gives a call up."""
    timeout_strategy: TimeoutStrategy = "task"
    """Which time counts: ``run_timeout`` (``override``), the smaller of it and the task's
    (``task``), or the larger (``max``); never more than the benchmark's ``timeout``."""
    web_search_provider: Literal["tavily"] | None = None
    """Web search offered to the agent; it needs TAVILY_API_KEY, and a sandbox that reaches it."""
    config_path: str | None = None
    """Further configuration of the agent (JSON), below what this solver sets."""
    skip_preflight: bool = False
    """Do not check the agent before the run."""
    openclaw_bin: str = "openclaw"
    """The agent's command on this machine; where it is not there, in the workspace."""

    @property
    def needs(self) -> SolverNeeds:
        """See ``SolverFields.needs``."""
        if self.where == "host":
            return SolverNeeds(sandbox=True, optional=True)
        return SolverNeeds(sandbox=True, network="door")


class CustomSolverConfig(OwnSolverFields, TimeLimitFields):
    """A solver of your own: a class, or a program."""

    type: Literal["custom"] = "custom"
    """Kind of solver."""
    class_path: str | None = None
    """The class, as ``module:Class``."""
    config: dict[str, Any] = Field(default_factory=dict)
    """Arguments of the class."""
    command: str | list[str] | None = Field(None, min_length=1)
    """The program: a command line for the shell, or a list of arguments."""
    where: Literal["workspace", "host"] = "workspace"
    """Where the program runs: in the sandbox, or unconfined on this machine, in a folder of its
    own."""
    env: dict[str, str] = Field(default_factory=dict)
    """Further environment variables of the program."""
    files: list[str] = Field(default_factory=list)
    """Files and folders that are copied to ``$NEL_AGENT_DIR`` before it starts."""
    folders: list[str] = Field(default_factory=list)
    """Folders of this machine that it can read in its workspace, under the same path."""
    metadata_fields: list[str] = Field(default_factory=list)
    """Fields of a problem's metadata that it is told; ``["*"]``: all."""
    answer_file: str | None = None
    """File it leaves its answer in; null: its standard output."""
    trajectory_file: str | None = None
    """File it leaves its steps in (ATIF)."""

    @property
    def needs(self) -> SolverNeeds:
        """See ``SolverFields.needs``."""
        if self.command is None:
            return SolverNeeds()
        if self.where == "host":
            return SolverNeeds(sandbox=True, optional=True)
        network: Network = "none" if self.service is None else "door"
        return SolverNeeds(
            sandbox=True, network=network, folders=tuple(map(_absolute, self.folders))
        )

    @model_validator(mode="after")
    def _one_of_both(self) -> CustomSolverConfig:
        if (self.class_path is None) == (self.command is None):
            raise ValueError("needs either class_path or command")
        other = set(CustomSolverConfig.model_fields) - {"type", *OwnSolverFields.model_fields}
        mine = {"class_path", "config"}
        idle = self.changed() & (other - mine if self.command is None else mine)
        if idle:
            kind = "class_path" if self.command is None else "command"
            raise ValueError(f"{', '.join(sorted(idle))} has no effect with {kind}")
        return self


def _absolute(folder: str) -> str:
    return str(Path(folder).expanduser().absolute())
