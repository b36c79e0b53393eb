"""What a client sends its requests over: the seam for HTTP libraries and test doubles."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, aclosing
from typing import Protocol

import msgspec

from .types import ModelRequest, ModelResponse


class RawRequest(msgspec.Struct, frozen=True):
    """A request that is passed on without being interpreted."""

    method: str
    target: str
    """Path and query."""
    headers: Mapping[str, str] = msgspec.field(default_factory=dict)
    body: bytes = b""
    below_api: bool = True
    """The path is relative to the service's API (``.../v1``), else to what that stands on."""


class RawResponse(Protocol):
    """The response to one."""

    status: int

    @property
    def headers(self) -> Mapping[str, str]:
        """The header fields; names have no case."""

    def pieces(self) -> AsyncIterator[bytes]:
        """The body as it comes, decompressed. Raises TransportError."""


class Transport(Protocol):
    """Sends the requests of one service; never retries, counts or judges a status."""

    own_headers: frozenset[str]
    """Lower-case names of the headers that the service sets itself; a client's are not sent on."""

    async def __call__(self, request: ModelRequest) -> ModelResponse:
        """One try: a response of any status. Raises TransportError."""

    def pass_through(self, request: RawRequest) -> AbstractAsyncContextManager[RawResponse]:
        """Send a request as it is. Raises TransportError; CannotPassThrough where there is no HTTP
        endpoint."""

    async def check(self, model: str) -> str | None:
        """A warning or None. Raises ConfigError if the endpoint cannot be reached."""

    async def close(self) -> None:
        """Close all connections. Safe to call twice."""


async def until_done(
    chunks: AsyncGenerator[bytes], done: Callable[[], None]
) -> AsyncGenerator[bytes]:
    """A stream, and ``done`` at its end, however it ends."""
    try:
        async with aclosing(chunks):
            async for chunk in chunks:
                yield chunk
    finally:
        done()


def widen(transport: Transport, connections: int) -> None:
    """Let a transport have this many connections, if it counts them at all (has ``widen``)."""
    own = getattr(transport, "widen", None)
    if own is not None:
        own(connections)
