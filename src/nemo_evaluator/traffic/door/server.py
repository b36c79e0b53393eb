"""The proxy server: any client's requests through the pipeline of one service.

Loopback needs no token; anything wider asks for one. Web pages are kept out by ``access``. A client
that leaves cancels its call upstream; a stop drains what is in flight. No request, however broken,
takes the server down.
"""

from __future__ import annotations

import hmac
import logging
import time
from urllib.parse import quote

from ...config.scrubber import KNOWN, encoded
from ...errors import ConfigError
from ...http.app import Application, Request, Response, Stream
from ...http.server.contract import MEGABYTE, Limits
from ...http.server.server import Server
from ..client import ModelClient
from ..types import CallContext
from ..wire import encode
from .access import Access, bracketed, is_loopback, is_preflight, preflight_answer
from .calls import Calls
from .failures import NO_RETRY, Told, error_body
from .metrics import CONTENT_TYPE, Metrics
from .routes import SESSION_HEADER, Kind, Route, route

log = logging.getLogger("nemo_evaluator.traffic")
requests = logging.getLogger("nemo_evaluator.proxy")

MAX_BODY_MB = 64
DRAIN_SECONDS = 30.0
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
        self._drain = drain_seconds
        self.metrics = Metrics()
        self._calls = Calls(model)
        self._access = Access(host, port, model.proxy)
        self._contexts: dict[str, CallContext] = {}
        self._closed: set[str] = set()
        size = max_body_mb * MEGABYTE
        self.app = Application(self, body_bytes=size)
        """The proxy as an ASGI application, for another server than ours."""
        self._server = Server(self.app, Limits(body_bytes=size), failure=self.app.failure)
        self.url = ""
        """Where it listens, without a path."""

    async def start(self) -> str:
        """Listen, and return the URL. Raises ConfigError if the port cannot be had."""
        try:
            port = await self._server.start(self._host, self._port)
        except OSError as error:
            raise ConfigError(
                f"cannot listen: {error.strerror or error}",
                where=f"{self._host}:{self._port}",
                hint="choose another port; 0 takes a free one",
            ) from None
        self._access = Access(self._host, port, self._model.proxy)
        self.url = f"http://{bracketed(self._host)}:{port}"
        return self.url

    async def stop(self) -> None:
        """Accept nothing more, finish what is in flight, close. Safe to call twice."""
        await self._server.stop(self._drain)

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

    # -- as an App --------------------------------------------------------------------------------

    def admit(self, request: Request) -> Response | None:
        """Strangers are turned away before they send megabytes."""
        where = route(request.method, request.path)
        if (refused := self._access.refusal(request, where)) is not None:
            self._note(request, where, refused.status)
            return _error(refused, where)
        if self._token is None or where.kind is Kind.HEALTH or is_preflight(request):
            return None
        if self._is_known(request, self._token):
            return None
        message = "this proxy requires its token as API key"
        return _error(Told(401, error_body(401, message, "invalid_api_key"), dict(NO_RETRY)), where)

    async def answer(self, request: Request) -> Response | Stream:
        """Answer one request, whatever it is."""
        if is_preflight(request):
            return preflight_answer(request)
        where = route(request.method, request.path)
        if where.kind is Kind.HEALTH:
            return Response(200, encode({"status": "ok"}))
        if where.kind is Kind.METRICS:
            return Response(200, self.metrics.text(self._model).encode(), content_type=CONTENT_TYPE)
        started, status = time.perf_counter(), CLIENT_LEFT
        self.metrics.in_flight += 1
        try:
            response = await self._answer(request, where)
            status = response.status
            return response
        except ConnectionResetError:
            raise
        except Exception as error:
            status = 500
            log.exception("the proxy failed: %s", type(error).__name__)
            return _error(Told(500, error_body(500, f"the proxy failed: {error}")), where)
        finally:
            self.metrics.in_flight -= 1
            self._note(request, where, status, time.perf_counter() - started)

    def failure(self, request: Request | None, status: int, message: str) -> Response:
        """What could not be read, in the words of its protocol."""
        where = route(request.method, request.path) if request is not None else Route(Kind.OTHER)
        self._note(request, where, status)
        return _error(Told(status, error_body(status, message)), where)

    def _note(
        self, request: Request | None, where: Route, status: int, seconds: float = 0.0
    ) -> None:
        """Count and log one request. Its path is shown without session, token and query."""
        self.metrics.note(_kind(where), status, seconds)
        if requests.isEnabledFor(logging.INFO):
            method = request.method if request is not None else "?"
            requests.info("%s %s %d in %.0f ms", method, where.path, status, seconds * 1000)

    async def _answer(self, request: Request, where: Route) -> Response | Stream:
        context = self._context(request, where)
        if isinstance(context, Told):
            return _error(context, where)
        answer = await self._calls.answer(request, where, context, self._token is not None)
        return _error(answer, where) if isinstance(answer, Told) else answer

    def _context(self, request: Request, where: Route) -> CallContext | Told:
        name = where.session or request.headers.get(SESSION_HEADER, "")
        if not name:
            return CallContext()
        if name in self._closed:
            body = error_body(410, "the session is over", "session_closed")
            return Told(410, body, dict(NO_RETRY))
        return self._contexts.get(name) or CallContext(session=name)

    @staticmethod
    def _is_known(request: Request, token: str) -> bool:
        given = (
            request.headers.get("authorization", "").removeprefix("Bearer ").strip(),
            request.headers.get("x-api-key", ""),
            request.headers.get("api-key", ""),
            request.headers.get("x-nel-token", ""),
        )
        wanted = token.encode()
        return any(hmac.compare_digest(_bytes(text), wanted) for text in given)


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")


def _kind(where: Route) -> str:
    return where.protocol or where.kind.name.lower()


def _error(what: Told, where: Route) -> Response:
    """An error in the words of the protocol that was spoken."""
    body = what.body
    if where.kind in (Kind.MESSAGES, Kind.COUNT_TOKENS):
        from ..dialects import anthropic

        body = anthropic.error_body(what.status, what.message)
    headers = {name: KNOWN(text) for name, text in what.headers.items()}
    return Response(what.status, encoded(body, encode), headers)
