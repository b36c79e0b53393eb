"""What solvers have in common in a configuration."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field, model_validator

from ..sandbox_spec import SolverNeeds
from .base import ConfigRecord

GYM = "gym"
"""The role of the gym that a solver uses."""


AGENT = "agent"
"""The role of the server that is the agent."""


TimeoutStrategy = Literal["override", "task", "max"]


class SolverFields(ConfigRecord):
    """What all solvers have in common."""

    @property
    def needs(self) -> SolverNeeds:
        """What is known to be needed before the solver is opened."""
        return SolverNeeds()

    @property
    def servers(self) -> dict[str, str]:
        """The services it uses that are no models, by the role it knows them in."""
        return {}

    @property
    def trusted(self) -> tuple[tuple[float, float], str] | None:
        """The range of rewards that its answers bring along and that count as they are, and whose
        they are; None: the benchmark verifies its answers."""
        return None


class AgentFields(SolverFields):
    """A solver whose agent works in a sandbox."""

    @property
    def needs(self) -> SolverNeeds:
        """See ``SolverFields.needs``."""
        return SolverNeeds(sandbox=True, network="door")


class TimeLimitFields(ConfigRecord):
    """How long an agent may work (``solvers.time_limits``)."""

    run_timeout: float | None = Field(None, gt=0)
    """Seconds for a whole run of the agent; null: all of the benchmark's ``timeout``."""
    timeout_strategy: TimeoutStrategy = "override"
    """Which time counts: ``run_timeout`` (``override``), the task's own, or the larger (``max``);
    never more than the benchmark's ``timeout``."""
    max_agent_timeout: float | None = Field(None, gt=0)
    """Upper limit on the result of ``timeout_strategy``."""


class RewardFields(SolverFields):
    """A solver whose answers may bring a reward along."""

    trusted_by: ClassVar[str]
    """The field that says that rewards are trusted."""
    reward_range: tuple[float, float] = (0.0, 1.0)
    """The least and the most that a trusted reward can be; another one is no verdict."""

    @model_validator(mode="after")
    def _has_a_range(self) -> RewardFields:
        least, most = self.reward_range
        if not least < most:
            raise ValueError("reward_range: the least must be below the most")
        if "reward_range" in self.model_fields_set and self.trusted is None:
            raise ValueError(f"reward_range has no effect without {self.trusted_by}")
        return self


class OwnSolverFields(SolverFields):
    """Fields of every solver that is not built in."""

    service: str | None = None
    """The model it uses."""
    services: dict[str, str] = Field(default_factory=dict)
    """Further models by the role it knows them in (``user: NAME``)."""
