"""Solvers: what turns a problem into an answer."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field

from .base import ConfigRecord
from .generation import GenerationConfig

TimeoutStrategy = Literal["override", "task", "max"]


class SimpleSolver(ConfigRecord):
    """One request, one answer."""

    type: Literal["simple"]
    service: str
    system_prompt: str | None = None
    """Replaces the benchmark's system prompt."""
    generation: GenerationConfig | None = None
    """Wins, field by field, over the service's generation."""
    image_detail: str = "auto"


class HarborSolverConfig(ConfigRecord):
    """An agent of the harbor package."""

    type: Literal["harbor"]
    service: str
    agent: str
    agent_kwargs: dict[str, Any] = Field(default_factory=dict)
    container_env: dict[str, str] = Field(default_factory=dict)
    run_timeout: float | None = None
    cmd_timeout: float | None = None
    timeout_strategy: TimeoutStrategy = "override"
    max_agent_timeout: float | None = None
    skill: str | None = None
    skill_dir: str | None = None


class AgentSolverConfig(ConfigRecord):
    """An agent of a framework."""

    type: Literal["agent"]
    service: str
    framework: str = "harbor"
    agent: str
    agent_kwargs: dict[str, Any] = Field(default_factory=dict)


class ToolCallingSolverConfig(ConfigRecord):
    """A loop of tool calls."""

    type: Literal["tool_calling"]
    service: str
    resource_service: str | None = None
    sandbox_tools: bool = False
    max_turns: int = Field(50, ge=1)
    system_prompt: str | None = None
    generation: GenerationConfig | None = None
    tool_timeout: float = Field(180.0, gt=0)
    max_output_chars: int = Field(16384, ge=1)
    response_mode: Literal["last_message", "sandbox_artifact"] = "last_message"


class GymDelegationSolverConfig(ConfigRecord):
    """A gym server's own agent."""

    type: Literal["gym_delegation"]
    service: str
    gym_service: str
    gym_agent: str | None = None
    trust_reward: bool = False


class NatSolverConfig(ConfigRecord):
    """A NeMo Agent Toolkit agent."""

    type: Literal["nat"]
    service: str


class OpenClawSolverConfig(ConfigRecord):
    """The OpenClaw agent."""

    type: Literal["openclaw"]
    service: str
    thinking: str = "high"
    context_window: int | None = None
    max_concurrent: int = Field(4, ge=1)
    idle_timeout_seconds: int = 600
    run_timeout: float | None = None
    timeout_strategy: TimeoutStrategy = "task"
    max_agent_timeout: float | None = None
    web_search_provider: Literal["tavily"] | None = None
    config_path: str | None = None
    skip_preflight: bool = False
    openclaw_bin: str = "openclaw"


class ContainerSolverConfig(ConfigRecord):
    """A legacy harness container."""

    type: Literal["container"]
    service: str
    endpoint_type: str | None = None
    adapter_config: dict[str, Any] | None = None
    env_vars: dict[str, str] = Field(default_factory=dict)
    mounts: dict[str, str] = Field(default_factory=dict)


class OracleSolverConfig(ConfigRecord):
    """The gold solution of each problem."""

    type: Literal["oracle"]
    run_timeout: float | None = None
    timeout_strategy: TimeoutStrategy = "override"
    max_agent_timeout: float | None = None


class CustomSolverConfig(ConfigRecord):
    """A solver of your own class."""

    type: Literal["custom"]
    service: str | None = None
    class_path: str
    config: dict[str, Any] = Field(default_factory=dict)


Solver = Annotated[
    SimpleSolver
    | HarborSolverConfig
    | AgentSolverConfig
    | ToolCallingSolverConfig
    | GymDelegationSolverConfig
    | NatSolverConfig
    | OpenClawSolverConfig
    | ContainerSolverConfig
    | OracleSolverConfig
    | CustomSolverConfig,
    Field(discriminator="type"),
]
