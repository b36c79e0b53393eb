"""The proxy server: any client's requests through the pipeline of one service.

Loopback needs no token; anything wider asks for one: the door's own, or that of an open session. So
does a listener inside a sandbox (`listen_inside`), which serves sessions only. Web pages are kept
out by ``access``. A client that leaves cancels its call upstream; a stop drains what is in flight.
No request, however broken, takes the server down.
"""

from __future__ import annotations

import asyncio
import hmac
import logging
import time

from ...config.scrubber import KNOWN, encoded
from ...errors import ConfigError
from ...http.app import Application, Request, Response, Stream
from ...http.listener import Listener
from ...http.server.contract import MEGABYTE, Limits
from ...http.server.server import Server
from ...http.urls import bracketed
from ..client import ModelClient
from ..types import CallContext
from ..wire import encode
from .access import Access, is_loopback, is_preflight, preflight_answer
from .calls import Calls
from .failures import NO_RETRY, Told, error_body
from .metrics import CONTENT_TYPE, Metrics
from .routes import SESSION_HEADER, Kind, Route, route
from .sessions import Endpoint, Sessions, keys_in, name_of, path_of

log = logging.getLogger("nemo_evaluator.traffic")
requests = logging.getLogger("nemo_evaluator.proxy")

MAX_BODY_MB = 64
DRAIN_SECONDS = 30.0
CLIENT_LEFT = 499
NOBODY = CallContext()
"""A caller that names no session."""


class ProxyServer:
    """Serves one ``ModelClient``. ``await start()``, then ``await stop()``."""

    def __init__(
        self,
        model: ModelClient,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        token: str | None = None,
        sessions_only: bool = False,
        max_body_mb: int = MAX_BODY_MB,
        drain_seconds: float = DRAIN_SECONDS,
    ) -> None:
        if token is None and not sessions_only and not is_loopback(host):
            raise ConfigError(
                "listening beyond this machine needs a token",
                where=f"{host}:{port}",
                hint="listen on 127.0.0.1, or set a token",
            )
        self._model, self._host, self._port, self._token = model, host, port, token
        self._sessions_only = sessions_only
        """Serve only requests that carry the token of an open session."""
        self._drain = drain_seconds
        self.metrics = Metrics()
        self._sessions = Sessions()
        self._calls = Calls(model, self._sessions)
        self._access = Access(host, port, model.settings.door)
        self._body_bytes = max_body_mb * MEGABYTE
        self.app = Application(self, body_bytes=self._body_bytes)
        """The proxy as an ASGI application, for another server than ours."""
        self._server = self._serving(self.app)
        self._inside: dict[str, Server] = {}
        """Servers of the listeners inside sandboxes, by session."""
        self._stopping: set[asyncio.Task[None]] = set()
        self.url = ""
        """Where it listens, without a path."""

    async def start(self) -> str:
        """Listen, and return the URL. Raises ConfigError where it cannot listen there."""
        port = await self._server.start(self._host, self._port)
        self._access = Access(self._host, port, self._model.settings.door)
        self.url = f"http://{bracketed(self._host)}:{port}"
        return self.url

    async def stop(self) -> None:
        """Accept nothing more, finish what is in flight, close. Safe to call twice."""
        for server in (*self._inside.values(), self._server):
            await server.stop(self._drain)
        await asyncio.gather(*self._stopping)

    def open_session(self, context: CallContext) -> str:
        """The base URL (with ``/v1``) at which a foreign agent reaches the model for a session."""
        return self.endpoint(context).openai_url

    def endpoint(self, context: CallContext) -> Endpoint:
        """The same in full, with the session's token. Opens the session."""
        return self._endpoint(self.url + path_of(context), context)

    async def listen_inside(self, listener: Listener, context: CallContext) -> Endpoint:
        """The same for an agent in a sandbox, which reaches nothing but this listener. It is closed
        with the session."""
        host, port = listener.host, listener.port
        inside = _Inside(self, Access(host, port, self._model.settings.door))
        server = self._serving(Application(inside, body_bytes=self._body_bytes))
        await server.serve(listener.socket)
        before = self._inside.pop(name_of(context), None)
        self._inside[name_of(context)] = server
        if before is not None:
            await before.stop(0.0)
        return self._endpoint(f"http://{bracketed(host)}:{port}", context)

    def _serving(self, app: Application) -> Server:
        return Server(app, Limits(body_bytes=self._body_bytes), failure=app.failure)

    def _endpoint(self, url: str, context: CallContext) -> Endpoint:
        token = self._sessions.open(context)
        return Endpoint(
            openai_url=f"{url}/v1", anthropic_url=url, token=token, model=self._model.name
        )

    def close_session(self, context: CallContext) -> None:
        """Refuse further calls of a session that was opened here."""
        self._sessions.close(context)
        if (server := self._inside.pop(name_of(context), None)) is not None:
            task = asyncio.create_task(server.stop(0.0))
            self._stopping.add(task)
            task.add_done_callback(self._stopping.discard)

    # -- as an App --------------------------------------------------------------------------------

    def admit(self, request: Request) -> Response | None:
        """Strangers are turned away before they send megabytes."""
        return self.refusal(request, self._access, self._sessions_only)

    def refusal(self, request: Request, access: Access, sessions_only: bool) -> Response | None:
        """Why a request is turned away that came by some listener; None if it is not."""
        where = route(request.method, request.path)
        if (refused := access.refusal(request, where)) is not None:
            self._note(request, where, refused.status)
            return _error(refused, where)
        if not (self._token or sessions_only) or where.kind is Kind.HEALTH or is_preflight(request):
            return None
        if self._sessions.by_token(request.headers) is not None:
            return None
        if self._token is not None and not sessions_only and self._is_known(request, self._token):
            return None
        message = "this proxy requires its token as API key"
        if sessions_only:
            message = "the token of an open session is required as API key"
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
        context = self._sessions.by_token(request.headers)
        guarded = self._token is not None or context is not None
        found = context or self._session_context(request, where)
        if isinstance(found, Told):
            return _error(found, where)
        answer = await self._calls.answer(request, where, found, guarded)
        return _error(answer, where) if isinstance(answer, Told) else answer

    def _session_context(self, request: Request, where: Route) -> CallContext | Told:
        """The session that a request names in its path or header."""
        name = where.session or request.headers.get(SESSION_HEADER, "")
        if not name:
            return NOBODY
        if self._sessions.is_closed(name):
            body = error_body(410, "the session is over", "session_closed")
            return Told(410, body, dict(NO_RETRY))
        return self._sessions.context(name)

    @staticmethod
    def _is_known(request: Request, token: str) -> bool:
        wanted = token.encode()
        return any(hmac.compare_digest(_bytes(key), wanted) for key in keys_in(request.headers))


class _Inside:
    """The app of a listener inside a sandbox: the same door, for sessions only."""

    def __init__(self, door: ProxyServer, access: Access) -> None:
        self._door, self._access = door, access
        self.answer, self.failure = door.answer, door.failure

    def admit(self, request: Request) -> Response | None:
        """See ``App.admit``."""
        return self._door.refusal(request, self._access, sessions_only=True)


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
