"""Opens services by their type: the built-in ones, those of installed packages, and your own."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import (
    AbstractAsyncContextManager,
    AbstractContextManager,
    AsyncExitStack,
    nullcontext,
)
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple, cast

from ..config.cluster import LocalCluster
from ..config.document import Document
from ..config.endpoints import ModelFields
from ..config.load import Loaded
from ..config.local_servers import VISIBLE, gpus_by_service
from ..config.mistakes import Mistake, as_error
from ..config.needed_services import depends_on, in_order
from ..config.plugins import Given, given
from ..config.services import CustomService, Service
from ..config.tree import KeyPath
from ..errors import ConfigError
from ..kinds import SERVICES
from ..traffic.client import ModelClient
from ..traffic.interceptors.opening import check_interceptors
from .contract import AnyService, Launch, OpenServer, OpenService, Place, ServiceKind

METHODS = ("launch", "open")
OFFERED = ("endpoints", "identity", "ready", "health", "logs")
OF_A_MODEL = ("client", "protocol", "simulated")
OF_A_SERVER = ("calls",)


@dataclass(frozen=True, slots=True)
class Machine:
    """What the servers of a run share, where they are started."""

    gpus: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    """Numbers of the GPUs of each service, where that is decided."""
    env: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, config: Document) -> Machine:
        """Where the run itself runs."""
        cluster = config.cluster
        if not isinstance(cluster, LocalCluster):
            return cls(gpus_by_service(config))
        numbers = ",".join(map(str, cluster.gpus or ()))
        visible = {VISIBLE: numbers} if numbers else {}
        return cls(gpus_by_service(config), {**visible, **cluster.container_env})


class Opened(NamedTuple):
    """The open services of a run, by name."""

    models: dict[str, OpenService]
    servers: dict[str, OpenServer]
    """Those that are no models."""


def check_services(loaded: Loaded) -> None:
    """Before anything is opened: every interceptor is known and its options are right. Raises
    ConfigError naming file and line."""
    if (failure := as_error(service_problems(loaded.config), loaded.locate)) is not None:
        raise failure


def service_problems(config: Document) -> Iterator[Mistake]:
    """Interceptors that are not known, or have wrong options; opens nothing."""
    for name, service in config.services.items():
        if isinstance(service, ModelFields) and service.proxy is not None:
            yield from check_interceptors(service.proxy.interceptors, ("services", name, "proxy"))


async def open_services(
    services: Mapping[str, Service],
    wanted: Mapping[str, int],
    stack: AsyncExitStack,
    folder: Path | None = None,
    say: Callable[[str], None] = lambda _: None,
    at: Callable[[KeyPath], AbstractContextManager[None]] = lambda _: nullcontext(),
    machine: Machine | None = None,
) -> Opened:
    """The services that are wanted, by the most requests that each will have in flight, and those
    they depend on. ``stack`` closes them in the opposite order; ``folder`` is where the logs of
    servers go, ``say`` is told when one starts, ``machine`` is what they share. Raises
    ConfigError."""
    machine = machine or Machine()
    opened, found = Opened({}, {}), dict[str, AnyService]()
    most = max(wanted.values(), default=1)
    names = in_order(services, wanted)
    needed = {other for name in names for other in depends_on(services[name])}
    for name in names:
        needs = {other: found[other] for other in depends_on(services[name])}
        with at(("services", name, "type")):
            place = Place(
                _fields(services[name]),
                wanted.get(name, most),
                folder,
                needs,
                say,
                devices=machine.gpus.get(name, ()),
                env=machine.env,
                needed_by_others=name in needed,
            )
            entered = _open_service(name, services[name], place)
        found[name] = service = await stack.enter_async_context(entered)
        _check(services[name], service)
        if isinstance(services[name], ModelFields):
            opened.models[name] = cast(OpenService, service)
        else:
            opened.servers[name] = cast(OpenServer, service)
    return opened


def open_service(
    name: str, service: Service, max_concurrent: int
) -> AbstractAsyncContextManager[AnyService]:
    """One service by itself. Raises ConfigError for a type this version cannot run."""
    return _open_service(name, service, Place(_fields(service), max_concurrent))


def _open_service(
    name: str, service: Service, place: Place
) -> AbstractAsyncContextManager[AnyService]:
    kind, options = _kind_of(service)
    with SERVICES.foreign(service.type):
        return kind.open(name, options, place)


def _fields(service: Service) -> ModelFields:
    return service if isinstance(service, ModelFields) else ModelFields()


def launch_of(name: str, service: Service) -> Launch | None:
    """What has to be started for a service. Raises ConfigError naming the service."""
    kind, options = _kind_of(service)
    with SERVICES.foreign(service.type):
        try:
            return kind.launch(options)
        except ConfigError as error:
            where = error.where or f"services.{name}"
            raise ConfigError(error.what, where=where, hint=error.hint) from None


def open_model(name: str, service: Service, *, max_concurrent: int) -> ModelClient:
    """The client of a service that needs no start. Raises ConfigError."""
    return cast(OpenService, open_service(name, service, max_concurrent)).client


def _kind_of(service: Service) -> tuple[ServiceKind, Given]:
    """The kind of a service, and what it is opened with."""
    kind, options = service.type, given(service)
    if isinstance(service, CustomService) and service.class_path is not None:
        kind, options = service.class_path, service.config
        if (record := SERVICES.options(kind)) is not None:
            with SERVICES.foreign(kind):
                options = record.model_validate(service.config)
    loaded: Any = SERVICES.load(kind)
    if not all(callable(getattr(loaded, method, None)) for method in METHODS):
        raise SERVICES.wrong(kind, f"it needs the methods {', '.join(METHODS)}")
    with SERVICES.foreign(kind):
        return cast(ServiceKind, loaded()), options


def _check(service: Service, opened: AnyService) -> None:
    own = OF_A_MODEL if isinstance(service, ModelFields) else OF_A_SERVER
    missing = [name for name in (*own, *OFFERED) if not hasattr(opened, name)]
    if missing:
        raise SERVICES.wrong(service.type, f"what it opens lacks {', '.join(missing)}")
