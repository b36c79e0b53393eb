"""Opens the model behind a service."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..errors import ConfigError

if TYPE_CHECKING:
    from ..config.services import Service
    from ..traffic.client import Door, ModelClient

SERVICES = [
    ("api", "an endpoint that is already running"),
    ("simulated", "made-up answers from this process, for trying things out"),
]


def open_model(name: str, service: Service, *, max_concurrent: int) -> ModelClient:
    """The client of a service, with a door for foreign agents. Raises ConfigError for a type this
    version cannot run."""
    model = _open(name, service, max_concurrent=max_concurrent)
    model.make_door = _door
    return model


def _door(model: ModelClient) -> Door:
    from ..traffic.door.server import ProxyServer

    return ProxyServer(model)


def _open(name: str, service: Service, *, max_concurrent: int) -> ModelClient:
    from ..config.services import ApiService, SimulatedService
    from ..traffic.client import ModelClient
    from ..traffic.open import open_http_model

    if isinstance(service, ApiService):
        return open_http_model(name, service, max_concurrent=max_concurrent)
    if isinstance(service, SimulatedService):
        from .simulated.transport import SimulatedTransport

        return ModelClient(
            service.model,
            service,
            SimulatedTransport(service),
            peer="simulated",
            max_concurrent=max_concurrent,
            service_name=name,
            # Another seed or accuracy is another model: what was cached of this one is not its.
            upstream=f"simulated:{service.model_dump_json(exclude={'proxy', 'price'})}",
        )
    raise ConfigError(
        f"{service.type!r} is not supported by this version",
        where=f"services.{name}.type",
        hint="runnable now: api, simulated",
    )


def list_services() -> list[tuple[str, str]]:
    """Type and one line about each."""
    return SERVICES
