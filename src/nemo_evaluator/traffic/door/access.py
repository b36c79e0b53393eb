"""Who may ask the proxy: under which Host, from which Origin, with what kind of body.

A browser sends requests to this machine for any web page that is open in it. Without a token, what
tells such a page from a client is what the page cannot choose: the Host it was loaded from (its own
name, where DNS rebinding points that name here), its Origin, and a JSON body, which a page of
another origin may only send after a preflight. Nothing is spent for a request that is refused.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from ipaddress import ip_address

from ...http.app import Request, Response
from ...http.urls import bracketed
from ..settings import DoorSettings
from .failures import NO_RETRY, Told, error_body
from .routes import Kind, Route

LOCAL_NAMES = ("127.0.0.1", "localhost", "[::1]")
JSON_BODIES = frozenset((Kind.CALL, Kind.MESSAGES, Kind.COUNT_TOKENS))
PREFLIGHT_METHOD = "access-control-request-method"
PREFLIGHT_HEADERS = "access-control-request-headers"
PREFLIGHT_SECONDS = "600"


class Access:
    """The rules of one listening address."""

    def __init__(
        self, host: str, port: int, settings: DoorSettings, *, what: str = "proxy"
    ) -> None:
        """``what`` listens there, in messages; only the proxy has settings to name."""
        self._what, self._settings = what, what == "proxy"
        self._origins = frozenset(origin.lower() for origin in settings.allowed_origins)
        self._address = f"http://{bracketed(host)}:{port}"
        self._hosts: frozenset[str] | None = None
        if is_loopback(host):
            names = {*LOCAL_NAMES, bracketed(host).lower()}
            own = {f"{name}:{port}" for name in names} | (names if port == 80 else set())
            self._hosts = frozenset(own | {name.lower() for name in settings.allowed_hosts})

    def refusal(self, request: Request, where: Route) -> Told | None:
        """Why a request is refused; None if it is allowed. Notes the CORS headers for an allowed
        page's browser."""
        headers = request.headers
        if self._hosts is not None and not self._is_ours(request):
            return _refused(421, self._wrong_host(request), "wrong_host")
        origin = headers.get("origin")
        if origin is not None:
            if origin.lower() not in self._origins:
                return _refused(403, self._foreign(origin), "origin_not_allowed")
            request.answer_headers = {"Access-Control-Allow-Origin": origin, "Vary": "Origin"}
        elif headers.get("sec-fetch-site") in ("cross-site", "same-site"):
            return _refused(403, self._foreign("another site"), "origin_not_allowed")
        if where.kind in JSON_BODIES and not _is_json(headers.get("content-type", "")):
            message = "the body must be JSON: send the header Content-Type: application/json"
            return _refused(415, message, "unsupported_media_type")
        return None

    def _is_ours(self, request: Request) -> bool:
        """Whether the request names this proxy as its host."""
        assert self._hosts is not None
        named = request.headers.get("host")
        if named is None:  # HTTP/1.0; no browser leaves the Host out
            return request.is_old
        return _known(named, self._hosts)

    def _wrong_host(self, request: Request) -> str:
        host = request.headers.get("host", "")
        message = f"this {self._what} is not reached as {host!r}; use {self._address}"
        return message + (", or list the name under proxy.allowed_hosts" if self._settings else "")

    def _foreign(self, origin: str) -> str:
        message = f"a web page ({origin}) may not use this {self._what}"
        more = "; if it shall, list its origin under proxy.allowed_origins"
        return message + (more if self._settings else "")


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach an address."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def is_preflight(request: Request) -> bool:
    """Whether the browser of an allowed page asks if the page may send a request."""
    return (
        request.method == "OPTIONS"
        and PREFLIGHT_METHOD in request.headers
        and bool(request.answer_headers)
    )


def preflight_answer(request: Request) -> Response:
    """The answer to the browser of an allowed page: the request is allowed, for some minutes."""
    allowed: Mapping[str, str] = {
        "Access-Control-Allow-Methods": request.headers[PREFLIGHT_METHOD],
        "Access-Control-Allow-Headers": request.headers.get(PREFLIGHT_HEADERS, "content-type"),
        "Access-Control-Allow-Private-Network": "true",
        "Access-Control-Max-Age": PREFLIGHT_SECONDS,
    }
    return Response(204, headers=allowed)


def _known(name: str, hosts: Collection[str]) -> bool:
    """``allowed_hosts`` without a port stand for any port."""
    name = name.strip().lower()
    return name in hosts or (not name.endswith("]") and name.rpartition(":")[0] in hosts)


def _is_json(content_type: str) -> bool:
    kind = content_type.partition(";")[0].strip().lower()
    return kind == "application/json" or (
        kind.startswith("application/") and kind.endswith("+json")
    )


def _refused(status: int, message: str, code: str) -> Told:
    return Told(status, error_body(status, message, code), dict(NO_RETRY))
