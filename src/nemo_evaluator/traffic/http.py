"""The HTTP transport: one pooled session per service, bytes in and a parsed body out.

It knows sockets, timeouts and server-sent events; it does not retry, count or judge a status.
Whatever goes wrong below the status line is a ``TransportError``, whose text never holds a URL's
path, query or credentials.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import time
import urllib.request
from collections.abc import AsyncGenerator, AsyncIterator, Iterator, Mapping
from typing import Any
from urllib.parse import urlsplit

import aiohttp
from multidict import CIMultiDict
from yarl import URL

from ..errors import ConfigError
from ..types import Failure
from .dialects import DIALECTS
from .dialects.contract import as_dict
from .sse import SseParser
from .types import ModelRequest, ModelResponse
from .urls import PATHS, api_root, base_url, endpoint_url, models_url, peer_name, split_credentials
from .wire import decode, encode

CHECK_SECONDS = 10.0
SHOWN_CHARS = 80
EVENT_STREAM = "text/event-stream"


class TransportError(Exception):
    """A request that got no usable response."""

    def __init__(self, kind: Failure, message: str) -> None:
        super().__init__(message)
        self.kind = kind


class HttpTransport:
    """Sends requests of one service. Raises ConfigError for a URL, key or header that cannot be."""

    def __init__(
        self,
        url: str,
        protocol: str,
        *,
        api_key: str | None = None,
        headers: Mapping[str, str] | None = None,
        max_connections: int = 64,
        connect_timeout: float | None = 10.0,
        first_byte_timeout: float | None = None,
        total_timeout: float | None = None,
    ) -> None:
        url, credentials = split_credentials(endpoint_url(url, protocol))
        self.url = url
        self.peer = peer_name(url)
        self._has_key = bool(api_key or credentials)
        self._targets = {name: URL(endpoint_url(url, name)) for name in PATHS}
        self._targets[protocol] = URL(url)
        self._proxy = _http_proxy(url)
        self.headers = _headers(api_key, credentials, headers or {}, self.peer)
        """Sent with every request; a request's own headers of the same name win."""
        self._max_connections = max_connections
        self._connect, self._first_byte, self._total = (
            connect_timeout,
            first_byte_timeout,
            total_timeout,
        )
        self._session: aiohttp.ClientSession | None = None

    async def __call__(self, request: ModelRequest) -> ModelResponse:
        """One try. Raises TransportError."""
        first_byte = asyncio.timeout(self._first_byte)
        with self._translated(first_byte):
            return await self._send(request, first_byte)

    @contextlib.asynccontextmanager
    async def passed_through(
        self,
        method: str,
        path_and_query: str,
        headers: Mapping[str, str],
        data: bytes,
        *,
        below_api: bool = True,
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        """A request nobody here understands, and its response as it is. The path is relative to
        the service's API (``.../v1``), or to what that stands on. Raises TransportError."""
        base = base_url(self.url)
        target = URL((base if below_api else api_root(base)) + path_and_query, encoded=True)
        sent = self.headers.copy()
        sent.pop("Content-Type", None)
        sent.update(headers)
        with self._translated(None):
            async with self._client().request(
                method, target, headers=sent, data=data or None, allow_redirects=False
            ) as response:
                yield response

    @contextlib.contextmanager
    def _translated(self, first_byte: asyncio.Timeout | None) -> Iterator[None]:
        """Whatever goes wrong below the status line becomes a TransportError."""
        try:
            yield
        except TimeoutError as error:
            message = self._timeout_text(error, first_byte)
            raise TransportError(Failure.TIMEOUT, message) from None
        except aiohttp.ClientPayloadError as error:
            message = f"the response broke off: {_one_line(error)}"
            raise TransportError(Failure.CONNECTION, message) from None
        except aiohttp.ClientResponseError as error:  # its text holds the URL, its message not
            message = f"the response is no HTTP: {_one_line(error.message)}"
            raise TransportError(Failure.CONNECTION, message) from None
        except (aiohttp.ClientError, OSError) as error:
            raise TransportError(Failure.CONNECTION, _connection_text(error)) from None

    async def check(self, model: str) -> str | None:
        """Pre-flight: is anybody there, and does the key open the door?

        Returns a warning or None. Raises ConfigError for an unreachable host or a refused key; any
        other answer decides nothing.
        """
        try:
            async with self._client().get(
                models_url(self.url),
                headers=self.headers,
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
            given = "the api_key was refused" if self._has_key else "it wants an api_key"
            raise ConfigError(
                f"{given} (HTTP {status})",
                where=self.peer,
                hint="set api_key: ${VARIABLE} of the service, --api-key-env or NEMO_API_KEY",
            )
        return _unknown_model_warning(data, model) if status == 200 else None

    async def close(self) -> None:
        """Close all connections."""
        if self._session is not None:
            session, self._session = self._session, None
            await session.close()

    def _client(self) -> aiohttp.ClientSession:
        if self._session is None:
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(limit=self._max_connections),
                cookie_jar=aiohttp.DummyCookieJar(),
                timeout=aiohttp.ClientTimeout(total=self._total, sock_connect=self._connect),
                read_bufsize=2**18,
                proxy=self._proxy,
            )
        return self._session

    async def _send(self, request: ModelRequest, first_byte: asyncio.Timeout) -> ModelResponse:
        body, headers = request.body, self.headers
        if request.stream:
            body = _streamed(body, request.protocol)
        if request.headers:
            headers = headers.copy()
            headers.update(request.headers)
        started = time.perf_counter()
        sent = self._client().post(
            self._targets[request.protocol],
            data=encode(body),
            headers=headers,
            allow_redirects=False,
        )
        if self._first_byte is None:
            response = await sent
        else:
            async with first_byte:
                response = await sent
        streamed = request.stream and response.status == 200 and _is_event_stream(response)
        if streamed and request.live:
            return await self._begin_stream(response)
        async with response:
            if streamed:
                return await self._read_stream(response, request.protocol, started)
            data = await response.read()
        return ModelResponse(
            status=response.status,
            body=_parse(data, response.status),
            headers=response.headers,
            latency_ms=(time.perf_counter() - started) * 1000,
        )

    async def _begin_stream(self, response: aiohttp.ClientResponse) -> ModelResponse:
        """A stream from its first event on: until then it can still fail and be tried again."""
        parser, begun = SseParser(), bytearray()
        events: list[dict[str, Any]] = []
        try:
            async for chunk in response.content.iter_any():
                begun += chunk
                events = parser.feed(chunk)
                if events or parser.done:
                    break
        except ValueError:
            response.close()
            message = "the first event of the stream is not JSON"
            raise TransportError(Failure.INVALID_RESPONSE, message) from None
        except BaseException:
            response.close()
            raise
        if not events:
            response.close()
            raise TransportError(Failure.CONNECTION, "the stream ended before the answer did")
        if events[0].get("error") and not events[0].get("choices"):
            response.close()
            return ModelResponse(200, events[0], response.headers)
        chunks = self._chunks(bytes(begun), response)
        return ModelResponse(200, {}, response.headers, chunks=chunks)

    async def _chunks(
        self, begun: bytes, response: aiohttp.ClientResponse
    ) -> AsyncGenerator[bytes]:
        """The stream, from what has come already; closing it closes the connection."""
        with self._translated(None):
            try:
                yield begun
                async for chunk in response.content.iter_any():
                    yield chunk
                response.release()
            finally:
                response.close()

    async def _read_stream(
        self, response: aiohttp.ClientResponse, protocol: str, started: float
    ) -> ModelResponse:
        accumulator, parser = DIALECTS[protocol].accumulator(), SseParser()
        first_token = None
        try:
            async for chunk in response.content.iter_any():
                for event in parser.feed(chunk):
                    if event.get("error") and not event.get("choices"):
                        return ModelResponse(200, event, response.headers)
                    if accumulator.add(event) and first_token is None:
                        first_token = (time.perf_counter() - started) * 1000
            for event in parser.close():
                accumulator.add(event)
        except ValueError:
            message = "the stream broke off, or an event of it is not JSON"
            raise TransportError(Failure.INVALID_RESPONSE, message) from None
        body = accumulator.body(parser.done)
        if body is None:
            raise TransportError(Failure.CONNECTION, "the stream ended before the answer did")
        return ModelResponse(
            status=200,
            body=body,
            headers=response.headers,
            latency_ms=(time.perf_counter() - started) * 1000,
            ttft_ms=first_token,
        )

    def _timeout_text(self, error: TimeoutError, first_byte: asyncio.Timeout | None) -> str:
        if isinstance(error, aiohttp.ConnectionTimeoutError) and self._connect is not None:
            return f"timeout: no connection within {self._connect:g} s (timeouts.connect)"
        if first_byte is not None and self._first_byte is not None and first_byte.expired():
            return f"timeout: no answer within {self._first_byte:g} s (timeouts.first_byte)"
        if self._total is not None:
            return f"timeout: not finished within {self._total:g} s (timeouts.total)"
        return "timeout of the connection"


def _headers(
    api_key: str | None,
    credentials: tuple[str, str] | None,
    extra: Mapping[str, str],
    peer: str,
) -> CIMultiDict[str]:
    headers = CIMultiDict({"Content-Type": "application/json", "Accept-Encoding": "identity"})
    if api_key and (key := api_key.strip()):
        headers["Authorization"] = f"Bearer {key}"
    elif credentials:
        pair = base64.b64encode(":".join(credentials).encode()).decode()
        headers["Authorization"] = f"Basic {pair}"
    headers.update(extra)
    for name, value in headers.items():
        if any(ord(char) < 32 or ord(char) == 127 for char in name + value):
            what = "the api_key" if name == "Authorization" else f"the header {name!r}"
            raise ConfigError(f"{what} has a line break or control character in it", where=peer)
    return headers


def _streamed(body: dict[str, Any], protocol: str) -> dict[str, Any]:
    """The body of a request for a stream that tells its usage, whatever else it asks for."""
    asked = DIALECTS[protocol].stream_options or {}
    merged = {name: {**as_dict(body.get(name)), **wanted} for name, wanted in asked.items()}
    return {**body, "stream": True, **merged}


def _http_proxy(url: str) -> str | None:
    """The proxy that the environment (``HTTPS_PROXY``, ``NO_PROXY``, ...) names for a URL."""
    parts = urlsplit(url)
    if not parts.hostname or urllib.request.proxy_bypass(parts.hostname):
        return None
    return urllib.request.getproxies().get(parts.scheme)


def _is_event_stream(response: aiohttp.ClientResponse) -> bool:
    return response.headers.get("Content-Type", EVENT_STREAM).startswith(EVENT_STREAM)


def _parse(data: bytes, status: int) -> dict[str, object]:
    try:
        body = decode(data)
    except ValueError:
        body = None
    if isinstance(body, dict):
        return body
    text = data[:2000].decode(errors="replace")
    if 200 <= status < 300:
        message = f"the response is not a JSON object: {text[:SHOWN_CHARS]!r}"
        raise TransportError(Failure.INVALID_RESPONSE, message)
    return {"error": {"message": text}}


def _connection_text(error: BaseException) -> str:
    if isinstance(error, aiohttp.InvalidURL):
        return "the URL is not valid"
    text = _one_line(error) or type(error).__name__
    return text.replace(" ssl:default", "").replace(" [None]", "")


def _one_line(text: object) -> str:
    return " ".join(str(text).split())


def _unknown_model_warning(data: bytes, model: str) -> str | None:
    try:
        listed = [str(entry["id"]) for entry in decode(data)["data"]]
    except (ValueError, KeyError, TypeError):
        return None
    if not listed or model in listed:
        return None
    return f"the endpoint does not list the model {model!r}; it lists {', '.join(listed[:5])}"
