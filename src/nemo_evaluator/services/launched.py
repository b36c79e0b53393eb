"""A service whose server is started here: the open service, and the transport that sees to it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

from ..errors import ConfigError, EndpointDown
from ..traffic.client import ModelClient
from ..traffic.errors import TransportError
from ..traffic.http import HttpTransport
from ..traffic.transport import RawRequest, RawResponse, Transport
from ..traffic.types import ModelRequest, ModelResponse
from ..types import Json
from .contract import Health
from .endpoint import Endpoint
from .supervisor import Supervisor


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


def launched_transport(supervisor: Supervisor) -> Any:
    """Makes the transports of a server's endpoint (``OpenTransport``)."""

    def made(url: str, protocol: str, **options: Any) -> LaunchedTransport:
        return LaunchedTransport(supervisor, HttpTransport(url, protocol, **options))

    return made
