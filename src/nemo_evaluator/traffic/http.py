"""The HTTP transport: one pooled session per service, bytes in and a parsed body out.

It knows sockets, timeouts and server-sent events; it does not retry, count or judge a status.
Whatever goes wrong below the status line is a ``TransportError``.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import msgspec

from ..errors import ConfigError
from ..types import Failure
from .dialects import DIALECTS
from .types import ModelRequest, ModelResponse
from .urls import base_url, endpoint_url, peer_name

CHECK_SECONDS = 10.0
STREAM_OPTIONS = ("chat_completions", "completions")

_decode = msgspec.json.Decoder().decode
_encode = msgspec.json.Encoder(enc_hook=str).encode


class TransportError(Exception):
    """A request that got no usable response."""

    def __init__(self, kind: Failure, message: str) -> None:
        super().__init__(message)
        self.kind = kind


class HttpTransport:
    """Sends requests of one service."""

    def __init__(
        self,
        url: str,
        protocol: str,
        *,
        api_key: str | None = None,
        headers: dict[str, str] | None = None,
        max_connections: int = 64,
        connect_timeout: float | None = 10.0,
        first_byte_timeout: float | None = None,
        total_timeout: float | None = None,
    ) -> None:
        self.url = endpoint_url(url, protocol)
        self.peer = peer_name(self.url)
        self._dialect = DIALECTS[protocol]
        self._api_key = api_key
        self._max_connections = max_connections
        self._first_byte = first_byte_timeout
        self._timeout = aiohttp.ClientTimeout(
            total=total_timeout, sock_connect=connect_timeout, connect=None
        )
        self._headers = {"Content-Type": "application/json", **(headers or {})}
        if api_key:
            self._headers.setdefault("Authorization", f"Bearer {api_key}")
        self._session: aiohttp.ClientSession | None = None

    async def __call__(self, request: ModelRequest) -> ModelResponse:
        """One try. Raises TransportError."""
        started = time.perf_counter()
        try:
            async with asyncio.timeout(self._first_byte) as first_byte:
                response = await self._open(request)
                first_byte.reschedule(None)
            async with response:
                if request.stream and response.status == 200:
                    return await self._read_stream(response, started)
                data = await response.read()
        except TimeoutError as error:
            raise TransportError(Failure.TIMEOUT, f"timeout: {error or 'no answer'}") from None
        except (aiohttp.ClientPayloadError, aiohttp.ClientResponseError) as error:
            message = f"the response broke off: {error}"
            raise TransportError(Failure.CONNECTION, message) from None
        except (aiohttp.ClientError, OSError) as error:
            raise TransportError(Failure.CONNECTION, _connection_text(error)) from None
        return ModelResponse(
            status=response.status,
            body=_parse(data, response.status),
            headers=response.headers,
            latency_ms=(time.perf_counter() - started) * 1000,
        )

    async def check(self, model: str) -> str | None:
        """Pre-flight: is anybody there, and does the key open the door?

        Returns a warning or None. Raises ConfigError for an unreachable host or a refused key; any
        other answer decides nothing.
        """
        try:
            async with self._client().get(
                f"{base_url(self.url)}/models",
                headers=self._headers,
                timeout=aiohttp.ClientTimeout(total=CHECK_SECONDS),
                allow_redirects=False,
            ) as response:
                status, data = response.status, await response.read()
        except (aiohttp.ClientConnectorError, aiohttp.InvalidURL) as error:
            raise ConfigError(
                f"unreachable: {_connection_text(error)}",
                where=self.peer,
                hint="check the service's url, and that the server is running",
            ) from None
        except (TimeoutError, aiohttp.ClientError, OSError):
            return None
        if status in (401, 403):
            given = "the api_key was refused" if self._api_key else "it wants an api_key"
            raise ConfigError(
                f"{given} (HTTP {status})",
                where=self.peer,
                hint="set api_key: ${VARIABLE}, --api-key-env or NEMO_API_KEY",
            )
        return _unknown_model_warning(data, model) if status == 200 else None

    async def close(self) -> None:
        """Close all connections."""
        if self._session is not None:
            await self._session.close()
            self._session = None

    def _client(self) -> aiohttp.ClientSession:
        if self._session is None:
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(limit=self._max_connections),
                cookie_jar=aiohttp.DummyCookieJar(),
                timeout=self._timeout,
                read_bufsize=2**18,
            )
        return self._session

    async def _open(self, request: ModelRequest) -> aiohttp.ClientResponse:
        body = request.body
        if request.stream:
            body = {**body, "stream": True}
            if request.protocol in STREAM_OPTIONS:
                body["stream_options"] = {"include_usage": True}
        headers = {**self._headers, **request.headers} if request.headers else self._headers
        return await self._client().post(self.url, data=_encode(body), headers=headers)

    async def _read_stream(self, response: aiohttp.ClientResponse, started: float) -> ModelResponse:
        accumulator = self._dialect.accumulator()
        first_token = None
        async for event in sse_events(response.content.iter_any()):
            if "error" in event and "choices" not in event and event["error"]:
                return ModelResponse(status=502, body=event, headers=response.headers)
            if accumulator.add(event) and first_token is None:
                first_token = (time.perf_counter() - started) * 1000
        body = accumulator.body()
        if body is None:
            raise TransportError(Failure.CONNECTION, "the stream ended before the answer did")
        return ModelResponse(
            status=200,
            body=body,
            headers=response.headers,
            latency_ms=(time.perf_counter() - started) * 1000,
            ttft_ms=first_token,
        )


async def sse_events(chunks: AsyncIterator[bytes]) -> AsyncIterator[dict[str, Any]]:
    """The JSON events of a server-sent event stream, however it is cut into chunks.

    Raises TransportError for an event that is not JSON.
    """
    buffer = b""
    data: list[bytes] = []
    async for chunk in chunks:
        *lines, buffer = (buffer + chunk).split(b"\n")
        for line in lines:
            line = line.rstrip(b"\r")
            if line.startswith(b"data:"):
                data.append(line[5:].strip())
            elif not line and data:
                if (event := _event(b"\n".join(data))) is not None:
                    yield event
                data = []
    if buffer.startswith(b"data:"):
        data.append(buffer[5:].strip())
    if data and (event := _event(b"\n".join(data))) is not None:
        yield event


def _event(data: bytes) -> dict[str, Any] | None:
    if data == b"[DONE]":
        return None
    try:
        event = _decode(data)
    except msgspec.DecodeError:
        raise TransportError(Failure.INVALID_RESPONSE, "an event is not JSON") from None
    return event if isinstance(event, dict) else None


def _parse(data: bytes, status: int) -> dict[str, Any]:
    try:
        body = _decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError):
        body = None
    if isinstance(body, dict):
        return body
    text = data[:300].decode(errors="replace")
    if 200 <= status < 300:
        raise TransportError(Failure.INVALID_RESPONSE, f"the response is not JSON: {text[:80]!r}")
    return {"error": {"message": text}}


def _connection_text(error: BaseException) -> str:
    text = str(error) or type(error).__name__
    return text.replace("ssl:default ", "").replace(" [None]", "")


def _unknown_model_warning(data: bytes, model: str) -> str | None:
    try:
        listed = [entry["id"] for entry in _decode(data)["data"]]
    except (msgspec.DecodeError, KeyError, TypeError):
        return None
    if not listed or model in listed:
        return None
    return f"the endpoint does not list the model {model!r}; it lists {', '.join(listed[:5])}"
