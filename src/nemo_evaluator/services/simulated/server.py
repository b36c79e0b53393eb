"""The simulated model behind HTTP, for any client. Faults happen at the socket, for real."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

from ...http.app import EVENT_STREAM, Application, Request, Response, Stream
from ...http.server.contract import Limits
from ...http.server.server import Server
from ...http.urls import bracketed
from ...traffic.sse import encode_event
from ...traffic.types import CallContext
from ...traffic.wire import decode, encode
from .faults import NOT_JSON, error_body, error_response
from .model import Answer, Fault, SimulatedModel, Turn
from .wire import events, response

PATHS = {
    "/v1/chat/completions": ("chat_completions", "messages"),
    "/v1/completions": ("completions", "prompt"),
    "/v1/responses": ("responses", "input"),
}
"""Path → protocol, and the field that holds the question."""
MAX_BODY = 1 << 30
STOP_SECONDS = 0.1
_NOBODY = CallContext()


class SimulatedEndpoint:
    """The three protocols, ``/v1/models`` and ``/healthz``, as an `App`.

    Any model id and any key is accepted; the answer names the model that was asked for.
    """

    def __init__(self, model: SimulatedModel) -> None:
        self._model = model

    def admit(self, request: Request) -> None:
        """Everybody may ask."""

    async def answer(self, request: Request) -> Response | Stream:
        """Answer one request."""
        if request.method == "POST" and request.path in PATHS:
            return await self._call(request, *PATHS[request.path])
        if request.method in ("GET", "HEAD"):
            if request.path == "/v1/models":
                named = {"id": self._model.config.model, "object": "model"}
                listed = {**named, "created": 0, "owned_by": "simulated"}
                return _json({"object": "list", "data": [listed]})
            if request.path == "/healthz":
                return _json({"status": "ok", "simulated": True})
        return self.failure(request, 404, f"there is no {request.method} {request.path}")

    def failure(self, request: Request | None, status: int, message: str) -> Response:
        """An error in OpenAI's form."""
        return _json(error_body(message), status)

    async def _call(self, request: Request, protocol: str, field: str) -> Response | Stream:
        model = self._model
        try:
            body = decode(request.body)
        except ValueError as error:
            return self.failure(request, 400, f"the body is not JSON: {error}")
        if problem := _refusal(body, field):
            return self.failure(request, 400, problem)
        turn = model.turn(body, _NOBODY)
        if turn.fault in (Fault.RATE_LIMIT, Fault.SERVER_ERROR):
            status, content, headers = error_response(turn, model.config.faults)
            return _json(content, status, headers)
        if turn.fault is Fault.HANG:
            await asyncio.sleep(model.config.faults.hang_s)
            return await request.drop()
        if turn.fault is Fault.DROP and not turn.variant:
            return await request.drop()
        reply = model.answer(body, turn.key)
        seconds = model.seconds(turn.key)
        if body.get("stream"):
            lines = _lines(body, turn, reply, protocol)
            return await _stream(request, lines, seconds, turn.fault is Fault.DROP)
        await asyncio.sleep(seconds)
        data = encode(response(reply, protocol, str(body.get("model", model.config.model))))
        return await _whole_body(request, turn, data)


def create_app(model: SimulatedModel) -> Application:
    """The endpoint as an ASGI application."""
    return Application(SimulatedEndpoint(model), body_bytes=MAX_BODY)


@asynccontextmanager
async def serving(
    model: SimulatedModel, *, host: str = "127.0.0.1", port: int = 0
) -> AsyncIterator[str]:
    """Serves within the context and gives the base URL. Raises ConfigError if it cannot listen."""
    app = create_app(model)
    server = Server(app, Limits(body_bytes=MAX_BODY), failure=app.failure)
    port = await server.start(host, port)
    try:
        yield f"http://{bracketed(host)}:{port}/v1"
    finally:
        await server.stop(STOP_SECONDS)


async def serve(
    model: SimulatedModel, *, host: str, port: int, announce: Callable[[str], None]
) -> None:
    """Serve until SIGINT or SIGTERM. ``announce`` is called with the base URL once the server is
    up."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    async with serving(model, host=host, port=port) as url:
        announce(url)
        await stop.wait()


def _refusal(body: object, field: str) -> str | None:
    """Why a body is refused, or None."""
    if not isinstance(body, dict):
        return "the body is not an object"
    if not body.get(field):
        return f"{field!r} is missing or empty"
    if body.get("n") not in (None, 1):
        return "the simulated model gives one answer per request ('n' must be 1)"
    return None


async def _whole_body(request: Request, turn: Turn, data: bytes) -> Response | Stream:
    if turn.fault is Fault.INVALID_JSON:
        data = NOT_JSON
    elif turn.fault is Fault.TRUNCATED_JSON:
        data = data[: len(data) // 2]
    elif turn.fault is Fault.DROP:
        partial = await request.begin(200, {"content-length": str(len(data))})
        await partial.write(data[: len(data) // 2])
        partial.is_broken = True
        return partial
    return Response(200, data)


def _lines(body: dict[str, Any], turn: Turn, answer: Answer, protocol: str) -> list[bytes]:
    """The events of a stream; cut at half where the turn says so."""
    usage = bool((body.get("stream_options") or {}).get("include_usage"))
    named = protocol == "responses"
    found = events(answer, protocol, str(body.get("model", "")), usage=usage)
    lines = [encode_event(event, named=named) for event in found]
    if not named:
        lines.append(b"data: [DONE]\n\n")
    if turn.fault is not None:
        half = len(lines) // 2
        lines = [*lines[:half], _broken(lines[half], turn.fault)]
    return lines


async def _stream(request: Request, lines: list[bytes], seconds: float, drops: bool) -> Stream:
    """The events, spread over the time the answer takes."""
    stream = await request.begin(200, {"Cache-Control": "no-cache"}, EVENT_STREAM)
    pause = seconds / len(lines)
    for paced in lines if pause else [b"".join(lines)]:
        await asyncio.sleep(pause)
        await stream.write(paced)
    stream.is_broken = drops
    return stream


def _broken(line: bytes, fault: Fault) -> bytes:
    return b"data: " + NOT_JSON + b"\n\n" if fault is Fault.INVALID_JSON else line[: len(line) // 2]


def _json(body: dict[str, Any], status: int = 200, headers: Any = None) -> Response:
    return Response(status, encode(body), headers or {})
