"""One try over a real socket: what comes back, and what every broken connection becomes."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
from loopback import FAULTS, Call, Loopback, Manner, Reply, Script, answer, drip, error, json_reply

from nemo_evaluator.config.endpoints import TimeoutsConfig
from nemo_evaluator.errors import ConfigError, PermanentError
from nemo_evaluator.traffic.errors import TransportError
from nemo_evaluator.traffic.http import HttpTransport
from nemo_evaluator.traffic.transport import RawRequest
from nemo_evaluator.traffic.types import ModelRequest
from nemo_evaluator.types import Failure

BODY = {"model": "m", "messages": [{"role": "user", "content": "2 + 2?"}]}
Open = Callable[..., HttpTransport]


def request(**more: Any) -> ModelRequest:
    return ModelRequest("chat_completions", BODY, **more)


@pytest.fixture
async def connect() -> AsyncIterator[Open]:
    opened: list[HttpTransport] = []

    def connect_to(url: str, protocol: str = "chat_completions", **options: Any) -> HttpTransport:
        opened.append(HttpTransport(url, protocol, **options))
        return opened[-1]

    yield connect_to
    for transport in opened:
        await transport.close()


async def failure(transport: HttpTransport, **more: Any) -> TransportError:
    with pytest.raises(TransportError) as caught:
        await transport(request(**more))
    assert "http://" not in str(caught.value)
    return caught.value


async def test_an_answer(loopback: Loopback, connect: Open) -> None:
    response = await connect(loopback.url, api_key="key")(request())
    assert response.status == 200
    assert response.body["choices"][0]["finish_reason"] == "stop"
    assert response.latency_ms > 0
    assert response.ttft_ms is None
    call = loopback.calls[0]
    assert call.path == "/v1/chat/completions"
    assert call.headers["authorization"] == "Bearer key"
    assert call.headers["content-type"] == "application/json"
    assert call.body == BODY


@pytest.mark.parametrize("ending", ["", "/", "/chat/completions", "/chat/completions/"])
async def test_every_form_of_the_url(loopback: Loopback, connect: Open, ending: str) -> None:
    await connect(loopback.url + ending)(request())
    await connect(loopback.url.removesuffix("/v1"))(request())
    assert {call.path for call in loopback.calls} == {"/v1/chat/completions"}


@pytest.mark.parametrize("protocol", ["chat_completions", "completions", "responses"])
async def test_a_stream_equals_the_whole_answer(
    loopback: Loopback, connect: Open, protocol: str
) -> None:
    from nemo_evaluator.traffic.dialects import DIALECTS, Question

    dialect = DIALECTS[protocol]
    body = dialect.build(Question("m", "2 + 2?"))
    transport = connect(loopback.url, protocol)
    whole = await transport(ModelRequest(protocol, body))
    streamed = await transport(ModelRequest(protocol, body, stream=True))
    assert dialect.parse(streamed.body) == dialect.parse(whole.body)
    assert streamed.ttft_ms is not None
    assert 0 < streamed.ttft_ms <= streamed.latency_ms
    options = {} if protocol == "responses" else {"stream_options": {"include_usage": True}}
    assert loopback.calls[1].body == {**body, "stream": True, **options}


async def test_an_unstreamed_answer_to_a_streamed_request(
    loopback: Loopback, connect: Open
) -> None:
    loopback.script(FAULTS["null_content"])
    response = await connect(loopback.url)(request(stream=True))
    assert response.body["choices"][0]["message"]["reasoning_content"] == "The answer is 7"


@pytest.mark.parametrize(
    ("fault", "stream", "kind", "text"),
    [
        ("reset", False, Failure.CONNECTION, "broke off: "),
        ("cut", False, Failure.CONNECTION, "broke off"),
        ("drop", False, Failure.CONNECTION, ""),
        ("not_http", False, Failure.CONNECTION, "is not HTTP"),
        ("invalid_json", False, Failure.INVALID_RESPONSE, "not a JSON object: '<html>"),
        ("truncated_json", False, Failure.INVALID_RESPONSE, "not a JSON object"),
        ("sse_cut", True, Failure.INVALID_RESPONSE, "broke off"),
        ("sse_short", True, Failure.CONNECTION, "ended before the answer"),
        ("reset", True, Failure.CONNECTION, ""),
        ("cut", True, Failure.CONNECTION, "broke off"),
    ],
)
async def test_broken_answers(
    loopback: Loopback, connect: Open, fault: str, stream: bool, kind: Failure, text: str
) -> None:
    loopback.script(FAULTS[fault])
    caught = await failure(connect(loopback.url), stream=stream)
    assert caught.kind is kind
    assert text in str(caught)


async def test_a_body_of_ten_megabytes(loopback: Loopback, connect: Open) -> None:
    loopback.script(FAULTS["big_body"])
    response = await connect(loopback.url)(request())
    assert len(response.body["choices"][0]["message"]["content"]) == 10_000_000


async def test_a_list_is_no_answer(loopback: Loopback, connect: Open) -> None:
    loopback.script(lambda call: json_reply([1]))
    assert (await failure(connect(loopback.url))).kind is Failure.INVALID_RESPONSE


async def test_an_error_page_keeps_its_status_and_text(loopback: Loopback, connect: Open) -> None:
    loopback.script(lambda call: Reply(b"<h1>Bad gateway</h1>", 502, content_type="text/html"))
    response = await connect(loopback.url)(request())
    assert (response.status, response.body["error"]["message"]) == (502, "<h1>Bad gateway</h1>")


async def test_a_redirect_is_not_followed(loopback: Loopback, connect: Open) -> None:
    loopback.script(lambda call: Reply(status=308, headers={"Location": "/v2"}))
    response = await connect(loopback.url)(request())
    assert (response.status, loopback.count("2 + 2?")) == (308, 1)


async def test_an_error_event_of_a_stream_is_handed_on(loopback: Loopback, connect: Open) -> None:
    event = b'data: {"error": {"message": "busy", "code": 503}}\n\n'
    loopback.script(
        lambda call: Reply(manner=Manner.CHUNKS, pieces=[event], content_type="text/event-stream")
    )
    response = await connect(loopback.url)(request(stream=True))
    assert response.body == {"error": {"message": "busy", "code": 503}}


# -- timeouts -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("script", "options", "text"),
    [
        (FAULTS["hang"], {"first_byte": 0.1}, "no answer within 0.1 s"),
        (FAULTS["hang"], {"total": 0.1}, "not finished within 0.1 s"),
        (drip, {"total": 0.1, "first_byte": 30.0}, "not finished within 0.1 s"),
    ],
)
async def test_timeouts_say_which(
    loopback: Loopback, connect: Open, script: Script, options: dict[str, float], text: str
) -> None:
    loopback.script(script)
    caught = await failure(connect(loopback.url, timeouts=TimeoutsConfig(**options)))
    assert caught.kind is Failure.TIMEOUT
    assert text in str(caught)


async def test_a_stalled_body_is_late(loopback: Loopback, connect: Open) -> None:
    loopback.script(lambda call: Reply(manner=Manner.DRIP, body=b"{}" * 9, interval=0.3))
    caught = await failure(connect(loopback.url, timeouts=TimeoutsConfig(idle=0.1)))
    assert caught.kind is Failure.TIMEOUT
    text = "timeout: not one more byte of the answer within 0.1 s (timeouts.idle)"
    assert str(caught) == text


async def test_a_slow_body_is_not_late_once_it_began(loopback: Loopback, connect: Open) -> None:
    loopback.script(lambda call: drip(call, interval=0.002))
    response = await connect(loopback.url, timeouts=TimeoutsConfig(first_byte=0.2))(request())
    assert response.latency_ms > 200


async def test_cancelling_a_call_is_not_a_timeout(loopback: Loopback, connect: Open) -> None:
    loopback.script(FAULTS["hang"])
    call = asyncio.create_task(
        connect(loopback.url, timeouts=TimeoutsConfig(first_byte=30.0))(request())
    )
    await asyncio.sleep(0.05)
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call


# -- keys and headers -----------------------------------------------------------------------------


async def test_own_headers_win_whatever_their_case(loopback: Loopback, connect: Open) -> None:
    headers = {"authorization": "Token abc", "X-Org": "we"}
    transport = connect(loopback.url, api_key="key", headers=headers)
    await transport(request(headers={"x-org": "they"}))
    await transport(request())
    assert loopback.calls[0].headers["authorization"] == "Token abc"
    assert [call.headers["x-org"] for call in loopback.calls] == ["they", "we"]


async def test_credentials_of_the_url_are_sent_and_not_shown(
    loopback: Loopback, connect: Open
) -> None:
    transport = connect(loopback.url.replace("://", "://me:hunter22@"))
    await transport(request())
    assert loopback.calls[0].headers["authorization"] == "Basic bWU6aHVudGVyMjI="
    assert "hunter22" not in transport.peer + transport.url


async def test_a_key_with_a_line_end_is_trimmed(loopback: Loopback, connect: Open) -> None:
    await connect(loopback.url, api_key="key\n")(request())
    assert loopback.calls[0].headers["authorization"] == "Bearer key"


def test_a_key_with_a_line_break_in_it_is_refused_without_showing_it() -> None:
    with pytest.raises(ConfigError) as caught:
        HttpTransport("http://h/v1", "chat_completions", api_key="sec\nret")
    expected = "http://h: the api_key has a line break or control character in it"
    assert str(caught.value) == expected


async def test_a_header_that_would_be_two_is_not_sent(loopback: Loopback, connect: Open) -> None:
    with pytest.raises(PermanentError, match="the header 'x-a' has a line break") as caught:
        await connect(loopback.url)(request(headers={"x-a": "1\r\nx-b: hush"}))
    assert caught.value.info.kind is Failure.BAD_REQUEST
    assert "hush" not in str(caught.value)
    assert loopback.calls == []


@pytest.mark.parametrize("name", ["content-length", "Transfer-Encoding", "X A"])
def test_headers_that_cannot_be_set_are_refused(name: str) -> None:
    with pytest.raises(ConfigError, match=f"^http://h: the header '{name}' "):
        HttpTransport("http://h/v1", "chat_completions", headers={name: "1"})


# -- requests of other kinds ----------------------------------------------------------------------


async def test_a_request_that_is_passed_through(loopback: Loopback, connect: Open) -> None:
    loopback.script(lambda call: json_reply({"path": call.path}, 201, {"X-Id": "7"}))
    transport = connect(loopback.url, api_key="key")
    sent = {"content-type": "application/x-ndjson", "x-org": "we"}
    async with transport.pass_through(RawRequest("POST", "/files?a=b", sent, b"{}")) as response:
        assert (response.status, response.headers.get("x-id")) == (201, "7")
        data = b"".join([chunk async for chunk in response.pieces()])
    assert data == b'{"path":"/v1/files"}'
    async with transport.pass_through(RawRequest("POST", "/x", below_api=False)) as response:
        pass
    first, second = loopback.calls
    assert first.headers["content-type"] == "application/x-ndjson"
    assert first.headers["authorization"] == second.headers["authorization"] == "Bearer key"
    assert (first.headers["x-org"], second.path) == ("we", "/x")


async def test_a_failure_of_what_is_passed_through(loopback: Loopback, connect: Open) -> None:
    loopback.script(FAULTS["cut"])
    with pytest.raises(TransportError, match=r"^the response broke off"):
        async with connect(loopback.url).pass_through(
            RawRequest("POST", "/x", {}, b"{}")
        ) as response:
            async for _ in response.pieces():
                pass
    with pytest.raises(TransportError, match="the header 'x-a' has a line break"):
        async with connect(loopback.url).pass_through(RawRequest("GET", "/x", {"x-a": "\n"})):
            pass


async def test_a_live_stream_ends_with_its_limit(loopback: Loopback, connect: Open) -> None:
    pieces = [b'data: {"choices": [{"delta": {"content": "a"}}]}\n\n'] * 2

    def endless(call: Call) -> Reply:
        data = b"".join(pieces)
        kind = "text/event-stream"
        return Reply(data, manner=Manner.DRIP, interval=0.01, content_type=kind)

    loopback.script(endless)
    response = await connect(loopback.url, timeouts=TimeoutsConfig(total=0.8))(
        request(stream=True, live=True)
    )
    assert response.chunks is not None
    with pytest.raises(TransportError, match=r"^timeout: not finished within 0\.8 s"):
        async for _ in response.chunks:
            pass


def test_an_http_endpoint_needs_no_aiohttp() -> None:
    code = "import sys, nemo_evaluator.traffic.http; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not {"aiohttp", "multidict", "yarl"} & set(done.stdout.split())


# -- pre-flight -----------------------------------------------------------------------------------


async def test_check_passes_a_listed_model(loopback: Loopback, connect: Open) -> None:
    assert await connect(loopback.url).check("m") is None


async def test_check_warns_of_a_model_that_is_not_listed(connect: Open) -> None:
    async with Loopback(models=tuple("abcdefg")) as server:
        warning = await connect(server.url).check("m")
    assert warning == "the endpoint does not list the model 'm'; it lists a, b, c, d, e"


@pytest.mark.parametrize("status", [401, 403])
async def test_check_refuses_a_bad_key(loopback: Loopback, connect: Open, status: int) -> None:
    loopback.models_reply = error(status, "no")
    loopback.script(error(status, "no"))
    hint = "set api_key: ${VARIABLE} of the service, --api-key-env or NEMO_API_KEY"
    peer = loopback.url.removesuffix("/v1")
    with pytest.raises(ConfigError) as caught:
        await connect(loopback.url, api_key="wrong").check("m")
    assert str(caught.value) == f"{peer}: the api_key was refused (HTTP {status}) — {hint}"
    with pytest.raises(ConfigError, match="it requires an api_key"):
        await connect(loopback.url).check("m")


@pytest.mark.parametrize("status", [401, 403])
async def test_a_key_that_may_only_not_list_models_is_a_warning(
    loopback: Loopback, connect: Open, status: int
) -> None:
    loopback.models_reply = error(status, "no")
    loopback.script(error(400, "messages: field required"))
    warning = await connect(loopback.url, api_key="narrow").check("m")
    text = f"the key may not list the models (HTTP {status}); that alone is not a problem"
    assert warning == text
    assert [call.body for call in loopback.calls if call.method == "POST"] == [{}]


@pytest.mark.parametrize(
    "reply",
    [error(404, "no"), error(500, "no"), lambda call: json_reply([]), FAULTS["invalid_json"]],
)
async def test_any_other_answer_decides_nothing(
    loopback: Loopback, connect: Open, reply: Script
) -> None:
    loopback.models_reply = reply
    assert await connect(loopback.url).check("m") is None


async def test_a_check_that_hangs_decides_nothing(
    loopback: Loopback, connect: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("nemo_evaluator.traffic.http.CHECK_SECONDS", 0.1)

    def hang(call: Call) -> Reply:
        reply = answer(call)
        reply.manner = Manner.HANG
        return reply

    loopback.models_reply = hang
    assert await connect(loopback.url).check("m") is None


async def test_check_of_a_closed_port(connect: Open) -> None:
    async with Loopback() as server:
        url = server.url
    with pytest.raises(ConfigError) as caught:
        await connect(url + "?key=hush-hush").check("m")
    text = str(caught.value)
    host = url.removeprefix("http://").removesuffix("/v1")
    assert text.startswith(f"http://{host}: unreachable: Cannot connect to host {host} [")
    assert text.endswith("— check the service's url, and that the server is running")
    assert "\n" not in text
    assert "hush" not in text


async def test_check_of_tls_on_a_plain_port(loopback: Loopback, connect: Open) -> None:
    with pytest.raises(ConfigError, match="unreachable: Cannot connect to host"):
        await connect(loopback.url.replace("http://", "https://")).check("m")


async def test_a_failed_connection_is_a_transport_error(connect: Open) -> None:
    async with Loopback() as server:
        url = server.url
    assert (await failure(connect(url))).kind is Failure.CONNECTION
