"""What every transport promises; see `traffic.transport`.

```python
class TestMine(TransportContract):
    @pytest.fixture
    def open_transport(self):
        return MyTransport          # called as `traffic.open.OpenTransport` says
```

The suite serves an endpoint of its own on loopback, which does as the prompt says.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from ..config.endpoints import TimeoutsConfig
from ..errors import ConfigError
from ..http.app import EVENT_STREAM, Application, Request, Response, Stream
from ..http.server.server import Server
from ..traffic.errors import CannotPassThrough, TransportError
from ..traffic.open import OpenTransport
from ..traffic.transport import RawRequest, Transport
from ..traffic.types import ModelRequest, ModelResponse
from ..types import Failure

PATIENCE = 10.0
KEY = "key-of-the-contract-123"
TEXT = "The answer is 4"
USAGE = {"prompt_tokens": 3, "completion_tokens": 5}


class _Endpoint:
    """Answers chat completions as the prompt says."""

    def __init__(self) -> None:
        self.seen: list[Request] = []
        self.left = 0
        """Requests whose client left before they were answered."""

    def admit(self, request: Request) -> None:
        """Everybody may ask."""

    async def answer(self, request: Request) -> Response | Stream:
        self.seen.append(request)
        if request.path == "/v1/models":
            known = request.headers.get("authorization") == f"Bearer {KEY}"
            return _json({"data": [{"id": "m"}]}) if known else self.failure(request, 401, "no")
        if request.path != "/v1/chat/completions":
            headers = {"x-path": request.path, "x-query": request.query}
            return Response(418, request.body, headers, "text/plain")
        body = json.loads(request.body)
        if request.headers.get("authorization") != f"Bearer {KEY}":
            return self.failure(request, 401, "no")
        try:
            return await self._as_told(request, str(body["messages"][-1]["content"]), body)
        except asyncio.CancelledError:
            self.left += 1
            raise

    async def _as_told(
        self, request: Request, prompt: str, body: dict[str, Any]
    ) -> Response | Stream:
        word, _, number = prompt.partition(" ")
        if word == "status":
            return _json({"error": {"message": "as told"}}, int(number), {"Retry-After": "7"})
        if word == "wait":
            await asyncio.sleep(PATIENCE)
        if word == "garbage":
            return Response(200, b"<html>busy</html>", content_type="text/html")
        if word == "drop":
            return await request.drop()
        if body.get("stream"):
            return await _streamed(request, breaks=word == "cut")
        if word == "cut":
            partial = await request.begin(200, {"content-length": "100"})
            await partial.write(b'{"choices": [')
            partial.is_broken = True
            return partial
        message = {"role": "assistant", "content": TEXT}
        choice = {"index": 0, "message": message, "finish_reason": "stop"}
        return _json({"model": "m", "choices": [choice], "usage": USAGE}, headers={"X-Id": "1"})

    def failure(self, request: Request | None, status: int, message: str) -> Response:
        return _json({"error": {"message": message}}, status)


class TransportContract:
    """Subclass it with a fixture ``open_transport``."""

    @asynccontextmanager
    async def opened(
        self, open_transport: OpenTransport, *, api_key: str | None = KEY, **limits: float
    ) -> AsyncIterator[tuple[Transport, _Endpoint]]:
        """A transport to an endpoint that runs, and the endpoint."""
        endpoint = _Endpoint()
        server = Server(app := Application(endpoint), failure=app.failure)
        url = f"http://127.0.0.1:{await server.start('127.0.0.1', 0)}/v1"
        transport = made(open_transport, url, api_key, **limits)
        try:
            yield transport, endpoint
        finally:
            await transport.close()
            await transport.close()
            await server.stop(0.0)

    # -- answers ----------------------------------------------------------------------------------

    async def test_an_answer(self, open_transport: OpenTransport) -> None:
        """Status, body, headers whatever their case, time; the service's headers and the
        request's own are sent."""
        async with self.opened(open_transport) as (transport, endpoint):
            response = await transport(chat("2 + 2?", headers={"x-own": "mine"}))
            assert response.status == 200 and text_of(response) == TEXT
            assert response.headers.get("x-id") == response.headers.get("X-ID") == "1"
            assert response.latency_ms > 0 and response.chunks is None
            [seen] = endpoint.seen
            assert seen.headers["x-org"] == "we" and seen.headers["x-own"] == "mine"
            assert seen.headers["content-type"] == "application/json"
            assert {"authorization", "x-org"} <= transport.own_headers
            assert "stream" not in json.loads(seen.body)

    async def test_any_status_is_a_response(self, open_transport: OpenTransport) -> None:
        """Errors of the endpoint are for the layers above: nothing is raised, nothing retried."""
        async with self.opened(open_transport) as (transport, endpoint):
            for status in (400, 404, 429, 500, 503):
                response = await transport(chat(f"status {status}"))
                assert response.status == status
                assert response.body["error"]["message"] == "as told"
                assert response.headers.get("retry-after") == "7"
            assert len(endpoint.seen) == 5

    async def test_a_stream_adds_up(self, open_transport: OpenTransport) -> None:
        """A streamed answer is the whole answer, with its usage."""
        async with self.opened(open_transport) as (transport, endpoint):
            response = await transport(chat("2 + 2?", stream=True))
            assert text_of(response) == TEXT and response.body["usage"] == USAGE
            assert response.ttft_ms is not None and response.ttft_ms <= response.latency_ms
            body = json.loads(endpoint.seen[0].body)
            assert body["stream"] is True and body["stream_options"]["include_usage"] is True

    async def test_a_live_stream(self, open_transport: OpenTransport) -> None:
        """The stream's bytes come as they are sent, or there is an error as a response where there
        is no stream."""
        async with self.opened(open_transport) as (transport, _endpoint):
            response = await transport(chat("2 + 2?", stream=True, live=True))
            assert response.status == 200 and response.chunks is not None
            data = b"".join([chunk async for chunk in response.chunks])
            assert data.startswith(b"data: {") and data.endswith(b"data: [DONE]\n\n")
            refused = await transport(chat("status 429", stream=True, live=True))
            assert refused.status == 429 and refused.chunks is None
            broken = await transport(chat("cut", stream=True, live=True))
            assert broken.chunks is not None
            await fails(drained(broken), Failure.CONNECTION)

    async def test_many_at_once(self, open_transport: OpenTransport) -> None:
        """Requests do not wait for each other."""
        async with self.opened(open_transport) as (transport, _endpoint):
            waiting = [asyncio.create_task(transport(chat("wait"))) for _ in range(3)]
            answers = await asyncio.gather(*(transport(chat(f"{n}?")) for n in range(30)))
            assert {text_of(answer) for answer in answers} == {TEXT}
            for task in waiting:
                task.cancel()
            await asyncio.gather(*waiting, return_exceptions=True)

    # -- failures ---------------------------------------------------------------------------------

    async def test_no_connection(self, open_transport: OpenTransport) -> None:
        """The error says that nothing was sent."""
        async with self.opened(open_transport):
            pass  # a port that was free a moment ago
        transport = made(open_transport, await free_url(), KEY)
        error = await fails(transport(chat("2 + 2?")), Failure.CONNECTION)
        assert error.unreachable
        await transport.close()

    async def test_what_breaks_off_may_have_been_paid(self, open_transport: OpenTransport) -> None:
        """The error does not say that nothing was sent, nor what secrets are in the request."""
        async with self.opened(open_transport) as (transport, _endpoint):
            for stream in (False, True):
                for prompt in ("cut", "drop"):
                    error = await fails(transport(chat(prompt, stream=stream)), Failure.CONNECTION)
                    assert not error.unreachable and KEY not in str(error)

    async def test_what_is_no_answer(self, open_transport: OpenTransport) -> None:
        """A success that is not JSON is an error, not an empty answer."""
        async with self.opened(open_transport) as (transport, _endpoint):
            await fails(transport(chat("garbage")), Failure.INVALID_RESPONSE)

    async def test_time(self, open_transport: OpenTransport) -> None:
        """The limit of a whole try is kept."""
        async with self.opened(open_transport, total=0.2) as (transport, _endpoint):
            started = time.monotonic()
            error = await fails(transport(chat("wait")), Failure.TIMEOUT)
            assert time.monotonic() - started < PATIENCE / 2 and not error.unreachable

    async def test_a_cancelled_call_ends_at_the_endpoint(
        self, open_transport: OpenTransport
    ) -> None:
        """Who gives a call up stops paying for it, in a stream too."""
        async with self.opened(open_transport) as (transport, endpoint):
            task = asyncio.create_task(transport(chat("wait")))
            await until(lambda: bool(endpoint.seen))
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            await until(lambda: endpoint.left == 1)

    # -- the rest ---------------------------------------------------------------------------------

    async def test_what_is_passed_through(self, open_transport: OpenTransport) -> None:
        """Sent and returned as it is; or CannotPassThrough."""
        async with self.opened(open_transport) as (transport, endpoint):
            for below_api, path in ((True, "/v1/files/a%20b"), (False, "/files/a%20b")):
                raw = RawRequest("PUT", "/files/a%20b?c=d", {"x-own": "1"}, b"data", below_api)
                try:
                    async with transport.pass_through(raw) as response:
                        data = b"".join([piece async for piece in response.pieces()])
                except CannotPassThrough:
                    return
                assert (response.status, data) == (418, b"data")
                assert response.headers.get("X-Path") == path
                assert response.headers.get("x-query") == "c=d"
                assert endpoint.seen[-1].method == "PUT"
                assert endpoint.seen[-1].headers["x-own"] == "1"

    async def test_check(self, open_transport: OpenTransport) -> None:
        """Nothing to say, a warning for a model that is not listed, an error for a key that is
        refused and for an endpoint that is not there."""
        async with self.opened(open_transport) as (transport, _):
            assert await transport.check("m") is None
            assert "other" in (await transport.check("other") or "")
        async with self.opened(open_transport, api_key="wrong-key-123") as (transport, _):
            await is_refused(transport)
        transport = made(open_transport, await free_url(), KEY)
        await is_refused(transport)
        await transport.close()


def made(
    open_transport: OpenTransport, url: str, api_key: str | None, **limits: float
) -> Transport:
    """A transport of the suite's settings."""
    return open_transport(
        url,
        "chat_completions",
        api_key=api_key,
        headers={"X-Org": "we"},
        max_connections=64,
        timeouts=TimeoutsConfig(**limits),
        key=None,
        tls=None,
        proxy="direct",
    )


def chat(prompt: str, **more: Any) -> ModelRequest:
    """A chat completion."""
    body = {"model": "m", "messages": [{"role": "user", "content": prompt}]}
    return ModelRequest("chat_completions", body, **more)


def text_of(response: ModelResponse) -> str:
    """The text of an answer."""
    return str(response.body["choices"][0]["message"]["content"])


async def fails(call: Any, kind: Failure) -> TransportError:
    """The error of a call that must fail in one way."""
    try:
        await call
    except TransportError as error:
        assert error.kind is kind, f"{error.kind} ({error}) instead of {kind}"
        return error
    raise AssertionError(f"it was answered, where {kind} was expected")


async def is_refused(transport: Transport) -> None:
    """Whether the check says that the endpoint cannot be used."""
    try:
        await transport.check("m")
    except ConfigError:
        return
    raise AssertionError("the check passes")


async def drained(response: ModelResponse) -> None:
    """Read a live stream to its end."""
    assert response.chunks is not None
    async for _ in response.chunks:
        pass


async def free_url() -> str:
    """A URL on loopback at which nothing listens."""
    server = await asyncio.start_server(lambda *_: None, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    server.close()
    await server.wait_closed()
    return f"http://127.0.0.1:{port}/v1"


async def until(condition: Any) -> None:
    """Wait for something to become true."""
    async with asyncio.timeout(PATIENCE):
        while not condition():  # noqa: ASYNC110
            await asyncio.sleep(0.005)


async def _streamed(request: Request, *, breaks: bool) -> Stream:
    middle = len(TEXT) // 2
    deltas = [{"delta": {"content": text}} for text in (TEXT[:middle], TEXT[middle:])]
    events: list[dict[str, Any]] = [
        {"model": "m", "choices": [{"index": 0, **delta}]} for delta in deltas
    ]
    stream = await request.begin(200, content_type=EVENT_STREAM)
    if not breaks:
        end = {"index": 0, "delta": {}, "finish_reason": "stop"}
        events += [{"choices": [end]}, {"choices": [], "usage": USAGE}]
    for event in events:
        await stream.write(b"data: " + json.dumps(event).encode() + b"\n\n")
        await asyncio.sleep(0)
    if breaks:
        stream.is_broken = True
    else:
        await stream.write(b"data: [DONE]\n\n")
    return stream


def _json(body: Any, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    return Response(status, json.dumps(body).encode(), headers or {})
