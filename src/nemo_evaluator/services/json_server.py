"""Calls of a server that speaks JSON and is no model: a gym, an agent.

Invariants: whatever goes wrong is an InfraError that names the server, never an answer; a call is
sent again only where it cannot have been done (no connection), or where the caller says that doing
it twice costs nothing.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Mapping
from http.cookies import CookieError, SimpleCookie
from typing import Any, NamedTuple

import msgspec

from ..config.scrubber import KNOWN
from ..config.secrecy import hidden_urls
from ..errors import InfraError, PermanentError
from ..http.client.clock import Clock
from ..http.client.errors import CannotConnect, Late, Limit, NetError
from ..http.client.origin import Origin
from ..http.client.pool import Pool
from ..http.client.response import Response
from ..http.headers import Headers
from ..http.urls import basic_authorization, peer_name, split_credentials
from ..types import Failure, Json

CONNECT_SECONDS = 10.0
MOST_BYTES = 256 << 20
"""Of a whole response; a server that sends more is broken."""
SHOWN = 500
"""Characters of an error's body that are shown."""
PAUSES = (0.2, 1.0, 3.0)
"""Seconds before a call is sent again."""
BUSY = (429, 502, 503, 504)
"""Statuses of a server that did not do what was asked, and may later."""
REFUSED = (401, 403)
REDIRECTS = (301, 302, 303, 307, 308)


class Reply(NamedTuple):
    """A whole answer."""

    status: int
    headers: Headers
    body: bytes


class JsonServer:
    """One server. Connections are kept, and opened when they are needed."""

    def __init__(
        self, url: str, *, token: str | None = None, limit: int = 64, proxy: str | None = None
    ) -> None:
        """``limit``: most connections; ``proxy``: ``direct`` for none. Raises ConfigError for a URL
        that cannot be asked."""
        self.url, credentials = split_credentials(url.rstrip("/"))
        self.peer = peer_name(self.url)
        self._origin = Origin.of(self.url, proxy)
        self.limit, self.proxy = limit, proxy
        self.places = asyncio.Semaphore(limit)
        """For long calls: whoever holds one has a connection, and its clock may run."""
        self._pool: Pool | None = None
        self._headers = {"Accept": "application/json", "Content-Type": "application/json"}
        if token is not None:
            KNOWN.learn(token)
            self._headers["Authorization"] = f"Bearer {token}"
        elif credentials is not None:
            self._headers["Authorization"] = basic_authorization(*credentials)

    def session(self) -> Session:
        """Calls that share cookies; one for each rollout, so that none sees another's state."""
        return Session(self)

    async def close(self) -> None:
        """Close all connections. Safe to call twice."""
        if self._pool is not None:
            await self._pool.close()

    @contextlib.asynccontextmanager
    async def sent(
        self, method: str, path: str, body: bytes, headers: Mapping[str, str], seconds: float
    ) -> AsyncIterator[Response]:
        """A request, and its response while it arrives. Raises NetError."""
        if self._pool is None:
            self._pool = Pool(self._origin, self.limit, CONNECT_SECONDS)
        head = self._origin.head(method, self.url + path, Headers.of(self._headers, headers))
        clock = Clock(asyncio.get_running_loop(), Limit.TOTAL, seconds)
        try:
            response = await self._pool.request(
                head(len(body)), body, whole=False, clocks=[clock], bodiless=method == "HEAD"
            )
            with contextlib.closing(response):
                yield response
        finally:
            clock.close()

    def failed(self, path: str, error: NetError, seconds: float) -> InfraError:
        """What a lost connection, or one that could not be made, is to a rollout."""
        if isinstance(error, Late):
            what = f"{path} was not answered within {seconds:g} s"
            return InfraError(f"{self.peer}: {what}", kind=Failure.TIMEOUT, peer=self.peer)
        return InfraError(f"{self.peer}: {path}: {error}", kind=Failure.CONNECTION, peer=self.peer)

    def refused(self, path: str, reply: Reply) -> InfraError:
        """What an error of the server is to a rollout. A redirect is one: what is sent to another
        address is not what was configured."""
        status, detail = reply.status, KNOWN(_error_text(reply.body))
        if status in REDIRECTS and (to := reply.headers.get("location")):
            detail = f"it redirects to {KNOWN(hidden_urls(to))[:SHOWN]}; use that address"
        message = f"{self.peer}: {path} was answered with {status}{f': {detail}' if detail else ''}"
        if status in REFUSED:
            return PermanentError(message, kind=Failure.AUTH, peer=self.peer, status=status)
        kind = Failure.NOT_FOUND if status == 404 else Failure.SERVER_ERROR
        return InfraError(message, kind=kind, peer=self.peer, status=status)

    def unreadable(self, path: str, why: str) -> InfraError:
        """What an answer in another form is to a rollout."""
        message = f"{self.peer}: the answer of {path} {why}"
        return InfraError(message, kind=Failure.INVALID_RESPONSE, peer=self.peer)


class Session:
    """Calls of one server that share cookies."""

    def __init__(self, server: JsonServer) -> None:
        self.server = server
        self.cookies: dict[str, str] = {}

    async def get(self, path: str, *, seconds: float = 30.0) -> Json:
        """The answer of a GET, which is sent again after transient failures. Raises InfraError."""
        return await self.call("GET", path, None, seconds=seconds, again=True)

    async def post(
        self, path: str, body: Json, *, seconds: float = 60.0, again: bool = False
    ) -> Json:
        """The answer of a POST. ``again``: it may be sent again though it may have been done.
        Raises InfraError."""
        return await self.call("POST", path, body, seconds=seconds, again=again)

    async def call(
        self, method: str, path: str, body: Json, *, seconds: float, again: bool = False
    ) -> Json:
        """The answer, which must be JSON with a status of 2xx. Raises InfraError."""
        reply = await self.asked(method, path, body, seconds=seconds, again=again)
        if not 200 <= reply.status < 300:
            raise self.server.refused(path, reply)
        try:
            decoded: Json = json.loads(reply.body)
        except (ValueError, RecursionError):
            raise self.server.unreadable(path, "is not JSON") from None
        return decoded

    async def asked(
        self, method: str, path: str, body: Json, *, seconds: float, again: bool = False
    ) -> Reply:
        """The answer, whatever its status is. Raises InfraError where there is none."""
        data = b"" if body is None else msgspec.json.encode(body)
        for pause in (*PAUSES, None):
            try:
                reply = await self._request_once(method, path, data, seconds)
            except NetError as error:
                may = again or isinstance(error, CannotConnect)
                if pause is None or not may or isinstance(error, Late):
                    raise self.server.failed(path, error, seconds) from None
            else:
                if pause is None or not again or reply.status not in BUSY:
                    return reply
            await asyncio.sleep(pause)
        raise AssertionError("unreachable")

    @contextlib.asynccontextmanager
    async def streamed(
        self, path: str, body: Json, *, seconds: float, accept: str
    ) -> AsyncIterator[AsyncIterator[bytes]]:
        """The body of an answer to a POST, while it comes. Raises InfraError."""
        data, headers = msgspec.json.encode(body), {**self._cookie(), "Accept": accept}
        try:
            async with self.server.sent("POST", path, data, headers, seconds) as response:
                self._keep(response)
                if not 200 <= response.status < 300:
                    reply = Reply(response.status, response.headers, await response.read())
                    raise self.server.refused(path, reply)
                yield response.pieces()
        except NetError as error:
            raise self.server.failed(path, error, seconds) from None

    async def _request_once(self, method: str, path: str, data: bytes, seconds: float) -> Reply:
        async with self.server.sent(method, path, data, self._cookie(), seconds) as response:
            self._keep(response)
            pieces, size = [], 0
            async for piece in response.pieces():
                pieces.append(piece)
                size += len(piece)
                if size > MOST_BYTES:
                    raise self.server.unreadable(path, f"is larger than {MOST_BYTES >> 20} MB")
            return Reply(response.status, response.headers, b"".join(pieces))

    def _cookie(self) -> dict[str, str]:
        if not self.cookies:
            return {}
        return {"Cookie": "; ".join(f"{name}={value}" for name, value in self.cookies.items())}

    def _keep(self, response: Response) -> None:
        for text in response.headers.every("Set-Cookie"):
            with contextlib.suppress(CookieError):
                for name, morsel in SimpleCookie(text).items():
                    self.cookies[name] = morsel.coded_value


def _error_text(body: bytes) -> str:
    """What an error's body says, in one line."""
    text = body[: 4 * SHOWN].decode(errors="replace")
    with contextlib.suppress(ValueError, RecursionError):
        found: Any = json.loads(body)
        while isinstance(found, dict):
            inner = next((found[k] for k in ("error", "detail", "message") if k in found), None)
            if inner is None:
                break
            found = inner
        text = found if isinstance(found, str) else json.dumps(found)
    text = " ".join(text.split())
    return text if len(text) <= SHOWN else f"{text[:SHOWN]}…"
