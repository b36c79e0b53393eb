"""Names, addresses, certificates and proxies: what connects, and what is said when it does not."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from free_ports import free_port
from hypothesis import given
from hypothesis import strategies as st

from nemo_evaluator.config.endpoints import TimeoutsConfig
from nemo_evaluator.errors import ConfigError
from nemo_evaluator.http.client import dial as dial_module
from nemo_evaluator.http.client import names as names_module
from nemo_evaluator.http.client.dial import first_connected
from nemo_evaluator.http.client.errors import BrokenOff, CannotConnect, Late, Limit
from nemo_evaluator.http.client.names import Address, Names
from nemo_evaluator.http.client.origin import Origin
from nemo_evaluator.http.client.pool import Pool
from nemo_evaluator.http.client.proxies import Proxy, is_exempt
from nemo_evaluator.http.client.tls import Tls
from nemo_evaluator.traffic.errors import TransportError
from nemo_evaluator.traffic.http import HttpTransport
from nemo_evaluator.traffic.types import ModelRequest

from .conftest import OK, MakePool, Peer, Serve, answers, ask, saying

JSON = b'HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\n{"a": 1}'
REQUEST = ModelRequest("chat_completions", {"model": "m"})


# -- addresses ------------------------------------------------------------------------------------


def address(port: int) -> Address:
    return (socket.AF_INET, socket.SOCK_STREAM, 0, "", ("127.0.0.1", port))


@pytest.fixture
def silent_port() -> Iterator[int]:
    """A port that neither takes nor refuses connections: its queue is full."""
    with socket.socket() as listening, contextlib.ExitStack() as stack:
        listening.bind(("127.0.0.1", 0))
        listening.listen(0)
        for _ in range(3):
            sock = stack.enter_context(socket.socket())
            sock.setblocking(False)
            sock.connect_ex(listening.getsockname())
        yield listening.getsockname()[1]


@pytest.fixture
def closed_port() -> int:
    return free_port()


async def test_the_next_address_has_its_turn_while_the_first_is_silent(
    serve: Serve, silent_port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dial_module, "HEAD_START", 0.05)
    server = await serve(answers)
    started = time.perf_counter()
    sock = await first_connected([address(silent_port), address(server.port)])
    assert sock.getpeername()[1] == server.port
    assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
    assert 0.04 < time.perf_counter() - started < 1
    sock.close()


async def test_the_next_address_has_its_turn_when_the_first_refuses(
    serve: Serve, closed_port: int
) -> None:
    server = await serve(answers)
    started = time.perf_counter()
    sock = await first_connected([address(closed_port), address(server.port)])
    assert sock.getpeername()[1] == server.port
    assert time.perf_counter() - started < 0.2
    sock.close()


async def test_all_addresses_refuse(closed_port: int) -> None:
    with pytest.raises(ConnectionRefusedError):
        await first_connected([address(closed_port)] * 2)


async def test_cancelling_leaves_no_socket(silent_port: int) -> None:
    call = asyncio.create_task(first_connected([address(silent_port)] * 2))
    await asyncio.sleep(0.01)
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call
    await asyncio.sleep(0.01)  # a socket left open would be a ResourceWarning


async def test_a_connection_that_does_not_come(silent_port: int) -> None:
    pool = Pool(Origin("http", "127.0.0.1", silent_port), 1, 0.05)
    for _ in range(2):
        with pytest.raises(Late) as caught:
            await ask(pool)
        assert caught.value.limit is Limit.CONNECT
    await pool.close()


async def test_the_text_of_a_connect_timeout(silent_port: int) -> None:
    url = f"http://127.0.0.1:{silent_port}"
    transport = HttpTransport(url, "chat_completions", timeouts=TimeoutsConfig(connect=0.05))
    with pytest.raises(TransportError) as caught:
        await transport(REQUEST)
    assert str(caught.value) == "timeout: no connection within 0.05 s (timeouts.connect)"
    await transport.close()


async def test_an_ipv6_address_is_reached(serve: Serve) -> None:
    try:
        server = await serve(answers, host="::1")
    except OSError:
        pytest.skip("no IPv6 here")
    origin = Origin.of(f"http://[::1]:{server.port}/v1")
    assert (origin.authority, origin.shown) == (f"[::1]:{server.port}",) * 2
    pool = Pool(origin, 1, 5.0)
    assert await (await ask(pool)).read() == b"ok"
    await pool.close()


async def test_a_name_with_several_addresses(serve: Serve, make_pool: MakePool) -> None:
    server = await serve(answers)  # on 127.0.0.1 only; localhost may also be ::1
    assert await (await ask(make_pool(server, host="localhost"))).read() == b"ok"


@pytest.mark.asyncio(loop_factories=["asyncio"])  # its look-ups are blocked by the tests' guard
async def test_an_unknown_host_name(make_pool: MakePool) -> None:
    with pytest.raises(CannotConnect) as caught:
        await ask(make_pool(80, host="no-such-host.invalid"))
    start = "Cannot connect to host no-such-host.invalid:80 ["
    assert str(caught.value).startswith(start)
    assert len(str(caught.value)) > len(start) + 5


@pytest.mark.asyncio(loop_factories=["asyncio"])  # whose look-ups can be replaced
async def test_many_connections_share_one_look_up(
    serve: Serve, make_pool: MakePool, monkeypatch: pytest.MonkeyPatch
) -> None:
    looked_up = []

    def slowly(*asked: Any, **more: Any) -> list[Address]:
        looked_up.append(asked)
        time.sleep(0.1)
        return [address(server.port)]

    async def handler(peer: Peer) -> None:
        await peer.request()
        await everybody.wait()
        await peer.send(OK)

    everybody = asyncio.Event()
    server = await serve(handler)
    monkeypatch.setattr(socket, "getaddrinfo", slowly)
    pool = make_pool(server, host="model.test", limit=256)
    calls = [asyncio.create_task(ask(pool)) for _ in range(256)]
    async with asyncio.timeout(5):
        while server.open < 256:
            await asyncio.sleep(0.005)
    everybody.set()
    assert {response.status for response in await asyncio.gather(*calls)} == {200}
    assert len(looked_up) == 1


@pytest.mark.asyncio(loop_factories=["asyncio"])
async def test_who_gives_up_a_look_up_does_not_end_it_for_the_others(
    serve: Serve, make_pool: MakePool, monkeypatch: pytest.MonkeyPatch
) -> None:
    def slowly(*asked: Any, **more: Any) -> list[Address]:
        time.sleep(0.1)
        return [address(server.port)]

    server = await serve(answers)
    monkeypatch.setattr(socket, "getaddrinfo", slowly)
    pool = make_pool(server, host="model.test")
    first, second = (asyncio.create_task(ask(pool)) for _ in range(2))
    await asyncio.sleep(0.02)
    first.cancel()
    assert (await second).status == 200
    other = make_pool(server, host="model.test")
    call = asyncio.create_task(ask(other))
    await asyncio.sleep(0.02)
    await other.close()
    with pytest.raises(BrokenOff):  # not a CancelledError: nobody cancelled it
        await call


@pytest.mark.asyncio(loop_factories=["asyncio"])
async def test_addresses_are_kept_for_a_while_and_dropped_if_they_lead_nowhere(
    serve: Serve, closed_port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = [[address(closed_port)], [address(closed_port), address(closed_port)]]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *asked, **more: found.pop(0))
    pool = Pool(Origin("http", "model.test", 80), 4, 5.0)
    with pytest.raises(CannotConnect):
        await ask(pool)
    assert len(found) == 1
    server = await serve(answers)
    found.append([address(closed_port), address(server.port)])
    with pytest.raises(CannotConnect):
        await ask(pool)
    assert not found[1:]
    responses = await asyncio.gather(*(ask(pool) for _ in range(4)))
    assert {response.status for response in responses} == {200}
    assert not found
    names = Names("model.test", 80)
    found.append([address(1), address(2)])
    assert [each[4][1] for each in await names.addresses()] == [1, 2]
    names.prefer(("127.0.0.1", 2))
    assert [each[4][1] for each in await names.addresses()] == [2, 1]
    monkeypatch.setattr(names_module, "KEEP_SECONDS", -1.0)
    names.forget()
    found += [[address(3)], [address(4)]]
    assert [(await names.addresses())[0][4][1] for _ in range(2)] == [3, 4]
    await pool.close()


# -- TLS ------------------------------------------------------------------------------------------


async def test_tls_with_a_certificate_of_the_environment(
    serve: Serve,
    make_pool: MakePool,
    tls: ssl.SSLContext,
    certificate: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    names: list[str | None] = []
    tls.sni_callback = lambda connection, name, context: names.append(name)
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    server = await serve(answers, context=tls)
    pool = make_pool(server, host="localhost", scheme="https")
    for size in (0, 10, 2**21):
        assert await (await ask(pool, b"x" * size)).read() == b"ok"
    assert names == ["localhost"]
    assert server.connections == 1


async def test_a_tls_stream_with_a_slow_reader(
    serve: Serve,
    make_pool: MakePool,
    tls: ssl.SSLContext,
    certificate: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    size = 8 * 2**20

    async def handler(peer: Peer) -> None:
        while True:
            await peer.request()
            await peer.send(f"HTTP/1.1 200 OK\r\nContent-Length: {size}\r\n\r\n".encode())
            await peer.send(b"x" * size)

    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    server = await serve(handler, context=tls)
    pool = make_pool(server, host="localhost", scheme="https")
    for _ in range(2):
        response = await ask(pool, whole=False)
        await asyncio.sleep(0.1)
        assert sum([len(chunk) async for chunk in response.pieces()]) == size
    assert server.connections == 1


async def test_a_certificate_of_an_unknown_authority(
    serve: Serve, make_pool: MakePool, tls: ssl.SSLContext
) -> None:
    server = await serve(answers, context=tls)
    with pytest.raises(CannotConnect, match=r"\[certificate verify failed: self.signed cert") as e:
        await ask(make_pool(server, host="localhost", scheme="https"))
    assert "name a file with its certificate as the service's ca_file" in str(e.value)
    transport = HttpTransport(f"https://localhost:{server.port}", "chat_completions")
    with pytest.raises(ConfigError, match="ca_file"):
        await transport.check("m")
    await transport.close()


async def test_a_certificate_that_the_service_trusts(
    serve: Serve, tls: ssl.SSLContext, certificate: Path
) -> None:
    server = await serve(saying(JSON), context=tls)
    transport = HttpTransport(
        f"https://localhost:{server.port}", "chat_completions", tls=Tls(ca_file=str(certificate))
    )
    assert (await transport(REQUEST)).body == {"a": 1}
    await transport.close()


@pytest.fixture
def strict_port(tls: ssl.SSLContext, certificate: Path) -> Iterator[int]:
    """A server that wants a client certificate, and says so as OpenSSL's servers do (asyncio's
    only hangs up)."""
    tls.verify_mode = ssl.CERT_REQUIRED
    tls.load_verify_locations(certificate)
    listening = socket.create_server(("127.0.0.1", 0))

    def serve_all() -> None:
        while True:
            try:
                plain, _ = listening.accept()
            except OSError:
                return
            plain.settimeout(1)
            wrapped = tls.wrap_socket(plain, server_side=True, do_handshake_on_connect=False)
            with wrapped as sock, contextlib.suppress(OSError):
                try:
                    sock.do_handshake()
                    sock.recv(2**16)
                    sock.sendall(JSON)
                except ssl.SSLError:  # what is left unread would reset the connection
                    while socket.socket.recv(sock, 2**16):
                        pass

    thread = threading.Thread(target=serve_all)
    thread.start()
    yield listening.getsockname()[1]
    listening.shutdown(socket.SHUT_RDWR)
    listening.close()
    thread.join()


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
async def test_a_server_that_wants_a_client_certificate(
    strict_port: int, tls: ssl.SSLContext, certificate: Path, version: ssl.TLSVersion
) -> None:
    tls.minimum_version = tls.maximum_version = version
    url, both = f"https://localhost:{strict_port}", str(certificate)
    known = HttpTransport(url, "chat_completions", tls=Tls(both, client_cert=both, client_key=both))
    assert (await known(REQUEST)).body == {"a": 1}
    await known.close()
    stranger = HttpTransport(url, "chat_completions", tls=Tls(ca_file=both))
    with pytest.raises(TransportError, match="the server requires a client certificate"):
        await stranger(REQUEST)
    with pytest.raises(ConfigError, match="client_cert, and the file of its key as client_key"):
        await stranger.check("m")
    await stranger.close()


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
async def test_a_server_that_only_hangs_up_on_strangers(
    serve: Serve, tls: ssl.SSLContext, certificate: Path, version: ssl.TLSVersion
) -> None:
    tls.verify_mode = ssl.CERT_REQUIRED
    tls.load_verify_locations(certificate)
    tls.minimum_version = tls.maximum_version = version
    server = await serve(answers, context=tls)  # asyncio's TLS sends no alert
    stranger = HttpTransport(
        f"https://localhost:{server.port}", "chat_completions", tls=Tls(str(certificate))
    )
    with pytest.raises(TransportError, match="perhaps the server requires a client certificate"):
        await stranger(REQUEST)
    await stranger.close()


@pytest.mark.parametrize("name", ["ca_file", "client_cert", "client_key"])
def test_files_that_cannot_be_used(certificate: Path, tmp_path: Path, name: str) -> None:
    empty = tmp_path / "empty.pem"
    empty.write_text("nothing")
    both = str(certificate)
    for path in (tmp_path / "missing.pem", empty):
        files = {"client_cert": both, name: str(path)}
        with pytest.raises(ConfigError) as caught:
            HttpTransport("https://h", "chat_completions", tls=Tls(**files))
        assert "_" in str(caught.value)
        assert "\n" not in str(caught.value)


def test_an_encrypted_key_prompts_for_nothing(certificate: Path, tmp_path: Path) -> None:
    locked = tmp_path / "locked.pem"
    words = f"openssl pkey -aes256 -passout pass:secret -in {certificate} -out {locked}"
    subprocess.run(words.split(), check=True, capture_output=True)
    with pytest.raises(ConfigError, match="encrypted"):
        HttpTransport("https://h", "chat_completions", tls=Tls(None, str(certificate), str(locked)))


async def test_a_certificate_of_another_host(
    serve: Serve,
    make_pool: MakePool,
    tls: ssl.SSLContext,
    certificate: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    server = await serve(answers, context=tls)
    with pytest.raises(CannotConnect, match=r"\[certificate verify failed: .*127\.0\.0\.1"):
        await ask(make_pool(server, scheme="https"))


async def test_tls_to_a_server_that_speaks_plainly(serve: Serve, make_pool: MakePool) -> None:
    async def plain(peer: Peer) -> None:
        await peer.reader.read(10)
        await peer.send(b"HTTP/1.1 400 Bad Request\r\n\r\n")

    server = await serve(plain)
    with pytest.raises(
        CannotConnect, match=r"\[TLS failed: .*perhaps the url should begin with http:"
    ):
        await ask(make_pool(server, scheme="https"))


# -- proxies of the environment -------------------------------------------------------------------


@pytest.fixture
def no_proxies(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    for name in ("http_proxy", "https_proxy", "no_proxy", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    return monkeypatch


async def test_a_proxy_is_asked_for_the_whole_url(
    serve: Serve, no_proxies: pytest.MonkeyPatch
) -> None:
    heads: list[str] = []

    async def proxy(peer: Peer) -> None:
        while True:
            heads.append((await peer.request())[0])
            await peer.send(JSON)

    server = await serve(proxy)
    no_proxies.setenv("HTTP_PROXY", f"http://me:pa%20ss@127.0.0.1:{server.port}")
    transport = HttpTransport("http://model.test:8000/v1", "chat_completions")
    assert (await transport(REQUEST)).body == {"a": 1}
    await transport.close()
    assert heads[0].startswith("POST http://model.test:8000/v1/chat/completions HTTP/1.1\r\n")
    assert "Host: model.test:8000\r\n" in heads[0]
    assert "Proxy-Authorization: Basic bWU6cGEgc3M=\r\n" in heads[0]


async def test_hosts_of_no_proxy_are_asked_directly(
    serve: Serve, no_proxies: pytest.MonkeyPatch, closed_port: int
) -> None:
    async def direct(peer: Peer) -> None:
        await peer.request()
        await peer.send(JSON)

    server = await serve(direct)
    no_proxies.setenv("HTTP_PROXY", f"http://127.0.0.1:{closed_port}")
    no_proxies.setenv("NO_PROXY", "127.0.0.1")
    transport = HttpTransport(f"http://127.0.0.1:{server.port}", "chat_completions")
    assert (await transport(REQUEST)).body == {"a": 1}
    await transport.close()


@pytest.mark.parametrize(
    "established",
    [
        b"HTTP/1.1 200 Connection established\r\n\r\n",
        b"HTTP/1.0 200 OK\nVia: x\n\n",
        b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\n\r\n",
    ],
)
async def test_tls_through_a_proxy(
    established: bytes,
    serve: Serve,
    tls: ssl.SSLContext,
    certificate: Path,
    no_proxies: pytest.MonkeyPatch,
) -> None:
    heads: list[str] = []

    async def model(peer: Peer) -> None:
        heads.append((await peer.request())[0])
        await peer.send(JSON)

    behind = await serve(model, context=tls)

    async def copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(2**16):
            writer.write(data)

    async def proxy(peer: Peer) -> None:
        heads.append((await peer.reader.readuntil(b"\r\n\r\n")).decode())
        reader, writer = await asyncio.open_connection("127.0.0.1", behind.port)
        for at in range(len(established)):
            await peer.send(established[at : at + 1], pause=0.0005)
        try:
            await asyncio.gather(copy(peer.reader, writer), copy(reader, peer.writer))
        finally:
            writer.transport.abort()

    server = await serve(proxy)
    no_proxies.setenv("SSL_CERT_FILE", str(certificate))
    no_proxies.setenv("HTTPS_PROXY", f"http://me:key@127.0.0.1:{server.port}")
    transport = HttpTransport(f"https://localhost:{behind.port}/v1", "chat_completions")
    assert (await transport(REQUEST)).body == {"a": 1}
    await transport.close()
    assert heads[0].startswith(f"CONNECT localhost:{behind.port} HTTP/1.1\r\n")
    assert "Proxy-Authorization: Basic bWU6a2V5\r\n" in heads[0]
    assert heads[1].startswith("POST /v1/chat/completions HTTP/1.1\r\n")
    assert "Proxy-Authorization" not in heads[1]


@pytest.mark.parametrize(
    ("said", "text"),
    [
        (
            b"HTTP/1.1 407 Who are you\r\n\r\n",
            "does not open a tunnel: HTTP 407, it requires a user",
        ),
        (b"HTTP/1.1 502 Bad\n\n", "does not open a tunnel: HTTP 502"),
        (b"HTTP/1.1 200 OK\r\n\r\nhello", "it talks before the server does"),
        (b"", "does not open a tunnel"),
        (b"x" * 20000, "does not open a tunnel"),
    ],
)
async def test_a_proxy_that_opens_no_tunnel(
    serve: Serve, no_proxies: pytest.MonkeyPatch, said: bytes, text: str
) -> None:
    async def proxy(peer: Peer) -> None:
        await peer.reader.readuntil(b"\r\n\r\n")
        await peer.send(said)

    server = await serve(proxy)
    no_proxies.setenv("HTTPS_PROXY", f"127.0.0.1:{server.port}")
    transport = HttpTransport("https://model.test/v1", "chat_completions")
    with pytest.raises(TransportError) as caught:
        await transport(REQUEST)
    host = "Cannot connect to host model.test:443 over the proxy"
    assert str(caught.value).startswith(f"{host} 127.0.0.1:{server.port} [the proxy does not open")
    assert text in str(caught.value)
    await transport.close()


async def test_a_proxy_of_the_service_wins_over_the_environment(
    serve: Serve, no_proxies: pytest.MonkeyPatch, closed_port: int
) -> None:
    server = await serve(saying(JSON))
    no_proxies.setenv("HTTP_PROXY", f"http://127.0.0.1:{closed_port}")
    for url, proxy in (
        ("http://model.test/v1", f"http://127.0.0.1:{server.port}"),
        (f"http://127.0.0.1:{server.port}/v1", "direct"),
    ):
        transport = HttpTransport(url, "chat_completions", proxy=proxy)
        assert (await transport(REQUEST)).body == {"a": 1}
        await transport.close()


def test_a_proxy_of_the_service_that_is_none(no_proxies: pytest.MonkeyPatch) -> None:
    with pytest.raises(ConfigError, match="http_proxy: only http:// proxies"):
        HttpTransport("http://model.test/v1", "chat_completions", proxy="socks5://h:1")


@pytest.mark.parametrize("name", ["all_proxy", "ALL_PROXY", "http_proxy", "HTTP_PROXY"])
def test_every_variable_that_names_a_proxy(no_proxies: pytest.MonkeyPatch, name: str) -> None:
    no_proxies.setenv(name, "proxy.test:3128")
    assert Origin.of("http://model.test/v1").proxy == Proxy("proxy.test", 3128)


def test_the_variable_of_the_scheme_wins(no_proxies: pytest.MonkeyPatch) -> None:
    no_proxies.setenv("ALL_PROXY", "socks5://other.test:1080")
    no_proxies.setenv("HTTPS_PROXY", "proxy.test:3128")
    assert Origin.of("https://model.test/v1").proxy == Proxy("proxy.test", 3128)
    with pytest.raises(ConfigError, match="ALL_PROXY: only http://"):
        Origin.of("http://model.test/v1")


@pytest.mark.parametrize(
    ("host", "port", "no_proxy", "exempt"),
    [
        ("model.test", 80, "*", True),
        ("model.test", 80, "other.test, model.test", True),
        ("a.model.test", 80, "model.test", True),
        ("a.model.test", 80, ".model.test", True),
        ("model.test", 80, ".model.test", True),
        ("a.model.test", 80, "*.model.test", True),
        ("xmodel.test", 80, "model.test", False),
        ("MODEL.test.", 80, "Model.Test", True),
        ("model.test", 8000, "model.test:8000", True),
        ("model.test", 8001, "model.test:8000", False),
        ("a.model.test", 8000, ".model.test:8000", True),
        ("10.1.2.3", 80, "10.0.0.0/8", True),
        ("11.1.2.3", 80, "10.0.0.0/8", False),
        ("10.1.2.3", 80, "10.1.2.3:80", True),
        ("10.1.2.3", 81, "10.1.2.3:80", False),
        ("fd00::1", 80, "fd00::/8", True),
        ("::1", 80, "[::1]", True),
        ("::1", 80, "[::1]:80", True),
        ("::1", 81, "[::1]:80", False),
        ("::1", 80, "::1", True),
        ("model.test", 80, "", False),
        ("model.test", 80, ", ,", False),
    ],
)
def test_hosts_without_a_proxy(host: str, port: int, no_proxy: str, exempt: bool) -> None:
    assert is_exempt(host, port, no_proxy) is exempt


@given(st.text(), st.text())
def test_no_list_of_hosts_breaks_the_reader(host: str, no_proxy: str) -> None:
    assert is_exempt(host, 80, f"{no_proxy},*")
    is_exempt(host, 80, no_proxy)


@pytest.mark.parametrize("address", ["socks5://127.0.0.1:1080", "https://h:1", "http://h:x"])
def test_other_proxies_are_refused(no_proxies: pytest.MonkeyPatch, address: str) -> None:
    no_proxies.setenv("HTTPS_PROXY", address)
    with pytest.raises(ConfigError, match=r"^HTTPS_PROXY: only http:// proxies are supported"):
        HttpTransport("https://model.test/v1", "chat_completions")


# -- origins --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("url", "authority", "shown"),
    [
        ("http://Host/v1", "host", "host:80"),
        ("http://host:80", "host", "host:80"),
        ("http://host:8000", "host:8000", "host:8000"),
        ("https://host", "host", "host:443"),
        ("https://[2001:db8::1]:8443/x", "[2001:db8::1]:8443", "[2001:db8::1]:8443"),
        ("https://bücher.example/x", "xn--bcher-kva.example", "xn--bcher-kva.example:443"),
    ],
)
def test_an_origin_has_an_authority_and_a_shown_form(
    no_proxies: pytest.MonkeyPatch, url: str, authority: str, shown: str
) -> None:
    origin = Origin.of(url)
    assert (origin.authority, origin.shown) == (authority, shown)


@pytest.mark.parametrize(
    "url", ["http:///v1", "http://" + "ü" * 70, "http://a..ü/", "http://" + "a" * 70]
)
def test_hosts_that_cannot_be(url: str) -> None:
    with pytest.raises(ConfigError, match="the URL is not valid"):
        Origin.of(url)


def test_a_proxy_wants_the_whole_url_only_of_plain_requests() -> None:
    proxy = Proxy("p", 1)
    assert Origin("http", "h", 80, proxy).form("/x") == "http://h/x"
    assert Origin("https", "h", 443, proxy).form("/x") == "/x"
    assert Origin("http", "h", 80).form("/x") == "/x"
