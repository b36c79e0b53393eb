"""When a server that is started here is started again, and when it is ended before the run is."""

from __future__ import annotations

from pydantic import Field

from .base import ConfigRecord


class RestartConfig(ConfigRecord):
    """How often a server that ended by itself is started again."""

    max: int = Field(0, ge=0)
    """Most restarts in a run. While one is on its way, requests wait as for an outage."""
    backoff: float = Field(5.0, ge=0)
    """Seconds before the first restart; doubled for each further one, up to 5 minutes."""


class ServerLife(ConfigRecord):
    """Fields of servers that are started here."""

    restart: RestartConfig = Field(default_factory=RestartConfig)
    """What happens when the server ends by itself."""
    idle_timeout: float | None = Field(None, gt=0)
    """Seconds without a request after which the server is ended; the next request starts it again.
    Null: it runs as long as the run may need it."""
