"""What a client sends its requests over: the seam for HTTP libraries and test doubles."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import AbstractAsyncContextManager
from typing import Protocol

from .types import ModelRequest, ModelResponse


class RawResponse(Protocol):
    """A response that is passed on without being interpreted."""

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

    def pass_through(
        self,
        method: str,
        path_and_query: str,
        headers: Mapping[str, str],
        data: bytes,
        *,
        below_api: bool = True,
    ) -> AbstractAsyncContextManager[RawResponse]:
        """Send a request without interpreting it. The path is relative to the service's API
        (``.../v1``), or to what that stands on. Raises TransportError; CannotPassThrough where
        there is no HTTP endpoint."""

    async def check(self, model: str) -> str | None:
        """A warning or None. Raises ConfigError if the endpoint cannot be reached."""

    async def close(self) -> None:
        """Close all connections. Safe to call twice."""
