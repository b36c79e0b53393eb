"""The simulated model behind HTTP, for any client. Faults happen at the socket, for real."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

from aiohttp import web

from ...errors import ConfigError
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
JSON = "application/json"
_NOBODY = CallContext()


def create_app(model: SimulatedModel) -> web.Application:
    """The application: the three protocols, ``/v1/models`` and ``/healthz``.

    Any model id and any key is accepted; the answer names the model that was asked for.
    """
    app = web.Application(client_max_size=MAX_BODY)
    listed = {"id": model.config.model, "object": "model", "created": 0, "owned_by": "simulated"}

    async def models(_: web.Request) -> web.Response:
        return _json({"object": "list", "data": [listed]})

    async def health(_: web.Request) -> web.Response:
        return _json({"status": "ok", "simulated": True})

    async def unknown(request: web.Request) -> web.Response:
        return _error(404, f"there is no {request.method} {request.path}")

    app.router.add_get("/v1/models", models)
    app.router.add_get("/healthz", health)
    for path, (protocol, field) in PATHS.items():
        app.router.add_post(path, _handler(model, protocol, field))
    app.router.add_route("*", "/{path:.*}", unknown)
    return app


@asynccontextmanager
async def serving(
    model: SimulatedModel, *, host: str = "127.0.0.1", port: int = 0
) -> AsyncIterator[str]:
    """Serves within the context and gives the base URL. Raises ConfigError if it cannot listen."""
    runner = web.AppRunner(
        create_app(model), access_log=None, handler_cancellation=True, shutdown_timeout=0.1
    )
    await runner.setup()
    try:
        try:
            await web.TCPSite(runner, host, port).start()
        except OSError as error:
            raise ConfigError(
                f"cannot listen: {error.strerror or error}",
                where=f"{host}:{port}",
                hint="choose another port; 0 takes a free one",
            ) from None
        shown = f"[{host}]" if ":" in host else host
        yield f"http://{shown}:{runner.addresses[0][1]}/v1"
    finally:
        await runner.cleanup()


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


def _handler(model: SimulatedModel, protocol: str, field: str) -> Any:
    async def answer(request: web.Request) -> web.StreamResponse:
        try:
            body = decode(await request.read())
        except ValueError as error:
            return _error(400, f"the body is not JSON: {error}")
        if problem := _refusal(body, field):
            return _error(400, problem)
        turn = model.turn(body, _NOBODY)
        if turn.fault in (Fault.RATE_LIMIT, Fault.SERVER_ERROR):
            status, content, headers = error_response(turn, model.config.faults)
            return _json(content, status, headers)
        if turn.fault is Fault.HANG:
            await asyncio.sleep(model.config.faults.hang_s)
            return _drop(request)
        if turn.fault is Fault.DROP and not turn.variant:
            return _drop(request)
        reply = model.answer(body, turn.key)
        seconds = model.seconds(turn.key)
        if body.get("stream"):
            return await _stream(request, body, turn, reply, seconds, protocol)
        await asyncio.sleep(seconds)
        data = encode(response(reply, protocol, str(body.get("model", model.config.model))))
        return await _whole(request, turn, data)

    return answer


def _refusal(body: Any, field: str) -> str | None:
    """Why a body is refused, or None."""
    if not isinstance(body, dict):
        return "the body is not an object"
    if not body.get(field):
        return f"{field!r} is missing or empty"
    if body.get("n") not in (None, 1):
        return "the simulated model gives one answer per request ('n' must be 1)"
    return None


async def _whole(request: web.Request, turn: Turn, data: bytes) -> web.StreamResponse:
    if turn.fault is Fault.INVALID_JSON:
        data = NOT_JSON
    elif turn.fault is Fault.TRUNCATED_JSON:
        data = data[: len(data) // 2]
    elif turn.fault is Fault.DROP:
        partial = web.StreamResponse(headers={"Content-Length": str(len(data))})
        partial.content_type = JSON
        await partial.prepare(request)
        await partial.write(data[: len(data) // 2])
        return _drop(request, partial)
    return web.Response(body=data, content_type=JSON)


async def _stream(
    request: web.Request,
    body: dict[str, Any],
    turn: Turn,
    answer: Answer,
    seconds: float,
    protocol: str,
) -> web.StreamResponse:
    """The events, spread over the time the answer takes; cut at half where the turn says so."""
    usage = bool((body.get("stream_options") or {}).get("include_usage"))
    lines = [
        _line(event, protocol)
        for event in events(answer, protocol, str(body.get("model", "")), usage=usage)
    ]
    if protocol != "responses":
        lines.append(b"data: [DONE]\n\n")
    if turn.fault is not None:
        lines = [*lines[: len(lines) // 2], _broken(lines[len(lines) // 2], turn.fault)]
    stream = web.StreamResponse(
        headers={"Content-Type": "text/event-stream", "Cache-Control": "no-cache"}
    )
    await stream.prepare(request)
    pause = seconds / len(lines)
    for paced in lines if pause else [b"".join(lines)]:
        await asyncio.sleep(pause)
        await stream.write(paced)
    return _drop(request, stream) if turn.fault is Fault.DROP else stream


def _line(event: dict[str, Any], protocol: str) -> bytes:
    name = b"event: " + event["type"].encode() + b"\n" if protocol == "responses" else b""
    return name + b"data: " + encode(event) + b"\n\n"


def _broken(line: bytes, fault: Fault) -> bytes:
    return b"data: " + NOT_JSON + b"\n\n" if fault is Fault.INVALID_JSON else line[: len(line) // 2]


def _drop(request: web.Request, begun: web.StreamResponse | None = None) -> web.StreamResponse:
    """Reset the connection, before or amid the response; nothing more is sent."""
    if request.transport is not None:
        request.transport.abort()
    return begun or web.Response()


def _error(status: int, message: str) -> web.Response:
    return _json(error_body(message), status)


def _json(body: dict[str, Any], status: int = 200, headers: Any = None) -> web.Response:
    return web.Response(body=encode(body), status=status, headers=headers, content_type=JSON)
