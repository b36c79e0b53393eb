"""`simulated`: made-up answers from this process."""

from __future__ import annotations

from ...config.endpoints import SimulatedService
from ...traffic.open import open_client
from ...types import Json
from ..contract import Place
from ..endpoint import Endpoint, model_identity
from .transport import SimulatedTransport


class Simulated:
    """The kind of service that runs inside this process."""

    def launch(self, options: SimulatedService) -> None:
        """Nothing is started."""

    def open(self, name: str, options: SimulatedService, place: Place) -> Endpoint:
        """See ``ServiceKind``."""
        client = open_client(
            name,
            options,
            SimulatedTransport(options),
            model=options.model,
            peer="simulated",
            # Another seed or accuracy is another model: what was cached of this one is not its.
            upstream=f"simulated:{options.model_dump_json(exclude={'proxy', 'price'})}",
            max_concurrent=place.max_concurrent,
        )
        identity = {**model_identity(options, options.protocol), "simulated": _identity_of(options)}
        return Endpoint(client, protocol=options.protocol, identity=identity, simulated=True)


def _identity_of(service: SimulatedService) -> dict[str, Json]:
    """What changes the answers; latency and faults that are tried again do not."""
    return {
        "seed": service.seed,
        "accuracy": service.accuracy,
        "reasoning": service.reasoning,
        "completion_tokens": service.completion_tokens.model_dump(),
        "tool_call_rate": service.tool_call_rate,
        "empty": service.faults.empty,
        "length": service.faults.length,
    }
