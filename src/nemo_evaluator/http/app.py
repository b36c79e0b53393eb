"""What our own ASGI applications are written with: whole requests in, responses or streams out.

An `App` answers requests; `Application` makes an ASGI application of it, which runs under any ASGI
server. Under ours a client that leaves cancels the answer; under others the answer is not told, so
it is watched for. No I/O of its own.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Protocol, TypeVar

from .asgi import ABORT, CANCEL, Message, Receive, Scope, Send
from .headers import encoded_fields, fields_by_name
from .inflate import TooLargeError, inflated
from .server.contract import MEGABYTE, shown

JSON = "application/json"
EVENT_STREAM = "text/event-stream"
NOTHING: Mapping[str, str] = {}
AnyResult = TypeVar("AnyResult")


class Request:
    """One request. ``body`` is empty until it has been read."""

    __slots__ = ("_scope", "_send", "answer_headers", "body", "headers", "method", "path", "stream")

    def __init__(self, scope: Scope, send: Send) -> None:
        self.method: str = scope["method"]
        raw_path = scope.get("raw_path") or scope["path"].encode()
        path: str = raw_path.decode("utf-8", "replace")
        root = scope.get("root_path")
        self.path = path.removeprefix(root) or "/" if root else path
        """The path, undecoded, below that under which the application is mounted."""
        self.headers = fields_by_name(scope["headers"])
        """By lower-case name; repeated fields are joined by commas."""
        self.body = b""
        self.answer_headers: Mapping[str, str] = NOTHING
        """Headers that its answer gets, whatever it is."""
        self.stream: Stream | None = None
        """The answer, once it was begun."""
        self._scope, self._send = scope, send

    @property
    def is_old(self) -> bool:
        """HTTP/1.0."""
        version: str = self._scope["http_version"]
        return version == "1.0"

    @property
    def query(self) -> str:
        """What follows the question mark, undecoded."""
        query: bytes = self._scope["query_string"]
        return query.decode("utf-8", "replace")

    async def begin(
        self, status: int, headers: Mapping[str, str] = NOTHING, content_type: str = JSON
    ) -> Stream:
        """Begin an answer that comes in pieces; return it once it is complete.

        Raises ValueError for a header that cannot be sent.
        """
        assert self.stream is None
        self.stream = Stream(status, self._send, ABORT in (self._scope.get("extensions") or ()))
        await self._send(_start(status, {**headers, **self.answer_headers}, content_type))
        await self.stream.write(b"")
        return self.stream

    async def drop(self) -> Stream:
        """Reset the connection instead of an answer; return what this gives."""
        if ABORT in (self._scope.get("extensions") or ()):
            self.stream = Stream(0, self._send, can_abort=True)
        else:  # the next best: a response that is shorter than it says
            await self.begin(200, {"content-length": "1"})
        assert self.stream is not None
        self.stream.is_broken = True
        return self.stream


class Response:
    """A whole answer."""

    __slots__ = ("body", "content_type", "headers", "status")

    def __init__(
        self,
        status: int,
        body: bytes = b"",
        headers: Mapping[str, str] = NOTHING,
        content_type: str = JSON,
    ) -> None:
        self.status, self.body, self.headers = status, body, headers
        self.content_type = content_type

    def messages(self, more: Mapping[str, str] = NOTHING) -> tuple[Message, Message]:
        """The response in ASGI; ``more`` are headers beside its own."""
        headers = {**self.headers, **more} if more else self.headers
        start = _start(self.status, headers, self.content_type)
        return start, {"type": "http.response.body", "body": self.body}


class Stream:
    """An answer in pieces. Whoever began it returns it when it is complete."""

    __slots__ = ("_can_abort", "_send", "is_broken", "status")

    def __init__(self, status: int, send: Send, can_abort: bool) -> None:
        self.status = status
        self.is_broken = False
        """The stream cannot be completed: the connection ends without an orderly end of the answer.
        """
        self._send, self._can_abort = send, can_abort

    async def write(self, data: bytes) -> None:
        """Send a piece, as fast as the client reads. Raises OSError if it is gone."""
        await self._send({"type": "http.response.body", "body": data, "more_body": True})

    async def end(self) -> None:
        """Complete the stream, or break the connection off where it cannot be completed."""
        if not self.is_broken:
            await self._send({"type": "http.response.body", "body": b""})
        elif self._can_abort:
            await self._send({"type": ABORT})
        else:
            raise BrokenOffError


class BrokenOffError(Exception):
    """Raised for a server that can be told only so that an answer will not be completed."""


class App(Protocol):
    """The application that answers requests."""

    def admit(self, request: Request) -> Response | None:
        """A refusal that needs only the head, sent before the body is read; or None."""

    async def answer(self, request: Request) -> Response | Stream:
        """The answer to a whole request: a response, or the stream that it has begun."""

    def failure(self, request: Request | None, status: int, message: str) -> Response:
        """The answer to a client whose request (None: not even that) could not be read."""


class Application:
    """An `App` as an ASGI application. Bodies over ``body_bytes`` are refused; ``on_stop`` is
    called when the server stops."""

    def __init__(
        self,
        app: App,
        *,
        body_bytes: int = 64 * MEGABYTE,
        on_stop: Callable[[], Awaitable[None]] | None = None,
    ) -> None:
        self._app, self._limit, self._on_stop = app, body_bytes, on_stop

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """The entry of ASGI."""
        if scope["type"] == "lifespan":
            await self._live(receive, send)
        elif scope["type"] == "http":
            await self._http(Request(scope, send), scope, receive, send)
        else:
            raise RuntimeError(f"{scope['type']!r} is not supported")

    def failure(self, scope: Scope | None, status: int, message: str) -> tuple[Message, Message]:
        """What the server answers by itself, in the application's words (``server.Failure``)."""
        request = Request(scope, _discard_message) if scope is not None else None
        return self._app.failure(request, status, message).messages()

    async def _live(self, receive: Receive, send: Send) -> None:
        """Start and stop with the server."""
        while True:
            kind = (await receive())["type"]
            if kind == "lifespan.shutdown" and self._on_stop is not None:
                await self._on_stop()
            await send({"type": f"{kind}.complete"})
            if kind == "lifespan.shutdown":
                return

    async def _http(self, request: Request, scope: Scope, receive: Receive, send: Send) -> None:
        cancels = CANCEL in (scope.get("extensions") or ())
        if cancels:
            await send({"type": CANCEL})
        if (refusal := self._app.admit(request)) is not None:
            refusal.headers = {**refusal.headers, "connection": "close"}
            await _send(send, request, refusal)
            return
        try:
            body = await self._body(request, receive)
        except _RefusedError as error:
            await _send(send, request, self._app.failure(request, error.status, str(error)))
            return
        if body is None:
            return
        request.body = body
        answering = self._app.answer(request)
        answer = await (answering if cancels else _while_connected(answering, receive))
        if isinstance(answer, Response):
            await _send(send, request, answer)
        elif answer is not None:
            await answer.end()

    async def _body(self, request: Request, receive: Receive) -> bytes | None:
        """The whole body, decompressed; None if the client has left. Raises _RefusedError."""
        message = await receive()
        body: bytes = message.get("body", b"")
        if message.get("more_body"):
            pieces, size = [body], len(body)
            while message.get("more_body"):
                message = await receive()
                pieces.append(message.get("body", b""))
                size += len(pieces[-1])
                if size > self._limit:
                    raise _RefusedError(413, self._too_large())
            body = b"".join(pieces)
        if message["type"] == "http.disconnect":
            return None
        if len(body) > self._limit:
            raise _RefusedError(413, self._too_large())
        coding = request.headers.get("content-encoding")
        return body if coding is None else self._inflated(body, coding)

    def _inflated(self, body: bytes, coding: str) -> bytes:
        try:
            return inflated(body, coding, self._limit)
        except TooLargeError:
            raise _RefusedError(413, self._too_large()) from None
        except ValueError as error:
            raise _RefusedError(400, f"the body {error}") from None
        except LookupError as error:
            raise _RefusedError(415, f"Content-Encoding {error} is not known here") from None

    def _too_large(self) -> str:
        return f"the request is larger than {shown(self._limit)}"


class _RefusedError(Exception):
    """A body that is not taken."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


async def _send(send: Send, request: Request, answer: Response) -> None:
    start, body = answer.messages(request.answer_headers)
    await send(start)
    await send(body)


async def _while_connected(answering: Awaitable[AnyResult], receive: Receive) -> AnyResult | None:
    """The answer; None if the client leaves before, which cancels it."""
    task = asyncio.ensure_future(answering)
    leaving = asyncio.ensure_future(_client_left(receive))
    try:
        await asyncio.wait((task, leaving), return_when=asyncio.FIRST_COMPLETED)
        return task.result() if task.done() else None
    finally:
        for other in (task, leaving):
            other.cancel()
        await asyncio.gather(task, leaving, return_exceptions=True)


async def _client_left(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


async def _discard_message(message: Message) -> None:
    """For a request that the application does not answer."""


def _start(status: int, headers: Mapping[str, str], content_type: str) -> Message:
    fields = encoded_fields(headers)
    if status not in (204, 304):
        fields.insert(0, (b"content-type", content_type.encode("latin-1")))
    return {"type": "http.response.start", "status": status, "headers": fields}
