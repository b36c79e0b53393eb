"""Our applications under another server than ours: the same answers, from the standard alone."""

from __future__ import annotations

import asyncio
import gzip
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from io import BytesIO

import aiohttp
import pytest
from other_server import under_uvicorn

from nemo_evaluator.http.app import Application, Request, Response, Stream
from nemo_evaluator.http.asgi import Message, Scope

MEGABYTE = 2**20
Ask = Callable[..., Awaitable[tuple[int, bytes]]]


class Whatever:
    """Answers each path in its own way, and notes what happens to it."""

    def __init__(self) -> None:
        self.begun: list[str] = []
        self.cancelled: list[str] = []

    def admit(self, request: Request) -> Response | None:
        request.answer_headers = {"x-by": "whatever"}
        return Response(401, b'"stranger"') if request.path == "/secret" else None

    async def answer(self, request: Request) -> Response | Stream:
        self.begun.append(request.path)
        try:
            return await self._answer(request)
        except asyncio.CancelledError:
            self.cancelled.append(request.path)
            raise

    async def _answer(self, request: Request) -> Response | Stream:
        match request.path:
            case "/stream" | "/broken":
                stream = await request.begin(200, content_type="text/plain")
                for _ in range(3):
                    await stream.write(b"abc")
                stream.is_broken = request.path == "/broken"
                return stream
            case "/drop":
                return await request.drop()
            case "/forever":
                await asyncio.Event().wait()
        told = {"path": request.path, "query": request.query, "size": len(request.body)}
        return Response(200, json.dumps(told).encode())

    def failure(self, request: Request | None, status: int, message: str) -> Response:
        return Response(status, json.dumps(message).encode())


@pytest.fixture
def app() -> Whatever:
    return Whatever()


@pytest.fixture
async def ask(app: Whatever) -> AsyncIterator[Ask]:
    async with (
        under_uvicorn(Application(app, body_bytes=MEGABYTE)) as url,
        aiohttp.ClientSession() as session,
    ):

        async def asked(path: str, data: bytes = b"", **headers: str) -> tuple[int, bytes]:
            fields = {name.replace("_", "-"): value for name, value in headers.items()}
            async with session.post(url + path, data=BytesIO(data), headers=fields) as response:
                assert response.headers["x-by"] == "whatever"
                return response.status, await response.read()

        yield asked


async def test_routes_answer_with_path_query_and_body(ask: Ask) -> None:
    for _ in range(2):
        status, body = await ask("/a%2Fb?c=%20d", b"x" * 10)
        assert status == 200
        assert json.loads(body) == {"path": "/a%2Fb", "query": "c=%20d", "size": 10}
        assert await ask("/stream") == (200, b"abcabcabc")


async def test_refusals_name_their_reason(ask: Ask, app: Whatever) -> None:
    assert await ask("/secret", b"x" * 100_000) == (401, b'"stranger"')
    packed = gzip.compress(bytes(1000), mtime=0)
    assert json.loads((await ask("/a", packed, content_encoding="gzip"))[1])["size"] == 1000
    assert (await ask("/a", packed[:-9], content_encoding="gzip"))[0] == 400
    assert (await ask("/a", packed, content_encoding="br"))[0] == 415
    bomb = gzip.compress(bytes(MEGABYTE + 1), mtime=0)
    for data, coding in ((bytes(MEGABYTE + 1), "identity"), (bomb, "gzip")):
        status, body = await ask("/a", data, content_encoding=coding)
        assert (status, json.loads(body)) == (413, "the request is larger than 1 MB")
    assert app.begun == ["/a"]


@pytest.mark.parametrize("path", ["/broken", "/drop"])
async def test_an_answer_that_is_broken_off(
    ask: Ask, path: str, caplog: pytest.LogCaptureFixture
) -> None:
    with pytest.raises(aiohttp.ClientError):
        await ask(path)
    assert "BrokenOffError" in caplog.text


async def test_who_leaves_cancels(ask: Ask, app: Whatever) -> None:
    asking = asyncio.create_task(ask("/forever"))
    async with asyncio.timeout(10):
        while not app.begun:
            await asyncio.sleep(0.005)
        asking.cancel()
        while not app.cancelled:
            await asyncio.sleep(0.005)
    assert app.cancelled == ["/forever"]


async def test_other_protocols_are_refused(app: Whatever) -> None:
    async def receive() -> Message:
        raise AssertionError

    async def send(message: Message) -> None:
        raise AssertionError

    scope: Scope = {"type": "websocket"}
    with pytest.raises(RuntimeError, match="websocket"):
        await Application(app)(scope, receive, send)
