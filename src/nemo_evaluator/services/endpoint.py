"""An open service that is asked over a client; and the client of any HTTP endpoint."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from types import TracebackType

from ..config.endpoints import ApiProtocol, ApiService, ModelFields
from ..http.urls import split_credentials
from ..traffic.client import ModelClient
from ..traffic.http import HttpTransport
from ..traffic.interceptors.opening import identity as interceptor_identity
from ..traffic.open import OpenTransport, open_http_model
from ..types import Json
from .contract import Health, Place


class Endpoint:
    """An `OpenService` that needs no start; also its context manager."""

    def __init__(
        self,
        client: ModelClient,
        *,
        protocol: str,
        identity: Mapping[str, Json],
        endpoints: Sequence[str] = (),
        simulated: bool = False,
    ) -> None:
        self.client, self.protocol, self.identity = client, protocol, identity
        self.endpoints, self.simulated = tuple(endpoints), simulated

    async def ready(self) -> str | None:
        """See ``OpenService``."""
        return await self.client.check()

    def health(self) -> Health:
        """Nothing is known before it is asked."""
        return Health(True)

    async def logs(self) -> AsyncIterator[str]:
        """No log: the endpoint was not started here."""
        no_lines: tuple[str, ...] = ()
        for line in no_lines:
            yield line

    async def close(self) -> None:
        """Write what is left of the traffic, close all connections. Safe to call twice."""
        await self.client.close()

    async def __aenter__(self) -> Endpoint:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.close()


def model_identity(fields: ModelFields, protocol: str) -> dict[str, Json]:
    """What changes the answers of any model."""
    return {
        "protocol": protocol,
        "generation": fields.generation.model_dump(exclude_none=True),
        "extra_body": dict(fields.proxy.extra_body) if fields.proxy else {},
        "interceptors": interceptor_identity(fields.proxy),
    }


def http_client(
    name: str,
    place: Place,
    url: str,
    *,
    protocol: ApiProtocol = "chat_completions",
    transport: OpenTransport = HttpTransport,
    **fields: object,
) -> ModelClient:
    """The client of a server at a URL, as ``type: api`` opens it. ``fields``: further fields of
    that record (``model``, ``api_key``, ``timeouts``, …). Raises ConfigError."""
    given = {**fields, "generation": place.fields.generation, "proxy": place.fields.proxy}
    service = ApiService.model_validate({"url": url, "protocol": protocol, **given})
    return open_http_model(name, service, max_concurrent=place.max_concurrent, transport=transport)


def without_credentials(url: str) -> str:
    """An address as it may be shown."""
    return split_credentials(url)[0]
