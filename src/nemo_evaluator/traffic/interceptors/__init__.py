"""Interceptors by name: built in, from the entry points of a package, or ``module:Class``.

A built-in interceptor is one file in this folder and one row of ``BUILT_IN``. ``endpoint`` is the
last step of every pipeline, named in a configuration or not; its options are the fields of `proxy`.
"""

from __future__ import annotations

from collections.abc import Sequence
from importlib import import_module
from typing import TYPE_CHECKING, Any

from ...errors import ConfigError
from ...plugins import installed
from ..types import Interceptor

if TYPE_CHECKING:
    from ...config.proxy import InterceptorConfig

ENDPOINT = "endpoint"
BUILT_IN = {
    ENDPOINT: ("nemo_evaluator.traffic.endpoint:Endpoint", "retries, rate limits, concurrency"),
}
GROUP = "nemo_evaluator.interceptors"


def list_interceptors() -> list[tuple[str, str]]:
    """Name and one line about each, without importing any."""
    rows = [(name, text) for name, (_, text) in BUILT_IN.items()]
    return rows + [(entry.name, entry.value) for entry in installed(GROUP)]


def open_interceptors(configs: Sequence[InterceptorConfig]) -> list[Interceptor]:
    """The interceptors before the endpoint, in order. Raises ConfigError."""
    return [_open(config) for config in configs if config.name != ENDPOINT]


def _open(config: InterceptorConfig) -> Interceptor:
    where = f"interceptor {config.name!r}"
    try:
        interceptor: Interceptor = _load(config.name)(**config.config)
    except ConfigError:
        raise
    except Exception as error:  # foreign code
        raise ConfigError(f"{type(error).__name__}: {error}", where=where) from error
    return interceptor


def _load(name: str) -> Any:
    if name in BUILT_IN:
        name = BUILT_IN[name][0]
    elif found := [entry for entry in installed(GROUP) if entry.name == name]:
        return found[0].load()
    if ":" not in name:
        names = ", ".join(row[0] for row in list_interceptors())
        raise ConfigError(f"no interceptor {name!r}", hint=f"there are: {names}")
    module, _, attribute = name.partition(":")
    return getattr(import_module(module), attribute)
