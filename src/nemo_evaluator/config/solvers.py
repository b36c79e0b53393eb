"""Solvers: what turns a problem into an answer. `kinds` says which of them can be run."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field

from ..kinds import SOLVERS
from .agent_solvers import (
    AgentSolverConfig,
    CustomSolverConfig,
    HarborSolverConfig,
    OpenClawSolverConfig,
    ToolCallingSolverConfig,
)
from .generation import GenerationConfig
from .plugins import ByType, PluginFields
from .solver_fields import AGENT, GYM, OwnSolverFields, RewardFields, SolverFields, TimeLimitFields


class SimpleSolver(SolverFields):
    """One request, one answer."""

    type: Literal["simple"] = "simple"
    """Kind of solver."""
    service: str
    """The model that answers."""
    system_prompt: str | None = None
    """Replaces the benchmark's system prompt."""
    generation: GenerationConfig | None = None
    """Wins, field by field, over the service's generation."""
    image_detail: str = Field("auto", min_length=1)
    """Detail images are sent with: ``auto``, ``low``, ``high``."""


class GymDelegationSolverConfig(RewardFields):
    """A gym server's own agent."""

    trusted_by = "trust_reward"
    type: Literal["gym_delegation"] = "gym_delegation"
    """Kind of solver."""
    service: str
    """The model the agent uses."""
    gym_service: str
    """The gym service that runs the agent: its own address, or that of NeMo Gym's head server."""
    gym_agent: str | None = None
    """Name of the agent there (its ``process_name``), or what it reads: ``openhands``,
    ``swebench`` or ``miniswe``."""
    trust_reward: bool = False
    """Take the reward of the gym instead of verifying here."""

    @property
    def trusted(self) -> tuple[tuple[float, float], str] | None:
        """See ``SolverFields.trusted``."""
        return (self.reward_range, "the gym") if self.trust_reward else None

    @property
    def servers(self) -> dict[str, str]:
        """See ``SolverFields.servers``."""
        return {GYM: self.gym_service}


class NatSolverConfig(SolverFields):
    """A NeMo Agent Toolkit agent."""

    type: Literal["nat"] = "nat"
    """Kind of solver."""
    service: str
    """The nat service."""

    @property
    def servers(self) -> dict[str, str]:
        """See ``SolverFields.servers``."""
        return {AGENT: self.service}


class ContainerSolverConfig(SolverFields):
    """A harness in an image (``container://IMAGE#TASK``)."""

    type: Literal["container"] = "container"
    """Kind of solver."""
    service: str
    """The model the harness calls."""
    endpoint_type: str | None = None
    """Endpoint type the harness is told; null: ``chat`` or ``completions``, as the service's
    protocol."""
    adapter_config: dict[str, Any] | None = None
    """Adapter configuration the harness is told."""
    env_vars: dict[str, str] = Field(default_factory=dict)
    """Environment variables of the container."""
    mounts: dict[str, str] = Field(default_factory=dict)
    """Mounts of the container, path of this machine to path inside (``:ro`` after it: read-only).
    """
    network: Literal["bridge", "host", "door"] = "bridge"
    """What the harness reaches beside its model; ``door``: nothing."""


class OracleSolverConfig(SolverFields, TimeLimitFields):
    """The gold solution of each task."""

    type: Literal["oracle"] = "oracle"
    """Kind of solver."""


class NopSolverConfig(SolverFields):
    """Does nothing: what a task's tests give an untouched workspace."""

    type: Literal["nop"] = "nop"
    """Kind of solver."""


class PluginSolver(OwnSolverFields, PluginFields):
    """A solver of an installed package, or your own (``type: module:Class``).

    Further fields are its options."""

    kind = SOLVERS


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
    | NopSolverConfig
    | CustomSolverConfig
    | PluginSolver,
    ByType(SOLVERS),
]
