"""The proxy is an ASGI application: it does the same under uvicorn."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from io import BytesIO
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from free_ports import free_port
from loopback import FAULTS, Call, Loopback, Manner, Reply, number_of
from other_server import under_uvicorn
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Mount, Route

from nemo_evaluator.http.server.lifespan import Lifespan
from nemo_evaluator.traffic.client import ModelClient
from nemo_evaluator.traffic.door.asgi import proxy_app
from nemo_evaluator.traffic.door.server import ProxyServer

CHAT: dict[str, Any] = {"model": "m", "messages": [{"role": "user", "content": "2 + 2?"}]}
TEXT = f"The answer is {number_of('2 + 2?')}"
OpenModel = Callable[..., ModelClient]


@pytest.fixture
async def proxy(open_model: OpenModel, loopback: Loopback) -> AsyncIterator[tuple[str, Any]]:
    """The URL, and the proxy behind it."""
    model = open_model(loopback.url, proxy={"max_retries": 0})
    port = free_port()
    server = ProxyServer(model, port=port, max_body_mb=1)
    async with under_uvicorn(server.app, port) as url:
        yield url, server


async def test_a_part_of_another_application(
    open_model: OpenModel, loopback: Loopback, http: aiohttp.ClientSession, tmp_path: Path
) -> None:
    port = free_port()
    log = {"model_traffic": {"path": str(tmp_path / "traffic.jsonl")}}
    app = proxy_app(open_model(loopback.url, proxy=log), port=port)
    routes = [Mount("/llm", app=app), Route("/hello", lambda request: PlainTextResponse("hello"))]

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        async with running(app):
            yield

    async with under_uvicorn(Starlette(routes=routes, lifespan=lifespan), port) as url:
        async with http.get(f"{url}/hello") as response:
            assert await response.text() == "hello"
        async with http.post(f"{url}/llm/s/me/v1/chat/completions", json=CHAT) as response:
            assert (await response.json())["choices"][0]["message"]["content"] == TEXT
    [line] = (tmp_path / "traffic.jsonl").read_text().splitlines()  # closed with the server
    assert json.loads(line)["session_id"] == "me"


@asynccontextmanager
async def running(app: Any) -> AsyncIterator[None]:
    """The lifespan of an application that is mounted; Starlette runs only its own."""
    lifespan = Lifespan(app)
    await lifespan.start()
    yield
    await lifespan.stop()


@pytest.fixture
async def http() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as session:
        yield session


async def test_the_proxy_answers_under_other_servers(
    proxy: tuple[str, ProxyServer], http: aiohttp.ClientSession, loopback: Loopback
) -> None:
    url, server = proxy
    for _ in range(2):
        async with http.post(f"{url}/v1/chat/completions", json=CHAT) as response:
            assert (await response.json())["choices"][0]["message"]["content"] == TEXT
    streamed = {**CHAT, "stream": True}
    async with http.post(f"{url}/v1/chat/completions", json=streamed) as response:
        assert response.headers["content-type"] == "text/event-stream"
        assert (await response.read()).endswith(b"data: [DONE]\n\n")
    body = {**CHAT, "max_tokens": 5}
    async with http.post(f"{url}/v1/messages", json=body) as response:
        assert (await response.json())["content"][0]["text"] == TEXT
    loopback.script(FAULTS["server_error"])
    async with http.post(f"{url}/v1/chat/completions", json=CHAT) as response:
        assert response.status == 500
    async with http.get(f"{url}/metrics") as response:
        page = await response.text()
    assert 'nel_proxy_requests_total{kind="chat_completions",status="200"} 3' in page
    assert server.metrics.in_flight == 0


async def test_what_is_refused(
    proxy: tuple[str, ProxyServer], http: aiohttp.ClientSession, loopback: Loopback
) -> None:
    url, _ = proxy
    large = BytesIO(json.dumps({**CHAT, "user": "x" * 2**21}).encode())
    refused = [
        (413, {"data": large, "headers": {"Content-Type": "application/json"}}),
        (415, {"data": json.dumps(CHAT)}),
        (421, {"json": CHAT, "headers": {"Host": "evil.test"}}),
        (403, {"json": CHAT, "headers": {"Origin": "https://evil.test"}}),
    ]
    for status, options in refused:
        async with http.post(f"{url}/v1/chat/completions", **options) as response:
            assert response.status == status and "error" in await response.json()
    assert not loopback.calls


async def test_a_client_that_leaves_cancels_the_call_upstream(
    proxy: tuple[str, ProxyServer], http: aiohttp.ClientSession, loopback: Loopback
) -> None:
    def endless(call: Call) -> Reply:
        return Reply(manner=Manner.HANG)

    loopback.script(endless)
    url, server = proxy
    asking = asyncio.create_task(http.post(f"{url}/v1/chat/completions", json=CHAT).__aenter__())
    async with asyncio.timeout(10):
        while not loopback.in_flight:
            await asyncio.sleep(0.005)
        asking.cancel()
        while loopback.in_flight or server.metrics.in_flight:
            await asyncio.sleep(0.005)
