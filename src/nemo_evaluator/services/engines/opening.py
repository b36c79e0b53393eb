"""Opens the service of an engine: its servers, and the client that asks them."""

from __future__ import annotations

from dataclasses import replace

from ...config.proxy import InterceptorConfig, ProxyConfig
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
        replace(place, fields=with_pattern(options)),
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


def with_pattern(options: ManagedModelFields) -> ManagedModelFields:
    """The same, with its ``reasoning_pattern`` as the first step that sees an answer."""
    if options.reasoning_pattern is None:
        return options
    proxy = options.proxy or ProxyConfig()
    step = InterceptorConfig(
        name="reasoning_pattern", config={"pattern": options.reasoning_pattern}
    )
    steps = [step, *proxy.interceptors]
    return options.model_copy(update={"proxy": proxy.model_copy(update={"interceptors": steps})})


def engine_identity(options: ManagedModelFields) -> dict[str, Json]:
    """What of a server changes its answers. How many GPUs and servers there are does not."""
    record = options.model_dump(mode="json")
    names = ("model", "image", "extra_args", "pre_cmd")
    identity = {name: record[name] for name in names if record.get(name)}
    return {"engine": getattr(options, "type", ""), **identity}
