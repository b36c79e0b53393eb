"""The servers that a job or a pod starts beside an evaluation, which finds them running.

A server that is told the address of the run's own endpoint is left to the evaluation, which has it.
"""

from __future__ import annotations

import msgspec

from ..config.agents import ServerFields
from ..config.custom_service import CustomService
from ..config.load import Loaded
from ..config.needed_services import in_order
from ..config.servers import ManagedModelFields
from ..config.services import Service
from ..engine.benchmark_services import wanted_services
from ..services.launch import Launch
from ..services.open import launch_of

EVERYWHERE = "0.0.0.0"
CREDENTIALS = ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN")
"""What a server needs to fetch its model, where it is set."""


def left_to_the_evaluation(service: Service) -> bool:
    """Whether the evaluation starts a server itself, if it is started at all."""
    if isinstance(service, ServerFields):
        return service.model is not None
    if isinstance(service, CustomService):
        return service.command is None
    return not isinstance(service, ManagedModelFields)


def launches(loaded: Loaded) -> dict[str, Launch]:
    """What is started, each after those it depends on. Raises ConfigError."""
    services = loaded.config.services
    found: dict[str, Launch] = {}
    wanted = wanted_services(loaded.config)
    for name in in_order(services, [name for name in services if name in wanted]):
        service = services[name]
        if not left_to_the_evaluation(service) and (launch := launch_of(name, service)) is not None:
            pool = getattr(service, "node_pool", None)
            found[name] = msgspec.structs.replace(launch, node_pool=launch.node_pool or pool)
    return found
