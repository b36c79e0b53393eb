"""A service whose server is started here: the open service, and the transport that sees to it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

import msgspec

from ..config.endpoints import ApiProtocol
from ..errors import ConfigError, EndpointDown
from ..results.layout import slug
from ..traffic.client import ModelClient
from ..traffic.errors import TransportError
from ..traffic.http import HttpTransport
from ..traffic.open import OpenTransport
from ..traffic.transport import RawRequest, RawResponse, Transport
from ..traffic.types import ModelRequest, ModelResponse
from ..types import Json
from .contract import Health, Launch, Place
from .endpoint import Endpoint, http_client, model_identity
from .launch import filled
from .supervisor import HOST, Supervisor, free_port


class Launched(Endpoint):
    """An open service whose server ends with it."""

    def __init__(
        self,
        client: ModelClient,
        supervisor: Supervisor,
        *,
        protocol: str,
        identity: Mapping[str, Json],
        url: str,
    ) -> None:
        super().__init__(client, protocol=protocol, identity=identity, endpoints=(url,))
        self._supervisor = supervisor

    async def ready(self) -> str | None:
        """See ``OpenService``."""
        await self._supervisor.start()
        return await self.client.check()

    def health(self) -> Health:
        """Whether the server runs."""
        return self._supervisor.health()

    async def logs(self) -> AsyncIterator[str]:
        """The last lines of the server's log."""
        for line in self._supervisor.lines():
            yield line

    async def close(self) -> None:
        """Close the client, then end the server."""
        try:
            await super().close()
        finally:
            await self._supervisor.stop()


class LaunchedTransport:
    """Sends requests to a server that is started when it is first needed."""

    def __init__(self, supervisor: Supervisor, inner: Transport) -> None:
        self._supervisor, self._inner = supervisor, inner
        self.own_headers = inner.own_headers

    async def __call__(self, request: ModelRequest) -> ModelResponse:
        """See ``Transport``. Raises EndpointDown once the server has ended."""
        await self._started()
        try:
            return await self._inner(request)
        except TransportError as error:
            self._check_alive(error)
            raise

    @asynccontextmanager
    async def _passed(self, request: RawRequest) -> AsyncIterator[RawResponse]:
        await self._started()
        async with self._inner.pass_through(request) as response:
            yield response

    def pass_through(self, request: RawRequest) -> AbstractAsyncContextManager[RawResponse]:
        """See ``Transport``."""
        return self._passed(request)

    async def check(self, model: str) -> str | None:
        """Start the server, and see that it answers."""
        await self._supervisor.start()
        return await self._inner.check(model)

    async def close(self) -> None:
        """See ``Transport``."""
        await self._inner.close()

    async def _started(self) -> None:
        try:
            await self._supervisor.start()
        except ConfigError as error:
            raise EndpointDown(str(error), peer=self._supervisor.name) from None
        self._check_alive(None)

    def _check_alive(self, error: TransportError | None) -> None:
        health = self._supervisor.health()
        if not health.up:
            raise EndpointDown(health.why, peer=self._supervisor.name) from error


def open_launched(
    name: str,
    launch: Launch,
    place: Place,
    *,
    model: str,
    protocol: ApiProtocol = "chat_completions",
    base_path: str = "/v1",
    identity: Mapping[str, Json],
    **fields: object,
) -> Launched:
    """The open service of a server that is started on this machine when it is first needed.

    ``identity``: what of the server changes its answers, beside what every model has. ``fields``:
    further fields of the client (``api_key``, ``timeouts``, …). Raises ConfigError.
    """
    launch = filled_in(launch, launch.port or free_port(), model)
    log = None if place.folder is None else place.folder / f"service_{slug(name)}.log"
    supervisor = Supervisor(name, launch, log, tuple(place.needs.values()), place.say)
    url = f"http://{HOST}:{launch.port}{base_path}"
    client = http_client(
        name,
        place,
        url,
        protocol=protocol,
        transport=_launched_transport(supervisor),
        model=model,
        http_proxy="direct",
        **fields,
    )
    identity = {**model_identity(place.fields, protocol), **identity}
    return Launched(client, supervisor, protocol=protocol, identity=identity, url=url)


def filled_in(launch: Launch, port: int, model: str) -> Launch:
    """With what the placeholders of the command stand for, also as variables. Other braces stay:
    they may be JSON."""
    values = {"port": str(port), "host": HOST, "model": model}
    env = {"PORT": values["port"], "HOST": HOST, "MODEL": model}
    given = {name: filled(value, values) for name, value in launch.env.items()}
    argv = tuple(filled(word, values) for word in launch.argv)
    return msgspec.structs.replace(launch, argv=argv, port=port, env={**env, **given})


def _launched_transport(supervisor: Supervisor) -> OpenTransport:
    def made(url: str, protocol: str, **options: Any) -> LaunchedTransport:
        return LaunchedTransport(supervisor, HttpTransport(url, protocol, **options))

    return made
