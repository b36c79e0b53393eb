"""The proxy end to end: a client, the pipeline, a scripted upstream, and back."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from io import BytesIO
from typing import Any

import aiohttp
import pytest
from loopback import FAULTS, Call, Loopback, Manner, Reply, answer, error, number_of

from nemo_evaluator.config.services import SimulatedService
from nemo_evaluator.errors import ConfigError
from nemo_evaluator.services.simulated.model import SimulatedModel
from nemo_evaluator.services.simulated.server import serving
from nemo_evaluator.traffic.client import ModelClient
from nemo_evaluator.traffic.door.server import ProxyServer
from nemo_evaluator.traffic.types import CallContext

JSON = {"Content-Type": "application/json"}
CHAT = {"messages": [{"role": "user", "content": "2 + 2?"}]}
BUDGET = {"name": "budget", "config": {"run": {"tokens": 1}}}
TEXT = f"The answer is {number_of('2 + 2?')}"
Start = Callable[..., Awaitable[ProxyServer]]
OpenModel = Callable[..., ModelClient]


@pytest.fixture
async def start(open_model: OpenModel, loopback: Loopback) -> AsyncIterator[Start]:
    """Starts a proxy of the loopback server; fields but ``options`` are the service's."""
    servers: list[ProxyServer] = []

    async def started(
        *, url: str = "", options: dict[str, Any] | None = None, **fields: Any
    ) -> ProxyServer:
        servers.append(ProxyServer(open_model(url or loopback.url, **fields), **(options or {})))
        await servers[-1].start()
        return servers[-1]

    yield started
    for server in servers:
        await server.stop()
        await server.stop()


@pytest.fixture
async def proxy(start: Start) -> ProxyServer:
    return await start(proxy={"max_retries": 0})


@pytest.fixture
async def http() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as session:
        yield session


class Told:
    """An answer as a client sees it."""

    def __init__(self, response: aiohttp.ClientResponse, data: bytes) -> None:
        self.status, self.headers, self.data = response.status, response.headers, data

    @property
    def body(self) -> Any:
        return json.loads(self.data)

    @property
    def events(self) -> list[Any]:
        """Of a stream; ``[DONE]`` as it is."""
        lines = [line for line in self.data.split(b"\n") if line.startswith(b"data: ")]
        return [line[6:].decode() if b"[DONE]" in line else json.loads(line[6:]) for line in lines]


@pytest.fixture
def ask(http: aiohttp.ClientSession) -> Callable[..., Awaitable[Told]]:
    async def asked(url: str, body: Any = None, method: str = "POST", **options: Any) -> Told:
        if body is not None:
            options["json"] = body
        async with http.request(method, url, **options) as response:
            return Told(response, await response.read())

    return asked


Ask = Callable[..., Awaitable[Told]]


def endless(call: Call) -> Reply:
    """Never answers; hangs for a whole test."""
    return Reply(manner=Manner.HANG)


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not condition():
            await asyncio.sleep(0.005)


# -- paths, sessions, models ----------------------------------------------------------------------


@pytest.mark.parametrize(
    "path",
    [
        "/v1/chat/completions",
        "/chat/completions",
        "/v1/v1/chat/completions",
        "/s/deadbeef1234/v1/chat/completions",
        "/s/ABC-1/chat/completions",
        "/s/gsm8k%2F12%2F0/v1/chat/completions",
    ],
)
async def test_every_path_reaches_its_endpoint(
    proxy: ProxyServer, loopback: Loopback, ask: Ask, path: str
) -> None:
    told = await ask(proxy.url + path, CHAT)
    assert told.status == 200 and told.body["choices"][0]["message"]["content"] == TEXT
    assert told.headers["content-type"] == "application/json"
    assert loopback.calls[0].path == "/v1/chat/completions"


@pytest.mark.parametrize("suffix", ["", "/chat/completions"])
async def test_upstream_with_a_suffix(
    start: Start, loopback: Loopback, ask: Ask, suffix: str
) -> None:
    proxy = await start(url=loopback.url + suffix)
    for path in ("/chat/completions", "/v1/completions", "/responses"):
        body = CHAT | {"prompt": "2 + 2?", "input": [{"role": "user", "content": "2 + 2?"}]}
        assert (await ask(proxy.url + path, body)).status == 200
    found = [call.path for call in loopback.calls]
    assert found == ["/v1/chat/completions", "/v1/completions", "/v1/responses"]


async def test_model_default(start: Start, loopback: Loopback, ask: Ask) -> None:
    named, unnamed = await start(), await start(model=None)
    for proxy, given in ((named, {}), (named, {"model": "x"}), (unnamed, {})):
        await ask(f"{proxy.url}/v1/chat/completions", CHAT | given)
    first, second, third = (call.body for call in loopback.calls)
    assert (first["model"], second["model"]) == ("m", "x")
    assert "model" not in third


@pytest.mark.parametrize("how", ["path", "odd path", "header", "opened"])
async def test_a_session_has_its_own_limits(start: Start, ask: Ask, how: str) -> None:
    proxy = await start(
        proxy={"interceptors": [{"name": "turn_counter", "config": {"max_turns": 2}}]}
    )

    def url(session: str) -> tuple[str, dict[str, str]]:
        if how == "path":
            return f"{proxy.url}/s/{session}/v1", {}
        if how == "odd path":
            return f"{proxy.url}/s/x%2F%C3%A4%20{session}/v1", {}
        if how == "header":
            return f"{proxy.url}/v1", {"X-NEL-Session": session}
        return proxy.open_session(CallContext(session=f"gsm8k/{session}/0")), {}

    for session in ("one", "two"):
        base, headers = url(session)
        for nth in range(3):
            body = {"messages": [{"role": "user", "content": f"question {nth}"}]}
            told = await ask(f"{base}/chat/completions", body, headers=headers)
            assert told.status == (200 if nth < 2 else 429)
    assert told.body["error"]["code"] == "session_budget_exhausted"
    assert told.headers["x-should-retry"] == "false"


async def test_a_session_that_is_over(proxy: ProxyServer, ask: Ask) -> None:
    context = CallContext(session="gsm8k/1/0")
    base = proxy.open_session(context)
    assert (await ask(f"{base}/chat/completions", CHAT)).status == 200
    proxy.close_session(context)
    told = await ask(f"{base}/chat/completions", CHAT)
    assert (told.status, told.body["error"]["code"]) == (410, "session_closed")


async def test_the_list_of_models_is_answered(start: Start, loopback: Loopback, ask: Ask) -> None:
    proxy = await start()
    told = await ask(f"{proxy.url}/s/x/v1/models", method="GET")
    assert [model["id"] for model in told.body["data"]] == ["m"]
    assert (await ask(f"{proxy.url}/v1/models/m", method="GET")).body["id"] == "m"
    assert (await ask(f"{proxy.url}/v1/models/other", method="GET")).status == 404
    unpinned = await start(model=None)
    told = await ask(f"{unpinned.url}/v1/models", method="GET")
    assert [model["id"] for model in told.body["data"]] == list(loopback.models)


async def test_health_and_metrics(proxy: ProxyServer, loopback: Loopback, ask: Ask) -> None:
    loopback.script(answer, FAULTS["bad_request"])
    for _ in range(2):
        await ask(f"{proxy.url}/v1/chat/completions", CHAT)
    for path in ("/health", "/healthz"):
        told = await ask(proxy.url + path, method="GET")
        assert (told.status, told.body) == (200, {"status": "ok"})
    page = (await ask(f"{proxy.url}/metrics", method="GET")).data.decode()
    assert 'nel_proxy_requests_total{kind="chat_completions",status="200"} 1' in page
    assert 'nel_proxy_requests_total{kind="chat_completions",status="400"} 1' in page
    assert "nel_proxy_in_flight 0" in page
    assert len(loopback.calls) == 2


# -- what is not ours -----------------------------------------------------------------------------


async def raw_upstream(data: bytes) -> tuple[asyncio.Server, str, list[bytes]]:
    """An upstream that says ``data`` to every request and closes; and what it was sent."""
    seen: list[bytes] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        seen.append(await reader.read(65536))
        writer.write(data)
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    return server, f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1", seen


async def test_an_azure_path_is_a_call_with_a_model_and_a_key(
    start: Start, ask: Ask, loopback: Loopback
) -> None:
    path = "/openai/deployments/my%20gpt/chat/completions?api-version=2025-01-01"
    proxy = await start(model=None)
    told = await ask(proxy.url + path, CHAT, headers={"api-key": "azure-key-1"})
    assert told.body["choices"][0]["message"]["content"] == TEXT
    assert loopback.calls[-1].body["model"] == "my gpt"
    assert loopback.calls[-1].path == "/v1/chat/completions"
    assert loopback.calls[-1].headers["api-key"] == "azure-key-1"
    await ask(proxy.url + "/openai/v1/chat/completions", CHAT)
    own = await start(api_key="key-1234", proxy={"interceptors": [BUDGET]})
    told = await ask(own.url + path, CHAT, headers={"api-key": "azure-key-1"})
    sent = loopback.calls[-1]
    assert "api-key" not in sent.headers
    assert (sent.headers["authorization"], sent.body["model"]) == ("Bearer key-1234", "m")
    assert (await ask(own.url + path, CHAT)).status == 429  # the budget sees them


async def test_the_token_of_a_proxy_may_come_as_an_azure_key(start: Start, ask: Ask) -> None:
    proxy = await start(options={"token": "token-of-mine"})
    path = f"{proxy.url}/openai/deployments/m/chat/completions"
    assert (await ask(path, CHAT)).status == 401
    assert (await ask(path, CHAT, headers={"api-key": "token-of-mine"})).status == 200


async def test_listed_paths_are_passed_through(start: Start, ask: Ask) -> None:
    said = b"HTTP/1.1 202 Accepted\r\nContent-Type: text/x\r\nX-Upstream: u\r\nServer: s\r\n"
    server, url, seen = await raw_upstream(said + b"Content-Length: 4\r\n\r\nbody")
    paths = ["/v1/files", "/tokenize", "/v1/x"]
    proxy = await start(url=url, api_key="key-1234", proxy={"pass_through": paths})
    told = await ask(
        f"{proxy.url}/s/one/v1/files/a%20b?x=1&y=%26",
        method="PUT",
        data=b"\x00raw",
        headers={"Content-Type": "a/b", "X-Mine": "m", "Connection": "close", "Authorization": "z"},
    )
    assert (told.status, told.data, told.headers["x-upstream"]) == (202, b"body", "u")
    assert told.headers["content-type"] == "text/x" and "server" not in told.headers
    head, _, body = seen[0].partition(b"\r\n\r\n")
    assert head.startswith(b"PUT /v1/files/a%20b?x=1&y=%26 HTTP/1.1\r\n") and body == b"\x00raw"
    lower = head.lower()
    assert b"x-mine: m" in lower and b"content-type: a/b" in lower
    assert b"bearer key-1234" in lower and b"authorization: z" not in lower
    assert b"transfer-encoding" not in lower and b"connection: close" not in lower
    told = await ask(f"{proxy.url}/tokenize", method="OPTIONS")
    assert told.status == 202 and seen[1].startswith(b"OPTIONS /tokenize HTTP/1.1\r\n")
    head_of = await ask(f"{proxy.url}/v1/x", method="HEAD")
    assert (head_of.status, head_of.data) == (202, b"") and seen[2].startswith(b"HEAD /v1/x ")
    server.close()


async def test_what_is_passed_through_keeps_the_query_of_the_upstream(
    start: Start, ask: Ask
) -> None:
    server, url, seen = await raw_upstream(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
    proxy = await start(url=f"{url}?api-version=2025&x=9", proxy={"pass_through": ["/v1/files"]})
    await ask(f"{proxy.url}/v1/files?x=1", method="GET")
    await ask(f"{proxy.url}/v1/files", method="GET")
    assert [head.split()[1] for head in seen] == [
        b"/v1/files?x=1&api-version=2025",
        b"/v1/files?api-version=2025&x=9",
    ]
    server.close()


async def test_half_of_what_is_passed_through_is_no_answer(start: Start, ask: Ask) -> None:
    server, url, _ = await raw_upstream(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf")
    proxy = await start(url=url, proxy={"pass_through": ["/v1/files"]})
    with pytest.raises(aiohttp.ClientPayloadError):
        await ask(f"{proxy.url}/v1/files", method="GET")
    server.close()


# -- failures -------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", [400, 401, 403, 404, 422, 429, 500, 503])
async def test_errors_of_the_upstream(
    proxy: ProxyServer, loopback: Loopback, ask: Ask, status: int
) -> None:
    loopback.script(error(status, "that went wrong", {"Retry-After": "0.05"}, code="some_code"))
    for path in ("/v1/chat/completions", "/v1/messages"):
        told = await ask(proxy.url + path, CHAT | {"model": "m", "max_tokens": 5})
        assert told.status == status and told.headers["retry-after"] == "0.05"
        assert told.body["error"]["message"] == "that went wrong"
        if path == "/v1/messages":
            assert told.body["type"] == "error"
        else:
            assert told.body["error"]["code"] == "some_code"


async def test_errors_of_the_upstream_are_not_made_worse(
    start: Start, loopback: Loopback, ask: Ask
) -> None:
    proxy = await start(proxy={"interceptors": [{"name": "raise_client_errors"}]})
    loopback.script(error(400, "Unknown parameter: foo"))
    told = await ask(f"{proxy.url}/v1/chat/completions", CHAT)
    assert told.status == 400 and told.headers["x-should-retry"] == "false"
    assert told.body["error"]["message"] == "Unknown parameter: foo"


async def test_the_proxy_retries_for_its_clients(
    start: Start, loopback: Loopback, ask: Ask
) -> None:
    proxy = await start(proxy={"max_retries": 2})
    loopback.script(FAULTS["server_error"], FAULTS["drop"], answer)
    assert (await ask(f"{proxy.url}/v1/chat/completions", CHAT)).status == 200
    assert loopback.count("2 + 2?") == 3


@pytest.mark.parametrize("fault", ["invalid_json", "truncated_json", "drop", "cut", "not_http"])
@pytest.mark.parametrize("stream", [False, True])
async def test_unusable_answers(
    proxy: ProxyServer, loopback: Loopback, ask: Ask, fault: str, stream: bool
) -> None:
    def whole(call: Call) -> Reply:
        call.body.pop("stream", None)
        return FAULTS[fault](call)

    loopback.script(whole)
    told = await ask(f"{proxy.url}/v1/chat/completions", CHAT | {"stream": stream})
    assert told.status == 502 and told.body["error"]["message"]


async def test_an_unreachable_upstream(start: Start, ask: Ask) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{taken.getsockname()[1]}/v1"
        proxy = await start(url=url, proxy={"max_retries": 0, "pass_through": ["/v1"]})
        for path, body in (("/v1/chat/completions", CHAT), ("/v1/files", {})):
            told = await ask(proxy.url + path, body)
            assert told.status == 502 and told.body["error"]["type"] == "upstream_error"


async def test_an_upstream_that_takes_too_long(start: Start, loopback: Loopback, ask: Ask) -> None:
    proxy = await start(timeouts={"total": 0.2}, proxy={"max_retries": 0})
    loopback.script(endless)
    told = await ask(f"{proxy.url}/v1/chat/completions", CHAT)
    assert told.status == 504 and "0.2 s" in told.body["error"]["message"]


@pytest.mark.parametrize(
    "data", [b"{not json", b"[1, 2]", b"null", b"", b"\xff\xfe", b"[" * 99_999]
)
async def test_bodies_that_are_no_object(
    proxy: ProxyServer, loopback: Loopback, ask: Ask, data: bytes
) -> None:
    for path in ("/v1/chat/completions", "/v1/messages", "/v1/messages/count_tokens"):
        told = await ask(proxy.url + path, data=data, headers=JSON)
        assert told.status == 400
        assert told.body["error"]["type"] == "invalid_request_error"
    assert not loopback.calls


async def test_an_interceptor_that_crashes(
    start: Start, ask: Ask, monkeypatch: pytest.MonkeyPatch
) -> None:
    from nemo_evaluator.traffic.interceptors.drop_params import DropParams

    def crash(*_: Any) -> None:
        raise RuntimeError("a bug")

    monkeypatch.setattr(DropParams, "on_request", crash)
    interceptors = [{"name": "drop_params", "config": {"params": ["seed"]}}]
    proxy = await start(proxy={"interceptors": interceptors})
    told = await ask(f"{proxy.url}/v1/chat/completions", CHAT)
    assert told.status == 500 and "a bug" in told.body["error"]["message"]
    assert "drop_params" in told.body["error"]["message"]
    assert (await ask(f"{proxy.url}/health", method="GET")).status == 200


async def test_a_body_too_large(start: Start, loopback: Loopback, ask: Ask) -> None:
    proxy = await start(options={"max_body_mb": 1})
    data = json.dumps(CHAT | {"padding": "x" * 20_000_000}).encode()
    told = await ask(f"{proxy.url}/v1/chat/completions", data=BytesIO(data), headers=JSON)
    assert told.status == 413 and "1 MB" in told.body["error"]["message"]
    told = await ask(f"{proxy.url}/v1/messages", data=BytesIO(data), headers=JSON)
    assert (told.status, told.body["type"]) == (413, "error")
    page = (await ask(f"{proxy.url}/metrics", method="GET")).data.decode()
    assert 'nel_proxy_requests_total{kind="chat_completions",status="413"} 1' in page
    assert not loopback.calls


# -- streams --------------------------------------------------------------------------------------


async def test_streams_pass_through(proxy: ProxyServer, loopback: Loopback, ask: Ask) -> None:
    told = await ask(f"{proxy.url}/v1/chat/completions", CHAT | {"stream": True})
    assert told.status == 200 and told.headers["content-type"] == "text/event-stream"
    *events, done = told.events
    pieces = [choice["delta"].get("content", "") for e in events for choice in e["choices"]]
    assert "".join(pieces) == TEXT and done == "[DONE]"
    assert events[-1]["usage"]["completion_tokens"] > 0


@pytest.mark.parametrize("end", [b"data: [DONE]", b"data: [DONE]\n", b""])
@pytest.mark.parametrize("interceptors", [[], [{"name": "reasoning"}]])
async def test_a_stream_without_an_empty_line_at_its_end(
    start: Start, ask: Ask, interceptors: list[dict[str, Any]], end: bytes
) -> None:
    content = {"index": 0, "delta": {"content": "4"}, "finish_reason": None}
    last = {"index": 0, "delta": {}, "finish_reason": "stop"}
    usage = {"prompt_tokens": 5, "completion_tokens": 7}
    lines = [
        b"data: " + json.dumps(event).encode()
        for event in ({"choices": [content]}, {"choices": [last], "usage": usage})
    ]
    said = b"\n\n".join([*lines, end] if end else lines)
    server, url, _ = await raw_upstream(
        b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n" + said
    )
    proxy = await start(url=url, proxy={"interceptors": interceptors})
    told = await ask(f"{proxy.url}/v1/chat/completions", CHAT | {"stream": True})
    assert b"error" not in told.data and b'"stop"' in told.data
    page = (await ask(f"{proxy.url}/metrics", method="GET")).data.decode()
    assert 'nel_tokens_total{kind="completion"} 7' in page
    server.close()


@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/messages"])
@pytest.mark.parametrize("manner", [Manner.RESET, Manner.CUT])
async def test_an_upstream_that_breaks_off_in_a_stream(
    proxy: ProxyServer, loopback: Loopback, ask: Ask, path: str, manner: Manner
) -> None:
    def broken(call: Call) -> Reply:
        reply = answer(call)
        reply.body, reply.pieces, reply.manner = b"".join(reply.pieces), [], manner
        return reply

    loopback.script(broken)
    told = await ask(proxy.url + path, CHAT | {"model": "m", "max_tokens": 9, "stream": True})
    assert told.status == 200
    *events, last = told.events
    assert events and last["error"]["message"]
    assert b"[DONE]" not in told.data and b"message_stop" not in told.data
    page = proxy.metrics
    assert page.in_flight == 0


@pytest.mark.parametrize("stream", [False, True])
async def test_a_client_that_leaves_cancels_the_call_upstream(
    proxy: ProxyServer, loopback: Loopback, stream: bool
) -> None:
    def slow(call: Call) -> Reply:
        reply = answer(call)
        if stream:
            reply.body, reply.pieces = b"".join(reply.pieces), []
        reply.manner, reply.interval = Manner.DRIP, 0.002
        return reply

    loopback.script(slow)
    port = int(proxy.url.rpartition(":")[2])
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    body = json.dumps(CHAT | {"stream": stream}).encode()
    head = b"POST /v1/chat/completions HTTP/1.1\r\nHost: localhost:%d\r\n" % port
    head += b"Content-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(body)
    writer.write(head + body)
    await until(lambda: loopback.in_flight == 1)
    if stream:
        await reader.readuntil(b"data: ")
    writer.close()
    await until(lambda: loopback.in_flight == 0)
    await until(lambda: proxy.metrics.in_flight == 0)


# -- Anthropic ------------------------------------------------------------------------------------


async def test_anthropic_messages_are_answered(
    proxy: ProxyServer, loopback: Loopback, ask: Ask
) -> None:
    body = CHAT | {"model": "m", "max_tokens": 50, "system": "Be brief."}
    told = await ask(f"{proxy.url}/v1/messages", body, headers={"anthropic-version": "2023-06-01"})
    assert told.body["type"] == "message" and told.body["content"][0]["text"] == TEXT
    assert told.body["usage"]["output_tokens"] > 0
    assert loopback.calls[0].path == "/v1/chat/completions"
    assert loopback.calls[0].body["messages"][0] == {"role": "system", "content": "Be brief."}
    assert not [name for name in loopback.calls[0].headers if "anthropic" in name]
    streamed = await ask(f"{proxy.url}/messages", body | {"stream": True})
    events = streamed.events
    assert (events[0]["type"], events[-1]["type"]) == ("message_start", "message_stop")
    deltas = [e["delta"].get("text", "") for e in events if e["type"] == "content_block_delta"]
    assert "".join(deltas) == TEXT
    counted = await ask(f"{proxy.url}/v1/messages/count_tokens", body)
    assert counted.body["input_tokens"] > 0
    refused = await ask(f"{proxy.url}/v1/messages", {"messages": "x"})
    assert (refused.status, refused.body["type"]) == (400, "error")


async def test_the_simulated_model(start: Start, ask: Ask) -> None:
    async with serving(SimulatedModel(SimulatedService(reasoning=True))) as url:
        proxy = await start(url=url)
        whole = await ask(f"{proxy.url}/v1/chat/completions", CHAT)
        text = whole.body["choices"][0]["message"]["content"]
        told = await ask(f"{proxy.url}/v1/chat/completions", CHAT | {"stream": True})
        choices = [choice for e in told.events[:-1] for choice in e["choices"]]
        assert "".join(choice["delta"].get("content") or "" for choice in choices) == text
        told = await ask(f"{proxy.url}/v1/messages", CHAT | {"model": "m", "max_tokens": 500})
        assert text in [block.get("text") for block in told.body["content"]]
        await proxy.stop()


# -- who may come in, and where -------------------------------------------------------------------


async def test_beyond_this_machine(start: Start, loopback: Loopback, ask: Ask) -> None:
    with pytest.raises(ConfigError, match="needs a token"):
        await start(options={"host": "0.0.0.0"})
    proxy = await start(options={"host": "0.0.0.0", "token": "secret-token"}, api_key="key-1")
    port = proxy.url.rpartition(":")[2]
    url = f"http://127.0.0.1:{port}"
    assert (await ask(f"{url}/health", method="GET")).status == 200
    for headers in ({}, {"Authorization": "Bearer other"}, {"x-api-key": "sécret"}):
        for path in ("/v1/chat/completions", "/v1/messages", "/metrics", "/v1/other"):
            told = await ask(url + path, CHAT, headers=headers)
            assert (told.status, told.headers["x-should-retry"]) == (401, "false")
    assert not loopback.calls
    for name, text in (
        ("Authorization", "Bearer secret-token"),
        ("x-api-key", "secret-token"),
        ("X-NEL-Token", "secret-token"),
    ):
        told = await ask(f"{url}/v1/chat/completions", CHAT, headers={name: text})
        assert told.status == 200
    for call in loopback.calls:
        assert call.headers["authorization"] == "Bearer key-1"
        assert "secret-token" not in str(call.headers)


async def test_keys_of_clients(start: Start, loopback: Loopback, ask: Ask) -> None:
    proxy = await start()
    for headers in ({"Authorization": "Bearer mine"}, {"x-api-key": "mine"}):
        await ask(f"{proxy.url}/v1/chat/completions", CHAT, headers=headers)
    assert [call.headers["authorization"] for call in loopback.calls] == ["Bearer mine"] * 2


async def test_a_port_in_use_is_named(start: Start, proxy: ProxyServer) -> None:
    port = int(proxy.url.rpartition(":")[2])
    with pytest.raises(ConfigError, match=f"127.0.0.1:{port}: cannot listen: .*in use"):
        await start(options={"port": port})


async def test_the_proxy_listens_on_ipv6(start: Start, ask: Ask) -> None:
    try:
        proxy = await start(options={"host": "::1"})
    except ConfigError:
        pytest.skip("this machine has no IPv6")
    assert proxy.url.startswith("http://[::1]:")
    assert (await ask(f"{proxy.url}/health", method="GET")).status == 200


# -- the end --------------------------------------------------------------------------------------


async def test_stop_finishes_a_slow_answer(start: Start, loopback: Loopback, ask: Ask) -> None:
    proxy = await start()
    loopback.latency = 0.3
    asked = [
        asyncio.create_task(ask(f"{proxy.url}/v1/chat/completions", CHAT | {"stream": stream}))
        for stream in (False, True)
    ]
    await until(lambda: loopback.in_flight == 2)
    await proxy.stop()
    whole, streamed = await asyncio.gather(*asked)
    assert whole.body["choices"][0]["message"]["content"] == TEXT
    assert whole.headers["connection"] == "close" and streamed.events[-1] == "[DONE]"
    with pytest.raises(aiohttp.ClientConnectorError):
        await ask(f"{proxy.url}/health", method="GET")


async def test_stop_cancels_what_does_not_end(start: Start, loopback: Loopback, ask: Ask) -> None:
    proxy = await start(options={"drain_seconds": 0.1})
    loopback.script(endless)
    asked = asyncio.create_task(ask(f"{proxy.url}/v1/chat/completions", CHAT))
    await until(lambda: loopback.in_flight == 1)
    await proxy.stop()
    with pytest.raises(aiohttp.ClientError):
        await asked
    await until(lambda: loopback.in_flight == 0)


async def test_many_at_once(proxy: ProxyServer, loopback: Loopback, ask: Ask) -> None:
    async def one(number: int) -> None:
        question = f"question {number}"
        body = {"messages": [{"role": "user", "content": question}], "stream": number % 3 == 0}
        told = await ask(f"{proxy.url}/s/{number % 7}/v1/chat/completions", body)
        assert told.status == 200
        if number % 3:
            text = told.body["choices"][0]["message"]["content"]
            assert text == f"The answer is {number_of(question)}"

    await asyncio.gather(*(one(number) for number in range(300)))
    assert len(loopback.calls) == 300
