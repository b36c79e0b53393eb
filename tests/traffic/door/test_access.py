"""Who may use the proxy: names, web pages, bodies, and paths that leave the endpoint's base."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from loopback import Loopback, Reply
from pydantic import ValidationError

from nemo_evaluator.config.proxy import ProxyConfig
from nemo_evaluator.config.services import ApiService
from nemo_evaluator.services.open import open_model
from nemo_evaluator.traffic.client import ModelClient
from nemo_evaluator.traffic.door.routes import PassThrough, stays_below
from nemo_evaluator.traffic.door.server import ProxyServer
from nemo_evaluator.traffic.types import CallContext

CHAT = json.dumps({"messages": [{"role": "user", "content": "2 + 2?"}]}).encode()
PAGE = "http://127.0.0.1:1"
OpenModel = Callable[..., ModelClient]
Start = Callable[..., Awaitable[ProxyServer]]


@pytest.fixture
async def start(open_model: OpenModel, loopback: Loopback) -> AsyncIterator[Start]:
    servers: list[ProxyServer] = []

    async def started(url: str = "", options: dict[str, Any] | None = None, **proxy: Any) -> Any:
        model = open_model(url or loopback.url, api_key="key-123456", proxy=proxy)
        servers.append(ProxyServer(model, **(options or {})))
        await servers[-1].start()
        return servers[-1]

    yield started
    for server in servers:
        await server.stop()


async def said(
    proxy: ProxyServer,
    target: str = "/v1/chat/completions",
    *,
    method: str = "POST",
    body: bytes = CHAT,
    version: str = "1.1",
    **headers: str | None,
) -> tuple[int, dict[str, str], bytes]:
    """What a client is answered that sends exactly these bytes; None leaves a header out."""
    port = int(proxy.url.rpartition(":")[2])
    fields = {"host": f"127.0.0.1:{port}", "content_type": "application/json"} | headers
    lines = [f"{method} {target} HTTP/{version}", f"Content-Length: {len(body)}"]
    lines += [f"{k.replace('_', '-')}: {v.format(port=port)}" for k, v in fields.items() if v]
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write("\r\n".join([*lines, "Connection: close", "", ""]).encode() + body)
        async with asyncio.timeout(10):
            data = await reader.read()
    finally:
        writer.close()
    head, _, content = data.partition(b"\r\n\r\n")
    first, *rest = head.decode().split("\r\n")
    pairs = (line.partition(": ") for line in rest)
    return int(first.split()[1]), {name.lower(): value for name, _, value in pairs}, content


# -- Host -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "host", ["127.0.0.1:{port}", "localhost:{port}", "LocalHost:{port}", "[::1]:{port}"]
)
async def test_its_own_names(start: Start, host: str) -> None:
    assert (await said(await start(), host=host))[0] == 200


@pytest.mark.parametrize(
    "host",
    [
        "evil.test:{port}",
        "evil.test",
        "127.0.0.1",  # port 80 is somebody else
        "127.0.0.1:1",
        "127.0.0.1.evil.test:{port}",
        "localhost:{port}.evil.test",
        "localhost:{port}, evil.test",
        "evil.test:{port}@localhost:{port}",
        "",
        None,
    ],
)
async def test_rebound_names(start: Start, loopback: Loopback, host: str | None) -> None:
    proxy = await start(pass_through=["/"])
    for target in ("/v1/chat/completions", "/v1/messages", "/v1/files/delete", "/health"):
        status, headers, content = await said(proxy, target, host=host)
        assert status == 421 and headers["x-should-retry"] == "false"
        assert b"allowed_hosts" in content
    for target in ("/v1/models", "/metrics"):
        assert (await said(proxy, target, method="GET", body=b"", host=host))[0] == 421
    assert not loopback.calls


async def test_hosts_that_are_allowed(start: Start) -> None:
    proxy = await start(allowed_hosts=["box.lan", "tunnel:5000"])
    for host in ("box.lan:{port}", "box.lan", "BOX.lan:7", "tunnel:5000"):
        assert (await said(proxy, host=host))[0] == 200
    for host in ("tunnel:5001", "tunnel", "xbox.lan", "box.lan.evil"):
        assert (await said(proxy, host=host))[0] == 421


async def test_the_target_names_the_host_too(start: Start, loopback: Loopback) -> None:
    proxy = await start()
    port = proxy.url.rpartition(":")[2]
    own = f"http://127.0.0.1:{port}/v1/chat/completions"
    assert (await said(proxy, own))[0] == 200
    assert (await said(proxy, f"http://evil.test:{port}/v1/chat/completions"))[0] == 421
    assert len(loopback.calls) == 1


async def test_the_old_http_has_no_host(start: Start) -> None:
    assert (await said(await start(), version="1.0", host=None))[0] == 200
    assert (await said(await start(), version="1.0", host="evil.test"))[0] == 421


# -- Origin ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "headers",
    [
        {"origin": PAGE},
        {"origin": "null"},
        {"origin": "https://evil.test", "sec_fetch_site": "cross-site"},
        {"sec_fetch_site": "cross-site"},  # a GET, or <img>, tells no Origin
        {"sec_fetch_site": "same-site"},
    ],
)
async def test_web_pages(start: Start, loopback: Loopback, headers: dict[str, str]) -> None:
    proxy = await start(pass_through=["/"])
    for content_type in ("text/plain", "application/json", None):
        for target in ("/v1/chat/completions", "/v1/files/delete"):
            status, told, _ = await said(proxy, target, content_type=content_type, **headers)
            assert status == 403
            assert not [name for name in told if name.startswith("access-control-")]
    preflight = {"access_control_request_method": "POST", **headers}
    status, told, _ = await said(proxy, method="OPTIONS", body=b"", **preflight)
    assert status == 403 and "access-control-allow-origin" not in told
    assert not loopback.calls


async def test_a_user_may_look_at_the_metrics_in_a_browser(start: Start) -> None:
    proxy = await start()
    got = await said(proxy, "/metrics", method="GET", body=b"", sec_fetch_site="none")
    assert got[0] == 200


async def test_pages_that_are_allowed(start: Start, loopback: Loopback) -> None:
    def open_to_all(call: Any) -> Reply:
        return Reply(body=b'{"id": 1}', headers={"Access-Control-Allow-Origin": "*"})

    loopback.script(open_to_all)
    proxy = await start(allowed_origins=["https://ui.example.com"], pass_through=["/v1/files"])
    origin = "https://ui.example.com"
    asked = {"access_control_request_method": "POST", "access_control_request_headers": "x-a"}
    status, told, _ = await said(proxy, method="OPTIONS", body=b"", origin=origin, **asked)
    assert (status, told["access-control-allow-origin"]) == (204, origin)
    assert told["access-control-allow-headers"] == "x-a"
    for target in ("/v1/chat/completions", "/v1/files", "/nowhere"):
        _, told, _ = await said(proxy, target, origin=origin)
        assert told["access-control-allow-origin"] == origin
    status, told, _ = await said(proxy, "/v1/files")
    assert "access-control-allow-origin" not in told, "the upstream's is not ours"
    assert (await said(proxy, origin="https://ui.example.com.evil.test"))[0] == 403
    assert (await said(proxy, origin="http://ui.example.com"))[0] == 403


async def test_with_a_token_too(start: Start, loopback: Loopback) -> None:
    options = {"host": "0.0.0.0", "token": "token-123456"}
    proxy = await start(options=options, allowed_origins=["https://ui.example.com"])
    key = {"authorization": "Bearer token-123456"}
    assert (await said(proxy, host="box.lan", **key))[0] == 200
    assert (await said(proxy, host="box.lan", origin=PAGE, **key))[0] == 403
    origin = {"origin": "https://ui.example.com"}
    assert (await said(proxy, host="box.lan", **origin))[0] == 401
    preflight = {**origin, "access_control_request_method": "POST"}
    assert (await said(proxy, method="OPTIONS", body=b"", **preflight))[0] == 204
    assert (await said(proxy, method="OPTIONS", body=b"", **origin))[0] == 401
    assert len(loopback.calls) == 1


# -- bodies ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("content_type", "status"),
    [
        ("application/json", 200),
        ("Application/JSON; charset=utf-8", 200),
        ("application/vnd.api+json", 200),
        ("text/plain", 415),
        ("text/plain; application/json", 415),
        ("application/x-www-form-urlencoded", 415),
        ("multipart/form-data; boundary=x", 415),
        (None, 415),
    ],
)
async def test_kinds_of_bodies(
    start: Start, loopback: Loopback, content_type: str | None, status: int
) -> None:
    got = await said(await start(), content_type=content_type)
    assert got[0] == status and len(loopback.calls) == (status == 200)
    if status == 415:
        assert b"Content-Type: application/json" in got[2]


# -- paths ----------------------------------------------------------------------------------------

LEAVING = [
    "/../tenantB",
    "/v1/../../tenantB/v1/files",
    "/v1/files/../../x",
    "/v1/files/%2e%2e/%2E%2E/x",
    "/v1/files/.%2e/x",
    "/v1/files/%252e%252e/x",
    "/v1/files/..%2f..%2fx",
    "/v1/files/..%5c..%5cx",
    "/v1/files/..\\..\\x",
    "/v1/files/..;/..;/x",
    "/v1/files/./x",
    "/v1/files//x",
    "//evil.test/v1/files",
    "/v1//evil.test/files",
    "/v1/files/%00",
    "/v1/files/%25252525252525252e",
    "/v1/models/../../x",
    "/v1/models/%2e%2e/%2e%2e/x",
    "/s/one/../../x",
    "/s/one//evil.test/x",
]


@pytest.mark.parametrize("target", LEAVING)
@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_paths_that_leave_the_base(
    start: Start, loopback: Loopback, target: str, method: str
) -> None:
    proxy = await start(pass_through=["/"])
    assert (await said(proxy, target, method=method))[0] == 404
    assert not loopback.calls


async def test_only_listed_paths_are_passed_through(start: Start, loopback: Loopback) -> None:
    proxy = await start(pass_through=["/v1/files", "/tokenize/"])
    allowed = ("/v1/files", "/v1/files/", "/v1/v1/files/a%20b%2Fc", "/tokenize", "/s/x/v1/files/1")
    for target in allowed:
        assert (await said(proxy, target))[0] != 404 or loopback.calls.pop()
    loopback.calls.clear()
    for target in ("/files", "/v1/tokenize", "/v1/filesystem", "/v1", "/", "/v1/fine_tuning/jobs"):
        status, _, content = await said(proxy, target)
        assert status == 404 and b"proxy.pass_through" in content
    assert not loopback.calls


async def test_nothing_is_passed_through_unasked(start: Start, loopback: Loopback) -> None:
    proxy = await start()
    for method in ("GET", "POST", "DELETE", "OPTIONS"):
        assert (await said(proxy, "/v1/files/delete", method=method))[0] == 404
    assert not loopback.calls


@given(st.text(alphabet="/.%25eEfFcC;\\ab", max_size=24))
def test_what_stays_below_stays_below_however_it_is_decoded(path: str) -> None:
    import posixpath
    from urllib.parse import unquote

    path = f"/{path}"
    if not stays_below(path):
        return
    for _ in range(8):
        plain = "/".join(part.partition(";")[0] for part in path.replace("\\", "/").split("/"))
        assert posixpath.normpath(f"/base{plain}").startswith("/base")
        assert not plain.startswith("//")
        path = unquote(path)


def test_everything_and_the_api() -> None:
    assert PassThrough(["/"]).allows("/v1/x") and PassThrough(["/"]).allows("/x")
    assert PassThrough(["/v1"]).allows("/v1/x") and not PassThrough(["/v1"]).allows("/x")


# -- in a run -------------------------------------------------------------------------------------


async def test_the_door_of_a_run_has_the_same_rules(loopback: Loopback) -> None:
    service = ApiService.model_validate(
        {
            "url": loopback.url,
            "protocol": "chat_completions",
            "model": "m",
            "proxy": {"pass_through": ["/v1/files"]},
        }
    )
    model = open_model("m", service, max_concurrent=4)
    url = await model.base_url(CallContext(session="bench/0/0"))
    root, _, path = url.removeprefix("http://").partition("/")

    class At:
        url = f"http://{root}"

    door: Any = At()
    base = f"/{path}"
    assert (await said(door, f"{base}/chat/completions"))[0] == 200
    assert (await said(door, f"{base}/chat/completions", host="evil.test"))[0] == 421
    assert (await said(door, f"{base}/chat/completions", origin=PAGE))[0] == 403
    assert (await said(door, f"{base}/chat/completions", content_type="text/plain"))[0] == 415
    assert (await said(door, f"{base}/batches"))[0] == 404
    assert len(loopback.calls) == 1
    await said(door, f"{base}/files")
    assert loopback.calls[-1].path == "/v1/files"
    await model.close()


@pytest.mark.parametrize(
    ("field", "wrong", "right"),
    [
        ("pass_through", ["v1", "/v1/*", "/a/../b", "/a?b", "//a", ""], ["/", "/v1/a%20b/", "/a"]),
        ("allowed_origins", ["*", "a.b", "http://a/b", ""], ["http://a:1", "https://[::1]:2"]),
        ("allowed_hosts", ["*", "a/b", "http://a", "a:b", ""], ["a", "a.b:1", "[::1]:2"]),
    ],
)
def test_how_the_fields_are_written(field: str, wrong: list[str], right: list[str]) -> None:
    assert getattr(ProxyConfig.model_validate({field: right}), field) == right
    for text in wrong:
        with pytest.raises(ValidationError, match=r"is not an? (path|origin|host): write "):
            ProxyConfig.model_validate({field: [text]})
