"""The proxy server: any client's requests through the pipeline of one service.

Loopback needs no token; anything wider asks for one. A client that leaves cancels its call
upstream; a stop drains what is in flight. No request, however broken, takes the server down.
"""

from __future__ import annotations

import asyncio
import hmac
import logging
import time
from collections.abc import Mapping
from ipaddress import ip_address
from typing import Any
from urllib.parse import quote

from aiohttp import web
from aiohttp.http import RawRequestMessage
from aiohttp.streams import StreamReader

from ...errors import ConfigError
from ..client import ModelClient
from ..types import CallContext
from ..wire import encode
from .calls import Calls
from .failures import NO_RETRY, Told, error_body
from .metrics import CONTENT_TYPE, Metrics
from .routes import SESSION_HEADER, Kind, Route, route

log = logging.getLogger("nemo_evaluator.traffic")

MAX_BODY_MB = 64
HEADER_SECONDS = 30.0
BODY_SECONDS = 120.0
DRAIN_SECONDS = 30.0
JSON = "application/json"
CLIENT_LEFT = 499


class ProxyServer:
    """Serves one ``ModelClient``. ``await start()``, then ``await stop()``."""

    def __init__(
        self,
        model: ModelClient,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        token: str | None = None,
        max_body_mb: int = MAX_BODY_MB,
        drain_seconds: float = DRAIN_SECONDS,
    ) -> None:
        if token is None and not is_loopback(host):
            raise ConfigError(
                "listening beyond this machine needs a token",
                where=f"{host}:{port}",
                hint="listen on 127.0.0.1, or set a token",
            )
        self._model, self._host, self._port, self._token = model, host, port, token
        self._max_body, self._drain = max_body_mb << 20, drain_seconds
        self.metrics = Metrics()
        self._calls = Calls(model)
        self._contexts: dict[str, CallContext] = {}
        self._closed: set[str] = set()
        self._greeted: set[object] = set()
        self._runner: web.ServerRunner | None = None
        self.url = ""
        """Where it listens, without a path."""

    async def start(self) -> str:
        """Listen, and return the URL. Raises ConfigError if the port cannot be had."""
        server = _Server(self)
        runner = web.ServerRunner(server, shutdown_timeout=self._drain, access_log=None)
        await runner.setup()
        try:
            await web.TCPSite(runner, self._host, self._port).start()
        except OSError as error:
            await runner.cleanup()
            raise ConfigError(
                f"cannot listen: {error.strerror or error}",
                where=f"{self._host}:{self._port}",
                hint="choose another port; 0 takes a free one",
            ) from None
        self._runner = runner
        shown = f"[{self._host}]" if ":" in self._host else self._host
        self.url = f"http://{shown}:{runner.addresses[0][1]}"
        return self.url

    async def stop(self) -> None:
        """Accept nothing more, finish what is in flight, close. Safe to call twice."""
        if self._runner is not None:
            runner, self._runner = self._runner, None
            await runner.cleanup()

    def open_session(self, context: CallContext) -> str:
        """The base URL (with ``/v1``) at which a foreign agent reaches the model for a session."""
        name = f"{context.session}/{context.attempt}"
        self._contexts[name] = context
        return f"{self.url}/s/{quote(name, safe='')}/v1"

    def close_session(self, context: CallContext) -> None:
        """Refuse further calls of a session that was opened here."""
        name = f"{context.session}/{context.attempt}"
        if self._contexts.pop(name, None) is not None:
            self._closed.add(name)

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        """Answer one request, whatever it is."""
        self._greeted.add(request.protocol)
        where = route(request.method, request.rel_url.raw_path)
        if where.kind is Kind.HEALTH:
            return _json(200, {"status": "ok"})
        if (refusal := self._refusal(request)) is not None:
            return _error(refusal, where)
        if where.kind is Kind.METRICS:
            text = self.metrics.text(self._model)
            return web.Response(body=text.encode(), headers={"Content-Type": CONTENT_TYPE})
        started, status = time.perf_counter(), CLIENT_LEFT
        self.metrics.in_flight += 1
        try:
            response = await self._answer(request, where)
            status = response.status
            return response
        except (ConnectionResetError, asyncio.IncompleteReadError):
            raise asyncio.CancelledError from None
        except Exception as error:
            status = 500
            log.exception("the proxy failed: %s", type(error).__name__)
            return _error(Told(500, error_body(500, f"the proxy failed: {error}")), where)
        finally:
            self.metrics.in_flight -= 1
            kind = where.protocol or where.kind.name.lower()
            self.metrics.note(kind, status, time.perf_counter() - started)

    async def _answer(self, request: web.BaseRequest, where: Route) -> web.StreamResponse:
        context = self._context(request, where)
        if isinstance(context, Told):
            return _error(context, where)
        try:
            async with asyncio.timeout(BODY_SECONDS):
                data = await request.read()
        except TimeoutError:
            message = f"the request did not arrive within {BODY_SECONDS:.0f} s"
            return _closing(_error(Told(408, error_body(408, message)), where))
        except web.HTTPRequestEntityTooLarge:
            message = f"the request is larger than {self._max_body >> 20} MB"
            return _closing(_error(Told(413, error_body(413, message)), where))
        answer = await self._calls.answer(request, where, data, context, bool(self._token))
        return _error(answer, where) if isinstance(answer, Told) else answer

    def _context(self, request: web.BaseRequest, where: Route) -> CallContext | Told:
        name = where.session or request.headers.get(SESSION_HEADER, "")
        if not name:
            return CallContext()
        if name in self._closed:
            body = error_body(410, "the session is over", "session_closed")
            return Told(410, body, dict(NO_RETRY))
        return self._contexts.get(name) or CallContext(session=name)

    def _refusal(self, request: web.BaseRequest) -> Told | None:
        if self._token is None:
            return None
        bearer = request.headers.get("Authorization", "")
        given = (
            bearer.removeprefix("Bearer ").strip(),
            request.headers.get("x-api-key", ""),
            request.headers.get("x-nel-token", ""),
        )
        if any(hmac.compare_digest(text.encode(), self._token.encode()) for text in given):
            return None
        message = "this proxy wants its token as API key"
        return Told(401, error_body(401, message, "invalid_api_key"), dict(NO_RETRY))

    def make_request(
        self,
        message: RawRequestMessage,
        payload: StreamReader,
        protocol: Any,
        writer: Any,
        task: asyncio.Task[None],
    ) -> web.BaseRequest:
        """A request with our limit on its body."""
        loop = asyncio.get_running_loop()
        return web.BaseRequest(
            message, payload, protocol, writer, task, loop, client_max_size=self._max_body
        )

    def connected(self, handler: Any) -> None:
        """A connection that never says what it wants is closed after a while."""

        def check() -> None:
            if handler not in self._greeted:
                handler.force_close()

        asyncio.get_running_loop().call_later(HEADER_SECONDS, check)

    def disconnected(self, handler: Any) -> None:
        """Forget a connection."""
        self._greeted.discard(handler)


class _Server(web.Server):
    """aiohttp's low-level server, telling the proxy of its connections."""

    def __init__(self, proxy: ProxyServer) -> None:
        super().__init__(
            proxy.handle, request_factory=proxy.make_request, handler_cancellation=True
        )
        self._proxy = proxy

    def connection_made(self, handler: Any, transport: asyncio.Transport) -> None:
        super().connection_made(handler, transport)
        self._proxy.connected(handler)

    def connection_lost(self, handler: Any, exc: BaseException | None = None) -> None:
        super().connection_lost(handler, exc)
        self._proxy.disconnected(handler)


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach an address."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _error(what: Told, where: Route) -> web.Response:
    """An error in the words of the protocol that was spoken."""
    if where.kind in (Kind.MESSAGES, Kind.COUNT_TOKENS):
        from ..dialects import anthropic

        return _json(what.status, anthropic.error_body(what.status, what.message), what.headers)
    return _json(what.status, what.body, what.headers)


def _json(
    status: int, body: Mapping[str, Any], headers: Mapping[str, str] | None = None
) -> web.Response:
    return web.Response(body=encode(body), status=status, headers=headers, content_type=JSON)


def _closing(response: web.Response) -> web.Response:
    """What is left of the request will not be read."""
    response.force_close()
    return response
