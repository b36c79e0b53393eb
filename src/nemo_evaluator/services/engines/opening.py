"""Opens the service of an engine: its servers, and the client that asks them."""

from __future__ import annotations

from ...config.servers import ManagedModelFields
from ...errors import ConfigError
from ...types import Json
from ..contract import Place
from ..launch import Launch
from ..launched import Launched, open_launched

Engine = Launched
BASE_PATH = "/v1"


def open_engine(name: str, options: ManagedModelFields, place: Place, launch: Launch) -> Engine:
    """The open service of an engine. Raises ConfigError for what this machine cannot honour."""
    if launch.image is not None or launch.processes or launch.instances > 1:
        raise ConfigError("cannot be started on this machine yet", where=f"services.{name}")
    return open_launched(
        name,
        launch,
        place,
        model=options.served_model_name or name,
        protocol=options.protocol,
        base_path=BASE_PATH,
        identity=engine_identity(options),
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
