"""What a client must know of its service, however that was configured. Plain data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from ..types import Json
from .price import Price
from .retry import NAMED


@dataclass(frozen=True, slots=True)
class DoorSettings:
    """Who may use the HTTP door of a client, and for what besides model calls."""

    pass_through: tuple[str, ...] = ()
    """Paths that are passed on to the endpoint without being interpreted."""
    allowed_origins: tuple[str, ...] = ()
    """Origins of web pages that may use it from a browser."""
    allowed_hosts: tuple[str, ...] = ()
    """Further host names that a door on loopback may be reached by."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelSettings:
    """The settings of one `ModelClient`."""

    model: str
    """The model id sent to the endpoint."""
    protocol: str = "chat_completions"
    service: str = ""
    """Name of the service in the configuration; empty: the model's."""
    peer: str = ""
    """The endpoint as it may be shown; empty: the name of the service."""
    upstream: str = ""
    """Identifies the upstream for caches: its base URL without credentials; empty: the peer."""
    tokenizer: str | None = None
    """``remote`` (the endpoint's own ``/tokenize``), a path, or a hub id; None: not known."""
    pinned: bool = True
    """The configuration says which model this is; else ``model`` is only a guess."""
    params: Mapping[str, Json] = field(default_factory=dict)
    """Parameters of every request; what a request sets itself wins."""
    stream: bool = False
    """Ask the endpoint for streams."""
    price: Price | None = None
    max_input_tokens: int | None = None
    """Longest prompt the model takes, as agents are told; None: not known."""
    max_output_tokens: int | None = None
    """Longest answer it gives."""
    max_concurrent: int = 64
    """Most requests in flight."""
    max_retries: int = 6
    retry_on_status: tuple[int, ...] = tuple(sorted(NAMED))
    max_outage: float = 300.0
    """Seconds to wait for an endpoint that has answered and then fails every call."""
    door: DoorSettings = DoorSettings()

    @property
    def service_name(self) -> str:
        """The service as messages name it."""
        return self.service or self.model
