"""What ``task.toml`` of a Harbor task says: fields, older names and defaults as harbor 0.26 has it.

Fields that are not listed are read over, as harbor does: newer versions of the format stay
readable. What changes how a task is run or verified, and cannot be done here, is refused by name
when the task is opened (``folder``), not here.
"""

from __future__ import annotations

import math
import re
from enum import StrEnum
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, field_validator, model_validator

Seconds = Annotated[float, Field(gt=0, allow_inf_nan=False)]
User = str | int | None
"""A user by name or number; None: the image's own."""
SIZE = re.compile(r"(\d+(?:\.\d+)?)([KMGT])I?B?", re.IGNORECASE)
MEGABYTES = {"K": 1 / 1024, "M": 1, "G": 1024, "T": 1024 * 1024}


class Internet(StrEnum):
    """What a task lets its container reach (``network_mode``)."""

    NONE = "no-network"
    PUBLIC = "public"
    ALLOWLIST = "allowlist"


class Part(BaseModel):
    """A table of ``task.toml``."""

    model_config = ConfigDict(extra="ignore", frozen=True, protected_namespaces=())


def _megabytes(value: object) -> object:
    """``2G`` as older tasks write it, in megabytes."""
    if not isinstance(value, str):
        return value
    if (match := SIZE.fullmatch(value.strip())) is None:
        raise ValueError("must be a size such as '2G' or '512M'")
    return int(float(match[1]) * MEGABYTES[match[2].upper()])


Megabytes = Annotated[int, BeforeValidator(_megabytes), Field(ge=0)]


class Phase(Part):
    """What agent and verifier have in common."""

    user: User = None
    network_mode: Internet | None = None
    """None: as the environment's."""


class AgentPart(Phase):
    """``[agent]``."""

    timeout_sec: Seconds | None = None


class Healthcheck(Part):
    """``[environment.healthcheck]``: when the environment is ready, as Docker's HEALTHCHECK."""

    command: str
    interval_sec: float = Field(5.0, ge=0)
    timeout_sec: Seconds = 30.0
    start_period_sec: float = Field(0.0, ge=0)
    start_interval_sec: float = Field(5.0, ge=0)
    retries: int = Field(3, ge=1)


class EnvironmentPart(Part):
    """``[environment]``, or ``[verifier.environment]``."""

    docker_image: str | None = None
    build_timeout_sec: Seconds = 600.0
    os: str = "linux"
    cpus: float | None = Field(None, gt=0, allow_inf_nan=False)
    memory_mb: Megabytes | None = Field(None, gt=0)
    storage_mb: Megabytes | None = None
    gpus: int | None = None
    tpu: Any = None
    mcp_servers: list[dict[str, Any]] = Field(default_factory=list)
    env: dict[str, str] = Field(default_factory=dict)
    healthcheck: Healthcheck | None = None
    workdir: str | None = None
    network_mode: Internet = Internet.PUBLIC
    allowed_hosts: list[str] | None = None

    @model_validator(mode="before")
    @classmethod
    def _older_names(cls, data: Any) -> Any:
        """``memory``, ``storage`` and ``allow_internet`` of earlier versions of the format."""
        if not isinstance(data, dict):
            return data
        data = dict(data)
        for old, new in (("memory", "memory_mb"), ("storage", "storage_mb")):
            if (value := data.pop(old, None)) is not None:
                data.setdefault(new, value)
        allowed = data.pop("allow_internet", None)
        if allowed is not None and not isinstance(allowed, bool):
            raise ValueError("allow_internet must be true or false")
        if allowed is not None and "allowed_hosts" not in data:
            data.setdefault("network_mode", Internet.PUBLIC if allowed else Internet.NONE)
        return data

    @field_validator("os", mode="before")
    @classmethod
    def _any_case(cls, value: object) -> object:
        return value.lower() if isinstance(value, str) else value


class VerifierPart(Phase):
    """``[verifier]``."""

    timeout_sec: Seconds = 600.0
    env: dict[str, str] = Field(default_factory=dict)
    environment_mode: Literal["shared", "separate"] | None = None
    environment: EnvironmentPart | None = None
    collect: list[dict[str, Any]] = Field(default_factory=list)

    @property
    def mode(self) -> Literal["shared", "separate"] | None:
        """Where the tests run, as far as this table says."""
        if self.environment_mode is None and self.environment is not None:
            return "separate"
        return self.environment_mode

    @model_validator(mode="after")
    def _one_place(self) -> VerifierPart:
        if self.environment_mode == "shared" and self.environment is not None:
            raise ValueError("environment_mode 'shared' contradicts [verifier.environment]")
        return self


class SolutionPart(Part):
    """``[solution]``."""

    env: dict[str, str] = Field(default_factory=dict)


class StepVerifierPart(VerifierPart):
    """``[steps.verifier]``: what is left out is the task's own."""

    timeout_sec: Seconds | None = None  # type: ignore[assignment]


class StepPart(Part):
    """One entry of ``[[steps]]``."""

    name: str = Field(pattern=r"^[^<>:\"/\\|?*\x00-\x1f\x7f]*[^<>:\"/\\|?*\x00-\x1f\x7f. ]$")
    agent: AgentPart = AgentPart()
    verifier: StepVerifierPart = StepVerifierPart()
    min_reward: float | dict[str, float] | None = None
    healthcheck: Healthcheck | None = None

    def falls_short(self, rewards: dict[str, float]) -> str | None:
        """Which reward is below ``min_reward``; None where none is."""
        least = self.min_reward
        if least is None:
            return None
        for name, value in ({"reward": least} if isinstance(least, float) else least).items():
            if not rewards.get(name, -math.inf) >= value:
                return f"{name} {rewards.get(name)} is below min_reward {value:g}"
        return None


class Settings(Part):
    """A whole ``task.toml``."""

    schema_version: str = "1.4"
    metadata: dict[str, Any] = Field(default_factory=dict)
    agent: AgentPart = AgentPart()
    verifier: VerifierPart = VerifierPart()
    environment: EnvironmentPart = Field(default_factory=EnvironmentPart)
    solution: SolutionPart = SolutionPart()
    multi_step_reward_strategy: Literal["mean", "final"] = "mean"
    steps: list[StepPart] = Field(default_factory=list)
    artifacts: list[str | dict[str, Any]] = Field(default_factory=list)

    @model_validator(mode="before")
    @classmethod
    def _older_name(cls, data: Any) -> Any:
        if isinstance(data, dict) and "version" in data:
            data = dict(data)
            data.setdefault("schema_version", data.pop("version"))
        return data

    @model_validator(mode="after")
    def _steps_differ(self) -> Settings:
        names = [step.name.casefold() for step in self.steps]
        if len(set(names)) < len(names):
            raise ValueError("two steps have the same name")
        return self

    def separate(self, step: StepPart | None = None) -> bool:
        """Whether the tests (of a step) run in a container of their own."""
        own = step.verifier.mode if step is not None else None
        return (own or self.verifier.mode or "shared") == "separate"
