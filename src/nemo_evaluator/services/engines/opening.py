"""Opens the service of an engine: its servers, and the client that asks them."""

from __future__ import annotations

from ...config.servers import ManagedModelFields
from ...types import Json
from ..contract import Place
from ..endpoint import Endpoint
from ..launch import Launch
from ..launched import open_launched


def open_engine(name: str, options: ManagedModelFields, place: Place, launch: Launch) -> Endpoint:
    """The open service of an engine. Raises ConfigError."""
    return open_launched(
        name,
        launch,
        place,
        model=options.served_model_name or name,
        protocol=options.protocol,
        identity=engine_identity(options),
        life=options,
        asked=True,
        api_key=options.api_key,
        stream=options.stream,
        timeouts=options.timeouts,
        price=options.price,
    )


def engine_identity(options: ManagedModelFields) -> dict[str, Json]:
    """What of a server changes its answers. How many GPUs and servers there are does not."""
    record = options.model_dump(mode="json")
    names = ("model", "image", "extra_args", "pre_cmd", "reasoning_pattern")
    said = {name: record[name] for name in names if record.get(name)}
    return {"engine": getattr(options, "type", ""), **said}
