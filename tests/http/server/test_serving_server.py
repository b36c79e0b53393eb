"""Listening and stopping."""

from __future__ import annotations

import asyncio
import json
import socket
import time

import pytest

from nemo_evaluator.errors import ConfigError
from nemo_evaluator.http.app import Application, Request, Response, Stream
from nemo_evaluator.http.server.contract import Limits
from nemo_evaluator.http.server.server import Server

from .conftest import Client, Echo, Serve, echo, get, post, until


async def slow(request: Request) -> Response | Stream:
    if request.path == "/stream":
        stream = await request.begin(200)
        for _ in range(10):
            await stream.write(b"x")
            await asyncio.sleep(0.03)
        return stream
    await asyncio.sleep(30 if request.path == "/forever" else 0.3)
    return await echo(request)


async def test_stop_finishes_what_is_in_flight(serve: Serve) -> None:
    served = await serve(slow)
    idle, whole, streamed, sending, begun, piped = [await served.client() for _ in range(6)]
    await idle.told(get())
    await begun.send(get()[:10])
    await whole.send(get("/w"))
    await streamed.send(get("/stream"))
    await sending.send(post(b"abc")[:-1])
    await piped.send(get("/1") + get("/2"))
    await until(lambda: len(served.app.begun) == 4)
    await asyncio.sleep(0.05)
    stopping = asyncio.create_task(served.server.stop(5.0))
    await asyncio.sleep(0.05)
    with pytest.raises(OSError):
        await served.client()
    assert await idle.is_closed(0.1) and await begun.is_closed(0.1)
    await sending.send(b"c")
    for client in (whole, sending):
        status, fields, body = await client.answer()
        assert status == 200 and fields["connection"] == "close" and json.loads(body)
        assert await client.is_closed()
    assert (await streamed.answer())[2] == b"x" * 10
    first, second = await piped.answer(), await piped.answer()
    assert "connection" not in first[1] and second[1]["connection"] == "close"
    await stopping
    assert not served.server.connections


async def test_stop_cancels_what_takes_too_long(serve: Serve) -> None:
    served = await serve(slow)
    client, half = await served.client(), await served.client()
    await client.send(get("/forever"))
    await half.send(post(b"abc")[:-1])
    await until(lambda: bool(served.app.begun))
    started = time.monotonic()
    await asyncio.gather(served.server.stop(0.1), served.server.stop(0.1))
    assert time.monotonic() - started < 2
    assert served.app.cancelled == ["/forever"]
    assert await client.is_closed() and await half.is_closed()
    await served.server.stop(0.1)


async def test_a_cancelled_stop_stops(serve: Serve) -> None:
    served = await serve(slow)
    client = await served.client()
    await client.send(get("/forever"))
    await until(lambda: bool(served.app.begun))
    stopping = asyncio.create_task(served.server.stop(30.0))
    await asyncio.sleep(0.02)
    stopping.cancel()
    with pytest.raises(asyncio.CancelledError):
        await stopping
    assert served.app.cancelled == ["/forever"] and not served.server.connections


@pytest.mark.parametrize("seconds", [0.0, 1.0])
async def test_stop_with_a_request_that_has_just_come(serve: Serve, seconds: float) -> None:
    served = await serve(slow)
    client = await served.client()
    client.writer.write(get("/x"))
    await until(lambda: any(c.task for c in served.server.connections))
    await served.server.stop(seconds)
    assert await client.is_closed() is (seconds == 0.0)


async def test_a_client_that_never_reads_does_not_hold_the_stop(serve: Serve) -> None:
    async def much(request: Request) -> Response:
        return Response(200, bytes(50_000_000))

    served = await serve(much)
    client = await served.client()
    await client.send(get("/", "Connection: close"))
    await until(lambda: bool(served.app.begun))
    await asyncio.sleep(0.05)
    async with asyncio.timeout(5):
        await served.server.stop(0.2)


async def test_stop_before_start_and_twice() -> None:
    server = Server(Application(Echo(echo)), Limits())
    await server.stop(1.0)
    await server.start("127.0.0.1", 0)
    await server.stop(1.0)
    await server.stop(1.0)


async def test_ports_and_hosts() -> None:
    server, other = Server(Application(Echo(echo))), Server(Application(Echo(echo)))
    port = await server.start("127.0.0.1", 0)
    with pytest.raises(ConfigError, match=f"127.0.0.1:{port}: cannot listen"):
        await other.start("127.0.0.1", port)
    await other.stop(1.0)
    await server.stop(1.0)
    if socket.has_ipv6:
        server = Server(Application(Echo(echo)))
        try:
            port = await server.start("::1", 0)
        except ConfigError:
            pytest.skip("this machine has no IPv6")
        client = Client(*await asyncio.open_connection("::1", port))
        assert (await client.told(get("/six")))["path"] == "/six"
        client.close()
        await server.stop(1.0)
