"""The HTTP transport: one pool of connections per service, bytes in and a parsed body out.

It knows bodies, keys, timeouts and server-sent events; sockets and HTTP itself are in
``http.client``. It does not retry, count or judge a status. Whatever goes wrong below the status
line is a ``TransportError``, whose text never holds a URL's path, query or credentials.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from typing import Any
from urllib.parse import urlsplit

from ..config.endpoints import TimeoutsConfig
from ..errors import ConfigError, PermanentError
from ..http.client.clock import Clock
from ..http.client.errors import CannotConnect, Late, Limit, NetError
from ..http.client.origin import Origin
from ..http.client.pool import Pool
from ..http.client.response import Response
from ..http.client.tls import Tls
from ..http.headers import Headers, RequestHead, problem
from ..http.urls import basic_authorization, peer_name, split_credentials, with_query
from ..types import Failure
from ..version import __version__
from .answers import first_bytes, first_event, is_events, parse_body, read_events
from .dialects import DIALECTS
from .dialects.contract import as_dict
from .errors import TransportError
from .keys import ExpiringKey, NoKey
from .transport import RawRequest, RawResponse
from .types import ModelRequest, ModelResponse
from .urls import (
    PATHS,
    api_root,
    base_url,
    endpoint_url,
    models_url,
)
from .wire import decode, encode

CHECK_SECONDS = 10.0
REFUSED = (401, 403)
EMPTY = b"{}"
USER_AGENT = f"nemo-evaluator/{__version__}"


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
        timeouts: TimeoutsConfig | None = None,
        key: ExpiringKey | None = None,
        tls: Tls | None = None,
        proxy: str | None = None,
    ) -> None:
        url, credentials = split_credentials(endpoint_url(url, protocol))
        self.url = url
        self.peer = peer_name(url)
        self._has_key = bool(api_key or credentials or key)
        self._expiring, self._key = key, ""
        self._origin = Origin.of(url, proxy)
        self._tls = tls.context() if tls is not None else None
        self._targets = {name: endpoint_url(url, name) for name in PATHS} | {protocol: url}
        self._use(_headers(api_key, credentials, headers or {}, self.peer))
        expiring = ("authorization",) if key is not None else ()
        self.own_headers = frozenset((*(name.lower() for name in self.headers), *expiring))
        """Lower-case names of the headers that the service sets itself."""
        self._max_connections = max_connections
        timeouts = timeouts or TimeoutsConfig()
        self._seconds = {limit: getattr(timeouts, limit.name.lower()) for limit in Limit}
        self._pool: Pool | None = None
        self._clocks: list[Clock] = []
        self._idle: Clock | None = None

    async def __call__(self, request: ModelRequest) -> ModelResponse:
        """One try; with a new key where the old one has expired. Raises TransportError, and
        PermanentError for a header that cannot be sent."""
        if self._expiring is None:
            return await self._send_once(request)
        await self._authorize()
        used, response = self._key, await self._send_once(request)
        if response.status == 401 and await self._is_renewed(used):
            await self._authorize()
            response = await self._send_once(request)
        return response

    def widen(self, connections: int) -> None:
        """Have at most this many connections, where that is more than before."""
        self._max_connections = max(self._max_connections, connections)
        if self._pool is not None:
            self._pool.widen(connections)

    async def _send_once(self, request: ModelRequest) -> ModelResponse:
        started = time.perf_counter()
        stream, body = request.stream, request.body
        data = encode(streamed_body(body, request.protocol) if stream else body)
        try:
            head = self._heads[request.protocol](len(data), request.headers)
        except ValueError as error:
            raise PermanentError(str(error), kind=Failure.BAD_REQUEST, peer=self.peer) from None
        pool = self._pool or self._opened()
        try:
            response = await pool.request(head, data, whole=not stream, clocks=self._clocks)
            begun = b""
            if stream and 200 <= response.status < 300:
                begun = await first_bytes(response)
                if is_events(begun, response.headers.get("Content-Type", "")):
                    if request.live:
                        return await self._live(response, begun)
                    return await read_events(response, begun, request.protocol, started)
            data = begun + await response.read()
        except NetError as error:
            raise self._translated(error) from None
        return ModelResponse(
            status=response.status,
            body=parse_body(data, response.status, request.protocol),
            headers=response.headers,
            latency_ms=(time.perf_counter() - started) * 1000,
        )

    @contextlib.asynccontextmanager
    async def pass_through(self, request: RawRequest) -> AsyncIterator[RawResponse]:
        """A request as it is, and its response as it is. The query of the service's URL is added to
        its own. Raises TransportError."""
        await self._authorize()
        base = base_url(self.url)
        own_query = urlsplit(self.url).query  # an ``api-version`` or a signature
        url = with_query(
            (base if request.below_api else api_root(base)) + request.target, own_query
        )
        try:
            sized = self._head(request.method, url, self.headers)
            head = sized(len(request.body), request.headers)
        except ValueError as error:
            raise TransportError(Failure.BAD_REQUEST, str(error)) from None
        pool = self._pool or self._opened()
        clocks = [clock for clock in self._clocks if clock.limit is Limit.TOTAL]
        try:
            response = await pool.request(
                head, request.body, whole=False, bodiless=request.method == "HEAD", clocks=clocks
            )
            response.endless = True
            with contextlib.closing(response):
                yield response
        except NetError as error:
            raise self._translated(error) from None

    async def check(self, model: str) -> str | None:
        """Pre-flight: can the endpoint be reached, and is the key accepted?

        Returns a warning or None. Raises ConfigError for an unreachable host or a refused key; any
        other answer decides nothing. A key may answer questions and yet not list models, so one
        that is refused the list is shown with an empty question, which no endpoint answers.
        """
        try:
            await self._authorize()
        except TransportError as error:
            raise ConfigError(str(error), where=self.peer) from None
        listing = self._head("GET", models_url(self.url), self.headers)(0)
        question = self._head("POST", self.url, self._json)(len(EMPTY))
        try:
            async with asyncio.timeout(CHECK_SECONDS):
                status, data = await self._small_request(listing)
                refused = (
                    status in REFUSED and (await self._small_request(question, EMPTY))[0] in REFUSED
                )
        except CannotConnect as error:
            raise ConfigError(
                f"unreachable: {error}",
                where=self.peer,
                hint="check the service's url, and that the server is running",
            ) from None
        except (NetError, TimeoutError):
            return None
        if refused:
            given = "the api_key was refused" if self._has_key else "it requires an api_key"
            raise ConfigError(
                f"{given} (HTTP {status})",
                where=self.peer,
                hint="set api_key: ${VARIABLE} of the service, --api-key-env or NEMO_API_KEY",
            )
        if status in REFUSED:
            return f"the key may not list the models (HTTP {status}); that alone is not a problem"
        return _unknown_model_warning(data, model) if status == 200 else None

    async def _small_request(self, head: bytes, body: bytes = b"") -> tuple[int, bytes]:
        """Status and body of a small request. Raises NetError."""
        pool = self._pool or self._opened()
        response = await pool.request(head, body)
        return response.status, await response.read()

    async def close(self) -> None:
        """Close all connections."""
        for clock in (*self._clocks, self._idle):
            if clock is not None:
                clock.close()
        if self._pool is not None:
            pool, self._pool = self._pool, None
            await pool.close()

    def _opened(self) -> Pool:
        loop = asyncio.get_running_loop()
        self._clocks = [
            Clock(loop, limit, seconds)
            for limit, seconds in self._seconds.items()
            if seconds is not None and limit in (Limit.FIRST_BYTE, Limit.TOTAL)
        ]
        if (seconds := self._seconds[Limit.IDLE]) is not None:
            self._idle = Clock(loop, Limit.IDLE, seconds)
        connect = self._seconds[Limit.CONNECT]
        self._pool = Pool(self._origin, self._max_connections, connect, self._tls, idle=self._idle)
        return self._pool

    async def _authorize(self) -> None:
        """Use the key that is valid now for all further requests. Raises TransportError."""
        if self._expiring is None:
            return
        try:
            key = await self._expiring.current()
        except NoKey as error:
            raise TransportError(Failure.AUTH, str(error)) from None
        if key != self._key:
            self._key = key
            self._use(Headers.of(self.headers, {"Authorization": f"Bearer {key}"}))

    async def _is_renewed(self, refused: str) -> bool:
        assert self._expiring is not None
        try:
            return await self._expiring.is_renewed(refused)
        except NoKey:
            return False

    def _use(self, headers: Headers) -> None:
        self.headers = headers
        """Sent with every request; a request's own headers of the same name win."""
        self._json = Headers.of({"Content-Type": "application/json"}, headers)
        self._heads = {
            name: self._head("POST", to, self._json) for name, to in self._targets.items()
        }

    def _head(self, method: str, url: str, headers: Mapping[str, str]) -> RequestHead:
        return self._origin.head(method, url, Headers.of({"User-Agent": USER_AGENT}, headers))

    async def _live(self, response: Response, begun: bytes) -> ModelResponse:
        """A live stream, once its first event has come: until then it can be tried again."""
        try:
            begun, error = await first_event(response, begun)
        except BaseException:
            response.close()
            raise
        if error is not None:
            response.close()
            return ModelResponse(200, error, response.headers)
        return ModelResponse(200, {}, response.headers, chunks=self._chunks(begun, response))

    async def _chunks(self, begun: bytes, response: Response) -> AsyncGenerator[bytes]:
        """The stream, beginning with ``begun``; closing it closes the connection."""
        try:
            yield begun
            while chunk := await response.read_some():
                yield chunk
        except NetError as error:
            raise self._translated(error) from None
        finally:
            response.close()

    def _translated(self, error: NetError) -> TransportError:
        if not isinstance(error, Late):
            unreachable = isinstance(error, CannotConnect)
            return TransportError(Failure.CONNECTION, str(error), unreachable=unreachable)
        what, name = TIMEOUTS[error.limit]
        seconds = self._seconds[error.limit]
        message = f"timeout: {what} within {seconds:g} s (timeouts.{name})"
        unreachable = error.limit is Limit.CONNECT
        return TransportError(Failure.TIMEOUT, message, unreachable=unreachable)


TIMEOUTS = {
    Limit.CONNECT: ("no connection", "connect"),
    Limit.FIRST_BYTE: ("no answer", "first_byte"),
    Limit.TOTAL: ("not finished", "total"),
    Limit.IDLE: ("not one more byte of the answer", "idle"),
}


def _headers(
    api_key: str | None,
    credentials: tuple[str, str] | None,
    extra: Mapping[str, str],
    peer: str,
) -> Headers:
    own = {"Accept-Encoding": "identity"}
    if api_key and (key := api_key.strip()):
        own["Authorization"] = f"Bearer {key}"
    elif credentials:
        own["Authorization"] = basic_authorization(*credentials)
    headers = Headers.of(own, extra)
    for name, value in headers.items():
        if why := problem(name, value):
            what = "the api_key" if name == "Authorization" else f"the header {name!r}"
            raise ConfigError(f"{what} {why}", where=peer)
    return headers


def streamed_body(body: dict[str, Any], protocol: str) -> dict[str, Any]:
    """The body of a request for a stream that includes its usage."""
    asked = DIALECTS[protocol].stream_options or {}
    merged = {
        name: {**as_dict(body.get(name)), **as_dict(wanted)} for name, wanted in asked.items()
    }
    return {**body, "stream": True, **merged}


def _unknown_model_warning(data: bytes, model: str) -> str | None:
    try:
        listed = [str(entry["id"]) for entry in decode(data)["data"]]
    except (ValueError, KeyError, TypeError):
        return None
    if not listed or not model or model in listed:  # a proxy's clients may name the model
        return None
    return f"the endpoint does not list the model {model!r}; it lists {', '.join(listed[:5])}"
