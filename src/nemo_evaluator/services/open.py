"""Opens services by their type: the built-in ones, those of installed packages, and your own."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from contextlib import (
    AbstractAsyncContextManager,
    AbstractContextManager,
    AsyncExitStack,
    nullcontext,
)
from pathlib import Path
from typing import Any, cast

from ..config.endpoints import ModelFields
from ..config.load import Loaded
from ..config.mistakes import as_error
from ..config.plugins import Given, given
from ..config.services import CustomService, Service
from ..config.tree import KeyPath
from ..errors import ConfigError
from ..kinds import SERVICES
from ..traffic.client import ModelClient
from ..traffic.interceptors.opening import check_interceptors
from .contract import Launch, OpenService, Place, ServiceKind

METHODS = ("launch", "open")
OFFERED = ("client", "endpoints", "protocol", "identity", "simulated", "ready", "health", "logs")


def check_services(loaded: Loaded) -> None:
    """Before anything is opened: every interceptor is known and its options are right. Raises
    ConfigError naming file and line."""
    problems = [
        problem
        for name, service in loaded.config.services.items()
        if isinstance(service, ModelFields) and service.proxy is not None
        for problem in check_interceptors(service.proxy.interceptors, ("services", name, "proxy"))
    ]
    if (failure := as_error(problems, loaded.locate)) is not None:
        raise failure


async def open_services(
    services: Mapping[str, Service],
    wanted: Mapping[str, int],
    stack: AsyncExitStack,
    folder: Path | None = None,
    say: Callable[[str], None] = lambda _: None,
    at: Callable[[KeyPath], AbstractContextManager[None]] = lambda _: nullcontext(),
) -> dict[str, OpenService]:
    """The services that are wanted, by the most requests that each will have in flight, and those
    they depend on. ``stack`` closes them in the opposite order; ``folder`` is where the logs of
    servers go, ``say`` is told when one starts. Raises ConfigError."""
    opened: dict[str, OpenService] = {}
    for name in in_order(services, wanted):
        needs = {other: opened[other] for other in depends_on(services[name])}
        with at(("services", name, "type")):
            entered = open_service(
                name, services[name], wanted.get(name, 1), folder=folder, needs=needs, say=say
            )
        opened[name] = _checked(services[name], await stack.enter_async_context(entered))
    return opened


def open_service(
    name: str,
    service: Service,
    max_concurrent: int,
    *,
    folder: Path | None = None,
    needs: Mapping[str, OpenService] | None = None,
    say: Callable[[str], None] = lambda _: None,
) -> AbstractAsyncContextManager[OpenService]:
    """One service. Raises ConfigError for a type this version cannot run."""
    kind, options = _kind_of(name, service)
    if not isinstance(service, ModelFields):
        raise _unsupported(name, service)
    place = Place(service, max_concurrent, folder, needs or {}, say)
    with SERVICES.foreign(service.type):
        return kind.open(name, options, place)


def launch_of(name: str, service: Service) -> Launch | None:
    """What has to be started for a service. Raises ConfigError."""
    kind, options = _kind_of(name, service)
    with SERVICES.foreign(service.type):
        return kind.launch(options)


def open_model(name: str, service: Service, *, max_concurrent: int) -> ModelClient:
    """The client of a service that needs no start. Raises ConfigError."""
    return cast(OpenService, open_service(name, service, max_concurrent)).client


def depends_on(service: Service) -> tuple[str, ...]:
    """The services that must be ready before one."""
    return tuple(getattr(service, "depends_on", ()))


def in_order(services: Mapping[str, Service], wanted: Iterable[str]) -> list[str]:
    """The names of the wanted services and of what they depend on, each after what it needs. The
    configuration was checked: there are no circles."""
    order: dict[str, None] = {}

    def add(name: str) -> None:
        for other in depends_on(services[name]):
            add(other)
        order.setdefault(name)

    for name in wanted:
        add(name)
    return list(order)


def _kind_of(name: str, service: Service) -> tuple[ServiceKind, Given]:
    """The kind of a service, and what it is opened with."""
    kind, options = service.type, given(service)
    if isinstance(service, CustomService) and service.class_path is not None:
        kind, options = service.class_path, service.config
        if (record := SERVICES.options(kind)) is not None:
            with SERVICES.foreign(kind):
                options = record.model_validate(service.config)
    if not SERVICES.has(kind):
        raise _unsupported(name, service)
    loaded: Any = SERVICES.load(kind)
    if not all(callable(getattr(loaded, method, None)) for method in METHODS):
        raise SERVICES.wrong(kind, f"it needs the methods {', '.join(METHODS)}")
    with SERVICES.foreign(kind):
        return cast(ServiceKind, loaded()), options


def _checked(service: Service, opened: OpenService) -> OpenService:
    missing = [name for name in OFFERED if not hasattr(opened, name)]
    if missing:
        raise SERVICES.wrong(service.type, f"what it opens lacks {', '.join(missing)}")
    return opened


def _unsupported(name: str, service: Service) -> ConfigError:
    return ConfigError(
        f"{service.type!r} is not supported by this version",
        where=f"services.{name}.type",
        hint=f"runnable now: {', '.join(SERVICES.names())}",
    )
