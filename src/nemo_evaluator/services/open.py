"""Opens the model behind a service."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from ..errors import ConfigError
from ..kinds import SERVICES

if TYPE_CHECKING:
    from collections.abc import Callable

    from ..config.services import ApiService, Service, SimulatedService
    from ..traffic.client import ModelClient


def open_model(name: str, service: Service, *, max_concurrent: int) -> ModelClient:
    """The client of a service, with a door for foreign agents. Raises ConfigError for a type this
    version cannot run."""
    if not SERVICES.has(service.type):
        raise ConfigError(
            f"{service.type!r} is not supported by this version",
            where=f"services.{name}.type",
            hint=f"runnable now: {', '.join(SERVICES.names())}",
        )
    opens = cast("Callable[..., ModelClient]", SERVICES.load(service.type))
    return opens(name, service, max_concurrent=max_concurrent)


def open_api(name: str, service: ApiService, *, max_concurrent: int) -> ModelClient:
    """An endpoint that is already running."""
    from ..traffic.open import open_http_model

    return open_http_model(name, service, max_concurrent=max_concurrent)


def open_simulated(name: str, service: SimulatedService, *, max_concurrent: int) -> ModelClient:
    """Made-up answers from this process."""
    from ..traffic.open import open_client
    from .simulated.transport import SimulatedTransport

    return open_client(
        name,
        service,
        SimulatedTransport(service),
        model=service.model,
        peer="simulated",
        # Another seed or accuracy is another model: what was cached of this one is not its.
        upstream=f"simulated:{service.model_dump_json(exclude={'proxy', 'price'})}",
        max_concurrent=max_concurrent,
    )
