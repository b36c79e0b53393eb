"""A service whose servers are started here: the open service, and the transport that sees to it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

from ..config.endpoints import ApiProtocol
from ..config.server_life import ServerLife
from ..errors import ConfigError
from ..results.layout import slug
from ..traffic.client import ModelClient
from ..traffic.errors import TransportError
from ..traffic.http import HttpTransport
from ..traffic.open import OpenTransport
from ..traffic.transport import RawRequest, RawResponse, Transport, until_done
from ..traffic.types import ModelRequest, ModelResponse
from ..types import Failure, Json
from .contract import Health, Launch, Place
from .endpoint import Endpoint, http_client, model_identity, without_credentials
from .first_request import AskedTransport, asks
from .fleet import Fleet
from .launch import HOST
from .ports import ReservedPorts
from .programs import programs_of
from .server_log import ServerLog
from .started_elsewhere import started_elsewhere
from .supervisor import Question, Supervisor


class Launched(Endpoint):
    """An open service whose servers end with it."""

    def __init__(
        self,
        client: ModelClient,
        fleet: Fleet,
        *,
        protocol: str,
        identity: Mapping[str, Json],
        urls: Sequence[str],
    ) -> None:
        super().__init__(client, protocol=protocol, identity=identity, endpoints=urls)
        self.fleet = fleet

    async def ready(self) -> str | None:
        """See ``OpenService``."""
        await self.fleet.start()
        return await self.client.check()

    def health(self) -> Health:
        """Whether a server runs."""
        return self.fleet.health()

    async def logs(self) -> AsyncIterator[str]:
        """The last lines of the servers' logs."""
        for line in self.fleet.lines():
            yield line

    async def rest(self) -> None:
        """See ``Rests``."""
        await self.fleet.rest()

    async def close(self) -> None:
        """Close the client, then end the servers."""
        try:
            await super().close()
        finally:
            await self.fleet.stop()


class LaunchedTransport:
    """Sends requests to one server of a fleet that is started when it is first needed."""

    def __init__(self, fleet: Fleet, server: Supervisor, inner: Transport) -> None:
        self._fleet, self._server, self._inner = fleet, server, inner
        self.own_headers = inner.own_headers

    async def __call__(self, request: ModelRequest) -> ModelResponse:
        """See ``Transport``. Raises EndpointDown once no server is left."""
        fleet, streaming = self._fleet, False
        fleet.begin()
        try:
            await self._wait_until_up(request)
            response = await self._inner(request)
            self._server.answered()
            if response.chunks is not None:
                response.chunks = until_done(response.chunks, fleet.done)
                streaming = True
            return response
        except TransportError as error:
            self._check(error)
            raise
        finally:
            if not streaming:
                fleet.done()

    @asynccontextmanager
    async def _passed(self, request: RawRequest) -> AsyncIterator[RawResponse]:
        with self._fleet.used():
            await self._wait_until_up(None)
            async with self._inner.pass_through(request) as response:
                yield response

    def pass_through(self, request: RawRequest) -> AbstractAsyncContextManager[RawResponse]:
        """See ``Transport``."""
        return self._passed(request)

    async def check(self, model: str) -> str | None:
        """Start the servers, and see that this one answers; one that cannot be used, while another
        can, was said to be so."""
        await self._fleet.start()
        return await self._inner.check(model) if self._server.is_up() else None

    async def close(self) -> None:
        """See ``Transport``."""
        await self._inner.close()

    async def _wait_until_up(self, request: ModelRequest | None) -> None:
        """Until the server can be asked. The time it takes to start is not the request's. Raises
        TransportError where another server can be asked, else EndpointDown."""
        server, fleet = self._server, self._fleet
        if server.is_up():
            return
        if not fleet.is_down and fleet.others_can(server):
            raise TransportError(Failure.CONNECTION, server.health().why, unreachable=True)
        held = request.context.on_hold if request is not None else None
        if held is not None:
            held(True)
        try:
            await (fleet if fleet.is_down else server).start()
        except ConfigError:
            raise fleet.down() from None
        finally:
            if held is not None:
                held(False)
        self._check(None)

    def _check(self, error: TransportError | None) -> None:
        """After a failure: raises EndpointDown where no server is left to ask."""
        if not self._server.health().up and self._fleet.is_lost:
            raise self._fleet.down() from error


def open_launched(
    name: str,
    launch: Launch,
    place: Place,
    *,
    model: str,
    protocol: ApiProtocol = "chat_completions",
    base_path: str = "/v1",
    identity: Mapping[str, Json],
    life: ServerLife | None = None,
    asked: bool = False,
    **fields: object,
) -> Launched | Endpoint:
    """The open service of servers that are started on this machine when they are first needed, or
    that run already where whoever runs this process has started them.

    ``identity``: what of the server changes its answers, beside what every model has. ``asked``: a
    server is ready once it has answered a real request of a model. ``fields``: further fields of
    the client (``api_key``, ``timeouts``, …). Raises ConfigError.
    """
    identity = {**model_identity(place.fields, protocol), **identity}
    key = fields.get("api_key")
    given: dict[str, Any] = {**fields, "model": model, "http_proxy": "direct"}

    def client(urls: Sequence[str], transport: OpenTransport) -> ModelClient:
        more: dict[str, Any] = {**given, "replicas": urls[1:]}
        return http_client(name, place, urls[0], protocol=protocol, transport=transport, **more)

    if known := started_elsewhere(name):
        urls = [f"{url}{base_path}" for url in known]
        transport: OpenTransport = HttpTransport
        if asked:
            transport = _asked_transport(protocol, model, key, launch.startup_timeout)
        clean = tuple(map(without_credentials, urls))
        there = client(urls, transport)
        return Endpoint(there, protocol=protocol, identity=identity, endpoints=clean)
    ports = ReservedPorts(launch, f"services.{name}.port")
    urls = [f"http://{HOST}:{ports.first + i}{base_path}" for i in range(launch.instances)]
    servers = [
        supervised(
            name,
            launch,
            place,
            ports.first + i,
            model=model,
            number=i,
            life=life,
            question=asks(url, protocol, model, key) if asked else None,
        )
        for i, url in enumerate(urls)
    ]
    idle = life.idle_timeout if life is not None and not place.needed_by_others else None
    fleet = Fleet(name, servers, place.say, idle_timeout=idle, release=ports.release)
    transport = _launched_transport(fleet, dict(zip(urls, servers, strict=True)))
    return Launched(client(urls, transport), fleet, protocol=protocol, identity=identity, urls=urls)


def supervised(
    name: str,
    launch: Launch,
    place: Place,
    port: int,
    *,
    model: str,
    number: int = 0,
    life: ServerLife | None = None,
    question: Question | None = None,
    **more: Any,
) -> Supervisor:
    """One server of a service, not started. ``number``: which of its instances."""
    single = launch.instances == 1
    each = len(place.devices) // launch.instances
    devices = place.devices[number * each : (number + 1) * each]
    suffix = "" if single else f"_{number + 1}"
    path = None if place.folder is None else place.folder / f"service_{slug(name)}{suffix}.log"

    def programs(env: Mapping[str, str]) -> Any:
        env_of_program = {**place.env, **env}
        return programs_of(
            launch, name, port=port, model=model, devices=devices, env=env_of_program
        )

    return Supervisor(
        name,
        launch,
        programs,
        ServerLog(path),
        port=port,
        needs=tuple(place.needs.values()),
        say=place.say,
        question=question,
        restart=life.restart if life is not None else None,
        label=f"service {name}" + ("" if single else f", server {number + 1}"),
        **more,
    )


def _launched_transport(fleet: Fleet, by_url: Mapping[str, Supervisor]) -> OpenTransport:
    def made(url: str, protocol: str, **options: Any) -> LaunchedTransport:
        return LaunchedTransport(fleet, by_url[url], HttpTransport(url, protocol, **options))

    return made


def _asked_transport(
    spoken: ApiProtocol, model: str, key: object, patience: float
) -> OpenTransport:
    def made(url: str, protocol: str, **options: Any) -> Transport:
        question = asks(url, spoken, model, key)
        if question is None:
            return HttpTransport(url, protocol, **options)
        return AskedTransport(url, protocol, question=question, patience=patience, **options)

    return made
