"""Services that are not models: gym servers and agent servers."""

from __future__ import annotations

import re
from typing import Literal

from pydantic import Field, SecretStr, field_validator, model_validator

from .base import ConfigRecord
from .endpoints import check_url
from .variables import Variables

GYM_PORT = 8000
"""Where a command listens that is not told a port."""
_TOLD_PORT = re.compile(r"\{port\}|\$\{?PORT\b")


class ServerFields(ConfigRecord):
    """What servers have in common that are no models."""

    url: str | None = None
    """Address of a running server; null: one is started."""
    port: int | None = Field(None, ge=1, le=65535)
    """Port of a started server; null: a free one."""
    image: str | None = None
    """Container image of a started server."""
    token: SecretStr | None = None
    """What is sent as ``Authorization: Bearer …``, best written as ``${VARIABLE}``."""
    extra_env: Variables = Field(default_factory=dict)
    """Environment variables of a started server."""
    startup_timeout: float = Field(120.0, gt=0)
    """Seconds until a started server must answer."""
    model: str | None = None
    """Model service that a started server uses: it is told address and key of the run's own
    endpoint for it (``OPENAI_BASE_URL``, ``OPENAI_API_KEY``, ``OPENAI_MODEL``)."""
    depends_on: list[str] = Field(default_factory=list)
    """Services that must be up before."""
    node_pool: str | None = None
    """Node pool of the Slurm cluster it runs in."""

    @field_validator("url")
    @classmethod
    def _is_http(cls, url: str | None) -> str | None:
        return None if url is None else check_url(url)

    @model_validator(mode="after")
    def _started_or_not(self) -> ServerFields:
        given = [name for name in ("model", "extra_env") if name in self.model_fields_set]
        if self.url is not None and given:
            raise ValueError(f"{given[0]} has no effect on a server that runs already (url)")
        return self

    @property
    def requires(self) -> tuple[str, ...]:
        """The services that must be open before."""
        more = () if self.model is None or self.model in self.depends_on else (self.model,)
        return (*self.depends_on, *more)


class GymResourceService(ServerFields):
    """A gym server: resources, tools and verification, or an agent; started by this tool unless
    ``url`` is set."""

    type: Literal["gym"] = "gym"
    """Kind of service."""
    benchmark: str | None = None
    """Benchmark that a started server serves, by ``nel serve``."""
    server_cmd: str | None = None
    """Command that starts the server: a line for the shell. It is told its port as ``{port}`` or
    ``$PORT``; where it names neither, and ``port`` is not set, it is taken to listen on 8000."""

    @property
    def listens_on(self) -> int | None:
        """Port of a started server, where it is known beforehand."""
        told = self.server_cmd is None or _TOLD_PORT.search(self.server_cmd)
        return self.port or (None if told else GYM_PORT)


class NatAgentService(ServerFields):
    """A server of NeMo Agent Toolkit; started by this tool unless ``url`` is set."""

    type: Literal["nat"] = "nat"
    """Kind of service."""
    nat_config_file: str | None = None
    """Configuration file of the agent; null: ``config.yml``."""
