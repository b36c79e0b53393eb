"""A server of your own: a command that is started here, or a class."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field, SecretStr, model_validator

from .endpoints import ApiProtocol, ModelFields, PriceConfig, TimeoutsConfig
from .server_life import ServerLife
from .variables import Variables

OF_A_COMMAND = (
    *("port", "base_path", "health_path", "startup_timeout", "stop_timeout", "extra_env"),
    *("workdir", "restart", "idle_timeout"),
)


class CustomService(ModelFields, ServerLife):
    """A server of your own: a ``command`` that starts it, or a class (``class_path``)."""

    type: Literal["custom"] = "custom"
    """Kind of service."""
    command: str | list[str] | None = None
    """What starts the server: a line for the shell, or a list of words that is run as it is. In it
    ``{port}``, ``{host}`` and ``{model}`` are replaced; they are also the variables PORT, HOST and
    MODEL."""
    model: str | None = None
    """Model id sent in requests; null: the service's name."""
    protocol: ApiProtocol = "chat_completions"
    """API of the server."""
    port: int | None = Field(None, ge=1, le=65535)
    """Port of the server; null: a free one."""
    base_path: str = Field("/v1", pattern=r"^(/[^?#]*)?$")
    """Path below which the server has its API."""
    health_path: str | None = Field(None, pattern=r"^/")
    """Path that is answered with 200 once the server is up; null: it is up when it takes
    connections."""
    startup_timeout: float = Field(600.0, gt=0)
    """Seconds until the server must be up."""
    stop_timeout: float = Field(15.0, ge=0)
    """Seconds the server gets to end by itself before it is killed."""
    extra_env: Variables = Field(default_factory=dict)
    """Environment variables of the server."""
    workdir: str | None = None
    """Folder the server runs in; null: that of the command."""
    api_key: SecretStr | None = None
    """Key of the server, best written as ``${VARIABLE}``."""
    stream: bool = False
    """Ask for server-sent events, and record the time to the first token."""
    timeouts: TimeoutsConfig = Field(default_factory=TimeoutsConfig)
    """Limits on the parts of one request."""
    price: PriceConfig | None = None
    """Price per million tokens; null: the cost is unknown and not shown."""
    depends_on: list[str] = Field(default_factory=list)
    """Services that must be up before."""
    class_path: str | None = None
    """In the place of a command: a class that opens the service, as ``module:Class``."""
    config: dict[str, Any] = Field(default_factory=dict)
    """Arguments of the class."""

    @model_validator(mode="after")
    def _one_of_both(self) -> CustomService:
        if (self.command is None) == (self.class_path is None):
            raise ValueError("needs a command, or a class_path: one of them")
        if self.command is not None and not self.command:
            raise ValueError("command is empty")
        if self.command is not None and self.config:
            raise ValueError("config is that of a class_path; a command takes none")
        given = [name for name in OF_A_COMMAND if name in self.model_fields_set]
        if self.class_path is not None and given:
            raise ValueError(f"{given[0]} has no effect on a class_path")
        return self
