"""The server as any ASGI application sees it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from typing import Any

import pytest

from nemo_evaluator.errors import ConfigError
from nemo_evaluator.http.asgi import ABORT, AsgiApp, Message, Receive, Scope, Send
from nemo_evaluator.http.server.contract import Limits
from nemo_evaluator.http.server.lifespan import LifespanError
from nemo_evaluator.http.server.server import Server

from .conftest import Client, get, post, until

MEGABYTE = 2**20
Connect = Callable[[AsgiApp], Awaitable[Client]]
START: Message = {"type": "http.response.start", "status": 200, "headers": [(b"x-a", b"b")]}
DONE: Message = {"type": "http.response.body", "body": b"done"}


@pytest.fixture
async def connect() -> AsyncIterator[Callable[..., Awaitable[Client]]]:
    """Serves an application and connects to it; may be called again for the same."""
    servers: dict[int, tuple[Server, int]] = {}
    clients: list[Client] = []

    async def connected(app: AsgiApp, **limits: Any) -> Client:
        if id(app) not in servers:
            server = Server(app, Limits(**limits))
            servers[id(app)] = server, await server.start("127.0.0.1", 0)
        port = servers[id(app)][1]
        clients.append(Client(*await asyncio.open_connection("127.0.0.1", port)))
        return clients[-1]

    yield connected
    for server, _ in servers.values():
        await server.stop(0.0)
        assert not server.connections
    for client in clients:
        client.close()
    await asyncio.sleep(0)


def http_only(app: AsgiApp) -> AsgiApp:
    """The application without a lifespan, as many are."""

    async def called(scope: Scope, receive: Receive, send: Send) -> None:
        assert scope["type"] == "http"
        await app(scope, receive, send)

    return called


async def test_the_scope(connect: Connect) -> None:
    seen: list[Scope] = []

    @http_only
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        seen.append(scope)
        await send(START)
        await send(DONE)

    client = await connect(app)
    status, fields, body = await client.ask(get("/a%20b?c=%20d", "X-B: 1", "x-b: 2"))
    assert (status, body, fields["x-a"], fields["content-length"]) == (200, b"done", "b", "4")
    [scope] = seen
    assert (scope["method"], scope["path"], scope["raw_path"]) == ("GET", "/a b", b"/a%20b")
    assert (scope["query_string"], scope["http_version"]) == (b"c=%20d", "1.1")
    assert scope["headers"] == [(b"host", b"h"), (b"x-b", b"1"), (b"x-b", b"2")]
    assert scope["asgi"]["version"] == "3.0" and scope["scheme"] == "http"
    assert scope["client"][0] == scope["server"][0] == "127.0.0.1"
    assert scope["server"][1] == client.writer.get_extra_info("peername")[1]


async def test_a_body_comes_as_it_is_sent(connect: Connect) -> None:
    pieces: list[Message] = []

    @http_only
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        while not pieces or pieces[-1]["more_body"]:
            pieces.append(await receive())
        await send(START)
        await send(DONE)

    client = await connect(app)
    await client.send(post(b"abcdef")[:-3])
    await until(lambda: len(pieces) == 1)
    assert pieces == [{"type": "http.request", "body": b"abc", "more_body": True}]
    assert (await client.ask(b"def"))[0] == 200
    assert pieces[1] == {"type": "http.request", "body": b"def", "more_body": False}


async def test_an_application_that_does_not_read_holds_its_client_back(connect: Connect) -> None:
    go, size = asyncio.Event(), 0

    @http_only
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        nonlocal size
        await go.wait()
        more = True
        while more:
            message = await receive()
            size, more = size + len(message["body"]), message["more_body"]
        await send(START)
        await send(DONE)

    client, total = await connect(app), 48 * MEGABYTE
    sending = asyncio.create_task(client.send(post(bytes(total))))
    await asyncio.sleep(0.2)
    assert not sending.done()
    go.set()
    assert (await client.answer())[0] == 200 and size == total
    await sending


async def test_an_answer_before_the_body_ends_the_connection(connect: Connect) -> None:
    @http_only
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 401})
        await send(DONE)

    client = await connect(app)
    await client.send(post(bytes(8 * MEGABYTE)))  # it is told, though it sends all
    status, fields, body = await client.answer()
    assert (status, fields["connection"], body) == (401, "close", b"done")
    assert await client.is_closed()


async def test_who_leaves_is_known_by_a_message(connect: Connect) -> None:
    told: list[str] = []

    @http_only
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        assert (await receive())["body"] == b"{}"
        told.append((await receive())["type"])
        with pytest.raises(OSError):
            await send(START)
            await send(DONE)
        told.append("gone")
        told.append((await receive())["type"])

    client = await connect(app)
    await client.send(post(b"{}"))
    await asyncio.sleep(0.05)
    assert not told
    client.close()
    await until(lambda: len(told) == 3)
    assert told == ["http.disconnect", "gone", "http.disconnect"]


async def test_who_leaves_amid_its_body_or_a_stream(connect: Connect) -> None:
    told: list[str] = []

    @http_only
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["path"] == "/stream":
            await send(START)
            with suppress(OSError):
                while True:
                    await send({**DONE, "body": bytes(MEGABYTE), "more_body": True})
            told.append("stream")
            return
        while (await receive())["type"] == "http.request":
            pass
        told.append("body")

    for request, word in ((post(b"abc")[:-1], "body"), (get("/stream"), "stream")):
        client = await connect(app)
        await client.send(request)
        await asyncio.sleep(0.05)
        client.reset()
        await until(lambda word=word: word in told)  # type: ignore[misc]


async def test_after_a_response_the_exchange_is_over(connect: Connect) -> None:
    told: list[str] = []

    @http_only
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        listening = asyncio.create_task(last(receive))
        await asyncio.sleep(0)
        await send(START)
        await send({**DONE, "more_body": True})
        await send(DONE)
        told.append(await listening)
        with pytest.raises(RuntimeError):
            await send(DONE)

    async def last(receive: Receive) -> str:
        while (message := await receive())["type"] == "http.request":
            pass
        return str(message["type"])

    client = await connect(app)
    for _ in range(2):
        assert (await client.ask(get()))[2] == b"donedone"
    await until(lambda: told == ["http.disconnect"] * 2)


@pytest.mark.parametrize(
    ("length", "pieces"), [(b"5", [b"done"]), (b"3", [b"done"]), (b"9", [b"do", b"ne"])]
)
async def test_a_length_that_is_not_kept(
    connect: Connect, length: bytes, pieces: list[bytes]
) -> None:
    @http_only
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send({**START, "headers": [(b"Content-Length", length)]})
        for left, piece in zip(range(len(pieces))[::-1], pieces, strict=True):
            await send({**DONE, "body": piece, "more_body": left > 0})

    client = await connect(app)
    if len(pieces) == 1:
        assert (await client.ask(get()))[0] == 500
    else:
        with pytest.raises((asyncio.IncompleteReadError, ConnectionError)):
            await client.ask(get())


async def test_a_length_of_its_own(connect: Connect) -> None:
    @http_only
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send({**START, "headers": [(b"content-length", b"8"), (b"date", b"today")]})
        await send({**DONE, "more_body": True})
        await send(DONE)

    client = await connect(app)
    for _ in range(2):
        _, fields, body = await client.ask(get())
        assert body == b"donedone" and fields["date"] == "today"
        assert "transfer-encoding" not in fields


@pytest.mark.parametrize(
    "messages",
    [[], [DONE], [START], [START, START], [{"type": "http.response.push"}], [{**START, "x": 1}]],
)
async def test_messages_out_of_order(
    connect: Connect, messages: list[Message], caplog: pytest.LogCaptureFixture
) -> None:
    @http_only
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        for message in messages:
            await send(message)

    client = await connect(app)
    status, _, body = await client.ask(get())
    assert status == 500 and json.loads(body) == {"error": {"message": "the server failed"}}
    assert "no answer" in caplog.text


async def test_an_abort_resets(connect: Connect) -> None:
    @http_only
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        assert ABORT in scope["extensions"]
        if scope["path"] == "/half":
            await send(START)
            await send({**DONE, "more_body": True})
        await send({"type": ABORT})

    client = await connect(app)
    with pytest.raises((asyncio.IncompleteReadError, ConnectionError)):
        await client.ask(get())
    client = await connect(app)
    await client.send(get("/half"))
    with pytest.raises((asyncio.IncompleteReadError, ConnectionError)):
        await client.answer()


# -- lifespan -------------------------------------------------------------------------------------


class Living:
    """Notes its start and end."""

    def __init__(self, *, fails: str = "") -> None:
        self.noted: list[str] = []
        self._fails = fails

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "lifespan":
            await send(START)
            await send(DONE)
            return
        for kind in ("lifespan.startup", "lifespan.shutdown"):
            assert (await receive())["type"] == kind
            self.noted.append(kind)
            if self._fails == kind:
                await send({"type": f"{kind}.failed", "message": "no disk"})
                return
            await send({"type": f"{kind}.complete"})


async def test_the_application_starts_and_ends_with_the_server() -> None:
    app = Living()
    server = Server(app)
    port = await server.start("127.0.0.1", 0)
    assert app.noted == ["lifespan.startup"]
    with pytest.raises(ConfigError, match=f"127.0.0.1:{port}: cannot listen"):
        await Server(other := Living()).start("127.0.0.1", port)
    assert other.noted == ["lifespan.startup", "lifespan.shutdown"]
    await server.stop(1.0)
    await server.stop(1.0)
    assert app.noted == ["lifespan.startup", "lifespan.shutdown"]


async def test_an_application_that_cannot_start() -> None:
    with pytest.raises(LifespanError, match="no disk"):
        await Server(Living(fails="lifespan.startup")).start("127.0.0.1", 0)


async def test_an_application_that_cannot_stop(caplog: pytest.LogCaptureFixture) -> None:
    server = Server(Living(fails="lifespan.shutdown"))
    await server.start("127.0.0.1", 0)
    await server.stop(1.0)
    assert "did not stop properly: no disk" in caplog.text


# -- an application of a framework ----------------------------------------------------------------


async def test_starlette_runs_under_the_server(connect: Connect) -> None:
    from starlette.applications import Starlette
    from starlette.background import BackgroundTask
    from starlette.requests import Request
    from starlette.responses import JSONResponse, StreamingResponse
    from starlette.routing import Route

    done: list[str] = []

    async def upload(request: Request) -> JSONResponse:
        size = sum([len(piece) async for piece in request.stream()])
        later = BackgroundTask(done.append, "later")
        return JSONResponse({"size": size, "query": dict(request.query_params)}, background=later)

    async def stream(request: Request) -> StreamingResponse:
        async def pieces() -> AsyncIterator[bytes]:
            for number in range(5):
                await asyncio.sleep(0)
                yield b"%d" % number

        return StreamingResponse(pieces(), media_type="text/event-stream")

    async def endless(request: Request) -> StreamingResponse:
        async def pieces() -> AsyncIterator[bytes]:
            try:
                while True:
                    yield b"x"
                    await asyncio.sleep(0.001)
            finally:
                done.append("left")

        return StreamingResponse(pieces())

    routes = [Route("/up", upload, methods=["POST"]), Route("/s", stream), Route("/e", endless)]
    app = Starlette(routes=routes)
    client = await connect(app)
    for _ in range(2):
        told = await client.told(post(bytes(3 * MEGABYTE), path="/up?a=b"))
        assert told == {"size": 3 * MEGABYTE, "query": {"a": "b"}}
        assert (await client.ask(get("/s")))[2] == b"01234"
    assert done == ["later"] * 2
    assert (await client.ask(get("/none")))[0] == 404
    await client.send(get("/e"))
    await client.head()
    client.close()
    await until(lambda: "left" in done)
