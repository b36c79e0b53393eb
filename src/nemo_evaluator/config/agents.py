"""Services that are not models: gym resource servers and agent servers."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, field_validator

from .base import ConfigRecord
from .endpoints import check_url


class GymResourceService(ConfigRecord):
    """A gym resource server; started by this tool unless ``url`` is set."""

    type: Literal["gym"] = "gym"
    """Kind of service."""
    url: str | None = None
    """Address of a running server; null: one is started."""
    port: int = Field(8000, ge=1, le=65535)
    """Port of a started server."""
    image: str | None = None
    """Container image of a started server."""
    benchmark: str | None = None
    """Benchmark the server serves."""
    server_cmd: str | None = None
    """Command that starts the server."""
    startup_timeout: float = Field(120.0, gt=0)
    """Seconds until a started server must answer."""
    depends_on: list[str] = Field(default_factory=list)
    """Services that must be up before."""
    node_pool: str | None = None
    """Node pool of the Slurm cluster it runs in."""

    @field_validator("url")
    @classmethod
    def _is_http(cls, url: str | None) -> str | None:
        return None if url is None else check_url(url)


class NatAgentService(ConfigRecord):
    """A NeMo Agent Toolkit server."""

    type: Literal["nat"] = "nat"
    """Kind of service."""
    port: int = Field(8000, ge=1, le=65535)
    """Port of the server."""
    image: str | None = None
    """Container image of the server."""
    nat_config_file: str | None = None
    """Configuration file of the agent."""
    startup_timeout: float = Field(120.0, gt=0)
    """Seconds until the server must answer."""
    depends_on: list[str] = Field(default_factory=list)
    """Services that must be up before."""
    node_pool: str | None = None
    """Node pool of the Slurm cluster it runs in."""
