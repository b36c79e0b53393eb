"""Who may look: a browser that was given the token, under our own name, from our own pages.

Answers of models are hostile texts, and any web page that is open in the browser may send requests
here. So every request names us as its host, carries the token (as a cookie, after the first link),
and what changes something comes from a page of ours. No page of ours loads anything from elsewhere
or runs a script that is not a file of ours.
"""

from __future__ import annotations

import hmac
from http.cookies import CookieError, SimpleCookie
from urllib.parse import parse_qsl, urlencode

from starlette.responses import PlainTextResponse, RedirectResponse, Response

from ..http.asgi import AsgiApp, Message, Receive, Scope, Send
from ..http.urls import bracketed
from ..traffic.door.access import LOCAL_NAMES, is_loopback

HEADERS = {
    "content-security-policy": "default-src 'none'; script-src 'self'; style-src 'self'; "
    "img-src 'self' data:; connect-src 'self'; form-action 'self'; base-uri 'none'; "
    "frame-ancestors 'none'",
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cross-origin-resource-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
    "cache-control": "no-store",
}
CHANGES = ("POST", "PUT", "PATCH", "DELETE")


class Guard:
    """Around the application of a viewer."""

    def __init__(self, app: AsgiApp, token: str) -> None:
        self._app, self._token = app, token
        self._names: frozenset[str] | None = None
        self._cookie = "nel_view"

    def open_at(self, host: str, port: int) -> None:
        """Note the address that the viewer listens at. Beyond this machine any name may lead here:
        the token protects."""
        self._cookie = f"nel_view_{port}"  # cookies know no ports, and there may be two viewers
        if is_loopback(host):
            names = {*LOCAL_NAMES, bracketed(host).lower()}
            own = {f"{name}:{port}" for name in names} | (names if port == 80 else set())
            self._names = frozenset(own)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, or refuse it."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                present = {name for name, _ in message["headers"]}
                message["headers"] = [
                    *message["headers"],
                    *(
                        (name.encode(), value.encode())
                        for name, value in HEADERS.items()
                        if name.encode() not in present
                    ),
                ]
            await send(message)

        answer = self._answer(scope)
        await (answer or self._app)(scope, receive, guarded)

    def _answer(self, scope: Scope) -> Response | None:
        """What is answered instead; None where the application may answer."""
        headers = {name: value.decode("latin-1") for name, value in scope["headers"]}
        host = headers.get(b"host", "").lower()
        if self._names is not None and host not in self._names:
            return PlainTextResponse("this viewer is not reached under that name\n", 421)
        params = parse_qsl(scope["query_string"].decode("latin-1"), keep_blank_values=True)
        given = dict(params).get("token")
        if given is not None and self._is_token(given):
            return self._admitted(scope, params)
        if not self._is_token(self._cookie_token(headers.get(b"cookie", ""))):
            what = "open the address that nel view has printed: the token in it is missing\n"
            return PlainTextResponse(what, 403)
        if scope["method"] in CHANGES and not self._from_us(headers, host):
            return PlainTextResponse("only pages of this viewer may change something\n", 403)
        return None

    def _admitted(self, scope: Scope, told: list[tuple[str, str]]) -> Response:
        """The same page, without the token in its address, which is shown and kept."""
        rest = urlencode([(name, value) for name, value in told if name != "token"])
        path = "/" + scope["path"].lstrip("/")  # never the address of another host
        answer = RedirectResponse(path + (f"?{rest}" if rest else ""), 303)
        answer.set_cookie(self._cookie, self._token, httponly=True, samesite="lax", path="/")
        return answer

    def _is_token(self, given: str) -> bool:
        return hmac.compare_digest(given.encode("utf-8", "replace"), self._token.encode())

    def _cookie_token(self, cookies: str) -> str:
        try:
            found = SimpleCookie(cookies).get(self._cookie)
        except CookieError:
            return ""
        return found.value if found is not None else ""

    @staticmethod
    def _from_us(headers: dict[bytes, str], host: str) -> bool:
        origin = headers.get(b"origin", "").lower()
        return origin.partition("://")[2] == host and headers.get(
            b"sec-fetch-site", "same-origin"
        ) in ("same-origin", "none")
