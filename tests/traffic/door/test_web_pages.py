"""A real browser with a hostile page in it, and a proxy with a key on the same machine."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from browser import browser, chromium
from loopback import Loopback

from nemo_evaluator.traffic.client import ModelClient
from nemo_evaluator.traffic.door.server import ProxyServer

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(chromium() is None, reason="there is no Chromium on this machine"),
]

ATTACKS = """
async () => {
  const chat = JSON.stringify({max_tokens: 9, messages: [{role: "user", content: "2 + 2?"}]});
  const seen = {};
  const attempt = async (name, what) => {
    try { seen[name] = await what(); } catch (error) { seen[name] = "blocked"; }
  };
  const read = async (path, options) => (await fetch(PROXY + path, options)).text();
  const post = {method: "POST", mode: "no-cors", body: chat};
  const json = {method: "POST", body: chat, headers: {"Content-Type": "application/json"}};
  await attempt("no-cors", async () => (await fetch(PROXY + "/v1/chat/completions", post)).type);
  await attempt("no type", async () => {
    const body = new Blob([chat]);
    return (await fetch(PROXY + "/v1/chat/completions", {...post, body})).type;
  });
  await attempt("delete", async () => (await fetch(PROXY + "/v1/files/delete", post)).type);
  await attempt("cors", () => read("/v1/chat/completions", json));
  await attempt("anthropic", () => read("/v1/messages", json));
  await attempt("models", () => read("/v1/models"));
  await attempt("metrics", () => read("/metrics"));
  await attempt("beacon", async () => navigator.sendBeacon(PROXY + "/v1/chat/completions", chat));
  for (const path of ["/v1/chat/completions", "/v1/files/delete"]) {
    const frame = document.createElement("iframe");
    frame.name = "sink" + path;
    document.body.append(frame);
    const form = document.createElement("form");
    Object.assign(form, {method: "POST", action: PROXY + path, enctype: "text/plain"});
    form.target = frame.name;
    const field = document.createElement("input");
    field.name = chat.slice(0, -1) + ', "x": "';
    field.value = '"}';
    form.append(field);
    document.body.append(form);
    form.submit();
  }
  const image = new Image();
  image.src = PROXY + "/v1/models?" + Math.random();
  await new Promise((done) => setTimeout(done, 500));
  return seen;
}
"""


@pytest.fixture
async def hostile() -> AsyncIterator[str]:
    """The address of a page of another origin."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        page = b"<!doctype html><body>hello</body>"
        head = f"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: {len(page)}\r\n\r\n"
        writer.write(head.encode() + page)
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/"
    server.close()


@pytest.fixture
async def proxy(
    open_model: Callable[..., ModelClient], loopback: Loopback
) -> AsyncIterator[ProxyServer]:
    model = open_model(loopback.url, api_key="key-123456", proxy={"pass_through": ["/v1/files"]})
    server = ProxyServer(model)
    await server.start()
    yield server
    await server.stop()


async def attacked(page: Any, proxy_url: str, at: str) -> dict[str, Any]:
    """What a page at an address gets out of the proxy."""
    await page.send("Page.navigate", url=at)
    while await page.value("document.readyState + location.href") != f"complete{at}":
        await asyncio.sleep(0.02)
    script = f"(() => {{ const PROXY = {proxy_url!r}; return ({ATTACKS})(); }})()"
    got = await page.send(
        "Runtime.evaluate", expression=script, awaitPromise=True, returnByValue=True
    )
    return dict(got["result"]["value"])


async def test_a_page_of_another_origin_spends_nothing(
    proxy: ProxyServer, loopback: Loopback, hostile: str, tmp_path: Path
) -> None:
    async with browser(str(chromium()), tmp_path) as page:
        seen = await attacked(page, proxy.url, hostile)
    for name in ("cors", "anthropic", "models", "metrics"):
        assert seen[name] == "blocked", name
    assert not loopback.calls
    text = proxy.metrics.text(proxy._model)
    assert 'status="403"' in text, "the browser did ask"
    assert 'status="200"' not in text


async def test_dns_rebinding_reads_nothing(
    proxy: ProxyServer, loopback: Loopback, tmp_path: Path
) -> None:
    port = urlsplit(proxy.url).port
    rebound = f"http://evil.test:{port}"
    rule = "--host-resolver-rules=MAP evil.test 127.0.0.1"
    async with browser(str(chromium()), tmp_path, rule) as page:
        seen = await attacked(page, rebound, f"{rebound}/health")
    for name in ("cors", "anthropic", "models", "metrics"):
        assert seen[name] == "blocked" or "not reached as" in seen[name], name
    assert not loopback.calls
    assert 'status="200"' not in proxy.metrics.text(proxy._model)


async def test_the_same_page_with_a_listed_origin_works(
    open_model: Callable[..., ModelClient], loopback: Loopback, hostile: str, tmp_path: Path
) -> None:
    model = open_model(loopback.url, proxy={"allowed_origins": [hostile.rstrip("/")]})
    server = ProxyServer(model)
    await server.start()
    async with browser(str(chromium()), tmp_path) as page:
        seen = await attacked(page, server.url, hostile)
    await server.stop()
    assert "The answer is" in seen["cors"] and "The answer is" in seen["anthropic"]
