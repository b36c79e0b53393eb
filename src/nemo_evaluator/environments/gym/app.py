"""A served benchmark over HTTP: the evaluator's own protocol, and that of NeMo Gym's resources.

An ASGI application, which runs under any ASGI server. Under ours a client that leaves ends what
was done for it. Whatever goes wrong is a JSON object with ``error``.
"""

from __future__ import annotations

import hmac
import json
import secrets
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Mapping
from contextlib import aclosing
from hashlib import sha256
from operator import itemgetter
from typing import Any

import msgspec
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

from ...errors import NelError
from ...http.app import EVENT_STREAM, JSON
from ...http.app import Request as Head
from ...http.app import Response as Whole
from ...http.asgi import CANCEL, AsgiApp, Message, Receive, Scope, Send
from ...http.server.contract import MEGABYTE, shown
from ...traffic.door.access import Access
from ...traffic.door.routes import Kind
from ...traffic.door.routes import Route as Called
from ...traffic.door.sessions import keys_in
from ...traffic.settings import DoorSettings
from ...traffic.sse import encode_event
from ...types import Json
from .description import description
from .served import RefusedError, Served, aggregated, refusal

COOKIE = "nel_session"
NDJSON = "application/x-ndjson"
MAX_BODY_MB = 64
MOST_AT_ONCE = 10_000
"""Problems, or answers, of one request."""
Answered = Callable[[Any], Awaitable[dict[str, Json]]]


class GymApp:
    """The routes of one served benchmark."""

    def __init__(self, served: Served, *, protocol: str = "evaluator", max_body_mb: int) -> None:
        self._served, self._protocol = served, protocol
        self._body_bytes = max_body_mb * MEGABYTE
        self._key = secrets.token_bytes(32)
        self.routes = [
            Route("/", self._health),
            Route("/health", self._health),
            Route("/dataset_size", self._size),
            Route("/openapi.json", self._description),
            Route("/seed_session", self._seed, methods=["POST"]),
            Route("/verify", self._verify, methods=["POST"]),
            Route("/run", self._run, methods=["POST"]),
            Route("/aggregate_metrics", self._aggregate, methods=["POST"]),
            Route("/seed_batch", self._seed_batch, methods=["POST"]),
            Route("/verify_batch", self._verify_batch, methods=["POST"]),
        ]

    async def _health(self, request: Request) -> Response:
        served = self._served
        health: dict[str, Json] = {
            "status": "ok",
            "benchmark": served.name,
            "dataset_size": served.size,
            "protocol": self._protocol,
            "answers_hidden": served.hidden,
            "identity": dict(served.identity()),
        }
        return _json(health)

    async def _size(self, request: Request) -> Response:
        return _json({"size": self._served.size})

    async def _description(self, request: Request) -> Response:
        return _json(description(self._served.name, runs=self._served.solves))

    async def _seed(self, request: Request) -> Response:
        """With ``idx`` the problem; without, as NeMo Gym asks, a session of the row it sends."""
        body = await self._object(request)
        if "idx" in body:
            seed: dict[str, Json] = await self._served.seed(body["idx"])
            answer, idx = _json(seed), body["idx"]
        else:
            answer, idx = _json({}), self._served.named(body)
        answer.set_cookie(COOKIE, self._signed(idx), httponly=True, samesite="strict")
        return answer

    async def _verify(self, request: Request) -> Response:
        body = await self._object(request)
        return _json(await self._served.verify(body, self._session(request)))

    async def _run(self, request: Request) -> Response:
        return _json(await self._served.run(await self._object(request)))

    async def _aggregate(self, request: Request) -> Response:
        responses = (await self._object(request)).get("verify_responses")
        if not isinstance(responses, list) or not all(isinstance(r, dict) for r in responses):
            raise RefusedError(400, "verify_responses must be a list of objects")
        return _json(aggregated(responses))

    async def _seed_batch(self, request: Request) -> Response:
        body = await self._object(request)
        wanted = body.get("idx")
        if wanted is None and "start" in body:
            first, end = body["start"], body.get("end", self._served.size)
            if not (isinstance(first, int) and isinstance(end, int) and first >= 0):
                raise RefusedError(400, "start and end must be whole numbers")
            wanted = list(range(first, min(end, self._served.size, first + MOST_AT_ONCE)))
        return await self._answer_several(request, wanted, "idx", self._served.seed, "problems")

    async def _verify_batch(self, request: Request) -> Response:
        async def verified(item: Any) -> dict[str, Json]:
            if not isinstance(item, dict):
                raise RefusedError(400, "an item must be an object")
            return await self._served.verify(item)

        items = (await self._object(request)).get("items")
        return await self._answer_several(request, items, "items", verified, "results")

    async def _answer_several(
        self, request: Request, wanted: Any, field: str, answer: Answered, name: str
    ) -> Response:
        """All answers in one object; or, where the client accepts that, each as it comes."""
        if not isinstance(wanted, list) or len(wanted) > MOST_AT_ONCE:
            raise RefusedError(400, f"{field} must be a list, of at most {MOST_AT_ONCE:,}")
        accepted = request.headers.get("accept", "")
        kind = next((kind for kind in (NDJSON, EVENT_STREAM) if kind in accepted), None)
        answers = self._served.each(wanted, answer)
        if kind is not None:
            return StreamingResponse(_lines(answers, kind), media_type=kind)
        async with aclosing(answers):
            found = [one async for one in answers]
        ordered: list[Any] = sorted(found, key=itemgetter("index"))
        return _json({name: ordered})

    # -- what every request is read with ----------------------------------------------------------

    async def _object(self, request: Request) -> dict[str, Any]:
        """The body. Raises RefusedError for anything but a JSON object, and for one too large."""
        pieces, size = [], 0
        async for piece in request.stream():
            size += len(piece)
            if size > self._body_bytes:
                raise RefusedError(413, f"the request is larger than {shown(self._body_bytes)}")
            pieces.append(piece)
        try:
            body = json.loads(b"".join(pieces) or b"{}")
        except (ValueError, RecursionError):
            raise RefusedError(400, "the body is not JSON") from None
        if not isinstance(body, dict):
            raise RefusedError(400, "the body is not a JSON object")
        return body

    # -- sessions ---------------------------------------------------------------------------------

    def _signed(self, idx: Json) -> str:
        """A session: what it is about, signed, so that nothing of it needs to be kept."""
        text = f"{'' if idx is None else idx}.{secrets.token_hex(8)}"
        return f"{text}.{self._signature(text)}"

    def _session(self, request: Request) -> int | None:
        """The problem of the client's session. Raises RefusedError for one that is not ours."""
        text, _, signature = request.cookies.get(COOKIE, "").rpartition(".")
        if not text:
            return None
        if not hmac.compare_digest(signature, self._signature(text)):
            raise RefusedError(400, "the session is none of this server: call /seed_session")
        idx = text.partition(".")[0]
        return int(idx) if idx.isdecimal() else None

    def _signature(self, text: str) -> str:
        return hmac.new(self._key, text.encode(), sha256).hexdigest()


def gym_app(
    served: Served, *, protocol: str = "evaluator", max_body_mb: int = MAX_BODY_MB
) -> Starlette:
    """The application. Who may ask is for `Guarded` to say."""
    app = GymApp(served, protocol=protocol, max_body_mb=max_body_mb)
    return Starlette(
        routes=app.routes,
        exception_handlers={HTTPException: _not_found, NelError: _failed, Exception: _failed},
    )


class Guarded:
    """The application behind its rules: no web page, no foreign name, and the token where one is
    set. A client that leaves ends the work for it, where the server can tell."""

    def __init__(self, app: AsgiApp, token: str | None) -> None:
        self._app, self._token = app, token
        self._access: Access | None = None

    def open_at(self, host: str, port: int) -> None:
        """Answer from now on: where it listens is known."""
        self._access = Access(host, port, DoorSettings(), what="server")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """The entry of ASGI."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        if CANCEL in (scope.get("extensions") or ()):
            await send({"type": CANCEL})
        refused = self._refusal(Head(scope, send))
        if refused is None:
            await self._app(scope, receive, send)
        else:
            refused.headers["connection"] = "close"
            await refused(scope, receive, send)

    @staticmethod
    def failure(scope: Scope | None, status: int, message: str) -> tuple[Message, Message]:
        """What a server of ours answers by itself, in these words (``server.Failure``)."""
        return Whole(status, msgspec.json.encode(_error_body(message))).messages()

    def _refusal(self, head: Head) -> Response | None:
        """Why a request is turned away, by its head alone; None if it is not."""
        if self._access is None:
            return _error(503, "this server is starting")
        kind = Kind.CALL if head.method == "POST" else Kind.OTHER
        if (refusal := self._access.refusal(head, Called(kind, path=head.path))) is not None:
            return _error(refusal.status, refusal.message)
        if self._token is None or head.path == "/health" or self._is_known(head):
            return None
        return _error(401, "this server requires its token: Authorization: Bearer TOKEN")

    def _is_known(self, head: Head) -> bool:
        wanted = (self._token or "").encode()
        return any(
            hmac.compare_digest(key.encode("utf-8", "surrogateescape"), wanted)
            for key in keys_in(head.headers)
        )


async def _lines(answers: AsyncGenerator[dict[str, Any]], kind: str) -> AsyncIterator[bytes]:
    async with aclosing(answers):
        async for answer in answers:
            if kind == NDJSON:
                yield msgspec.json.encode(answer) + b"\n"
            else:
                yield encode_event(answer)


async def _not_found(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    what = f"there is no {request.method} {request.url.path}"
    return _error(error.status_code, what if error.status_code in (404, 405) else error.detail)


async def _failed(request: Request, error: Exception) -> Response:
    return _error(*refusal(error))


def _error(status: int, message: str) -> Response:
    return _json(_error_body(message), status)


def _error_body(message: str) -> dict[str, Json]:
    """In the words of this server, and in those of FastAPI, which NeMo Gym's servers use."""
    return {"error": {"message": message}, "detail": message}


def _json(body: Mapping[str, Json], status: int = 200) -> Response:
    return Response(msgspec.json.encode(body), status, media_type=JSON)
