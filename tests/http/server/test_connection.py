"""Requests in, answers out, in order, whatever clients do; over real sockets."""

from __future__ import annotations

import asyncio
import json
import time

import pytest

from nemo_evaluator.http.app import Request, Response, Stream

from .conftest import Serve, echo, get, post, until

MEGABYTE = 2**20


# -- framing --------------------------------------------------------------------------------------


async def test_keep_alive(serve: Serve) -> None:
    client = await (await serve()).client()
    for number in range(3):
        told = await client.told(post(b"%d" % number, path=f"/{number}?q"))
        assert (told["path"], told["query"], told["body"]) == (f"/{number}", "q", str(number))
    status, fields, _ = await client.ask(get())
    assert status == 200 and fields["content-type"] == "application/json"
    assert fields["date"].endswith(" gmt") and "connection" not in fields


async def test_pipelined_requests_are_answered_in_order(serve: Serve) -> None:
    async def slower_first(request: Request) -> Response:
        await asyncio.sleep(0.05 if request.path == "/0" else 0)
        return await echo(request)

    served = await serve(slower_first)
    client = await served.client()
    await client.send(b"".join(get(f"/{number}") for number in range(100)))
    for number in range(100):
        assert json.loads((await client.answer())[2])["path"] == f"/{number}"
    await client.send(get("/a") + post(b"x" * 100)[:-50], b"x" * 50, pause=0.05)
    assert json.loads((await client.answer())[2])["path"] == "/a"
    assert json.loads((await client.answer())[2])["size"] == 100


async def test_one_byte_at_a_time(serve: Serve) -> None:
    client = await (await serve()).client()
    data = post(b"ab") + b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nc\r\n0\r\n\r\n"
    await client.send(*(data[i : i + 1] for i in range(len(data))))
    assert json.loads((await client.answer())[2])["body"] == "ab"
    assert json.loads((await client.answer())[2])["body"] == "c"


@pytest.mark.parametrize(
    ("request_bytes", "said"),
    [
        (get("/", "Connection: close"), "close"),
        (b"GET / HTTP/1.0\r\n\r\n", "close"),
        (b"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n", "keep-alive"),
    ],
)
async def test_connection_close(serve: Serve, request_bytes: bytes, said: str) -> None:
    client = await (await serve()).client()
    _, fields, _ = await client.ask(request_bytes)
    assert fields["connection"] == said
    if said == "close":
        assert await client.is_closed()
    else:
        assert (await client.told(request_bytes))["path"] == "/"


async def test_expect_continue(serve: Serve) -> None:
    client = await (await serve(body_bytes=1000)).client()
    request = post(b"12345", "Expect: 100-continue")
    await client.send(request[:-5])
    assert (await client.answer())[0] == 100
    assert (await client.told(request[-5:]))["body"] == "12345"
    assert (await client.told(request))["body"] == "12345"  # who does not wait is not told
    status, _, _ = await client.ask(post(b"x" * 1001, "Expect: 100-continue")[:-1001])
    assert status == 413


async def test_every_method_is_passed_on(serve: Serve) -> None:
    client = await (await serve()).client()
    for method in (b"OPTIONS", b"PUT", b"DELETE", b"PATCH", b"PROPFIND"):
        told = await client.told(method + b" /x HTTP/1.1\r\nContent-Length: 1\r\n\r\ny")
        assert (told["method"], told["body"]) == (method.decode(), "y")
    await client.send(b"HEAD /x HTTP/1.1\r\n\r\n")
    status, fields, _ = await client.answer(bodiless=True)
    assert status == 200 and int(fields["content-length"]) > 10
    status, fields, body = await client.ask(b"BREW /x HTTP/1.1\r\n\r\n")
    assert status == 501 and fields["connection"] == "close" and json.loads(body)
    assert await client.is_closed()


async def test_java_clients(serve: Serve) -> None:
    client = await (await serve()).client()
    fields = ("Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c", "HTTP2-Settings: AAEAAEAAAAIA")
    for _ in range(2):
        assert (await client.told(post(b"abc", *fields)))["body"] == "abc"
    request = post(b"abc", *fields)
    await client.send(*(request[i : i + 1] for i in range(len(request))))
    assert (await client.answer())[0] == 200


async def test_statuses_without_a_body(serve: Serve) -> None:
    async def answer(request: Request) -> Response | Stream:
        if request.path == "/streamed":
            stream = await request.begin(304, {"etag": "x"})
            await stream.write(b"nothing of this")
            return stream
        return Response(204, b"nor of this")

    client = await (await serve(answer)).client()
    for path, status in (("/whole", 204), ("/streamed", 304), ("/whole", 204)):
        found, fields, _ = await client.ask(get(path))
        assert found == status
        assert "content-length" not in fields and "transfer-encoding" not in fields


# -- refusals -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("request_bytes", "status"),
    [
        (b"nonsense\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nA: " + b"x" * 70_000 + b"\r\n\r\n", 431),
        (b"GET /" + b"x" * 70_000, 431),
        (post(b"{}", path="/secret"), 401),
        (post(b"x" * 100_000, path="/secret"), 401),
        (post(b"", "Content-Length: 5"), 400),
    ],
)
async def test_a_malformed_request_is_refused_and_the_connection_closed(
    serve: Serve, request_bytes: bytes, status: int
) -> None:
    served = await serve()
    client = await served.client()
    await client.send(get("/before") + request_bytes)
    assert (await client.answer())[0] == 200
    found, fields, body = await client.answer()
    assert found == status and fields["connection"] == "close"
    assert fields["content-type"] == "application/json" and isinstance(json.loads(body), dict)
    assert await client.is_closed()
    assert served.app.begun == ["/before"]


@pytest.mark.parametrize("chunked", [False, True])
async def test_a_body_too_large_is_told_to_who_reads_late(serve: Serve, chunked: bool) -> None:
    served = await serve(body_bytes=MEGABYTE)
    client, size = await served.client(), 40 * MEGABYTE
    piece = bytes(MEGABYTE)
    head = b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n"
    if not chunked:
        head = b"POST / HTTP/1.1\r\nContent-Length: %d\r\n\r\n" % size
    await client.send(head)
    for _ in range(size // len(piece)):
        await client.send(b"%x\r\n%b\r\n" % (len(piece), piece) if chunked else piece)
    status, _, body = await client.answer()
    assert status == 413 and json.loads(body)["error"] == "the request is larger than 1 MB"
    assert await client.is_closed()
    client.close()
    assert await served.empties()
    assert not served.app.begun


async def test_a_refused_client_cannot_send_forever(serve: Serve) -> None:
    served = await serve(body_bytes=1000, linger_bytes=MEGABYTE)
    client = await served.client()
    await client.send(post(b"x" * 1001))
    with pytest.raises(ConnectionError):
        for _ in range(1000):
            await client.send(bytes(MEGABYTE))
    assert await served.empties()


async def test_a_refused_client_cannot_stay_forever(serve: Serve) -> None:
    served = await serve(linger_seconds=0.1)
    client = await served.client()
    assert (await client.ask(b"nonsense\r\n"))[0] == 400
    assert await served.empties()


async def test_a_handler_that_raises_ends_its_own_answer_only(
    serve: Serve, caplog: pytest.LogCaptureFixture
) -> None:
    async def answer(request: Request) -> Response | Stream:
        if request.path == "/half":
            stream = await request.begin(200)
            await stream.write(b"half of it")
        if request.path == "/header":
            return Response(200, b"{}", {"x": "a\r\nSet-Cookie: b"})
        if request.path == "/twice":
            await request.begin(200)
            return Response(200, b"second")
        raise RuntimeError("a bug")

    served = await serve(answer)
    client = await served.client()
    for path in ("/whole", "/header", "/whole"):
        status, fields, body = await client.ask(get(path))
        assert status == 500 and "set-cookie" not in fields and "error" in json.loads(body)
    for path in ("/half", "/twice"):
        client = await served.client()
        with pytest.raises((asyncio.IncompleteReadError, ConnectionError)):
            await client.ask(get(path))
    assert "a bug" in caplog.text


# -- streams --------------------------------------------------------------------------------------


async def counting(request: Request) -> Stream:
    stream = await request.begin(200, {"x-a": "b"}, "text/event-stream")
    for number in range(5):
        await stream.write(b"%d" % number)
        await stream.write(b"")
    return stream


async def test_streams_are_sent_in_chunks(serve: Serve) -> None:
    client = await (await serve(counting)).client()
    for _ in range(3):
        status, fields, body = await client.ask(get())
        assert (status, body) == (200, b"01234")
        assert fields["content-type"] == "text/event-stream" and fields["x-a"] == "b"
    await client.send(b"HEAD / HTTP/1.1\r\n\r\n")
    assert (await client.answer(bodiless=True))[0] == 200
    await client.send(b"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")
    status, fields, body = await client.answer()
    assert (body, fields["connection"]) == (b"01234", "close")
    assert "transfer-encoding" not in fields


async def test_a_stream_comes_as_it_goes(serve: Serve) -> None:
    go = asyncio.Event()

    async def answer(request: Request) -> Stream:
        stream = await request.begin(200)
        await stream.write(b"first")
        await go.wait()
        return stream

    client = await (await serve(answer)).client()
    await client.send(get())
    await client.head()
    chunks = client.chunks()
    assert await anext(chunks) == b"first"
    go.set()
    assert [chunk async for chunk in chunks] == []


async def test_a_broken_stream_has_no_end(serve: Serve) -> None:
    async def answer(request: Request) -> Stream:
        stream = await request.begin(200)
        await stream.write(b"first")
        await asyncio.sleep(0.02)
        stream.is_broken = True
        return stream

    client = await (await serve(answer)).client()
    with pytest.raises((asyncio.IncompleteReadError, ConnectionError)):
        await client.ask(get())


async def test_who_does_not_read_stalls_only_itself(serve: Serve) -> None:
    written = 0

    async def answer(request: Request) -> Response | Stream:
        nonlocal written
        if request.path != "/endless":
            return await echo(request)
        stream = await request.begin(200)
        for _ in range(256):
            await stream.write(bytes(MEGABYTE))
            written += MEGABYTE
        return stream

    served = await serve(answer)
    lazy, other = await served.client(), await served.client()
    await lazy.send(get("/endless"))
    await until(lambda: written > 0)
    await asyncio.sleep(0.1)
    stalled = written
    for _ in range(50):
        await other.told(get())
    assert written == stalled < 64 * MEGABYTE
    await lazy.head()
    size = sum([len(chunk) async for chunk in lazy.chunks()])
    assert size == 256 * MEGABYTE


async def test_who_pipelines_and_does_not_read_is_held_back(serve: Serve) -> None:
    async def answer(request: Request) -> Response:
        return Response(200, bytes(100_000))

    served = await serve(answer)
    client = await served.client()

    async def flood() -> None:
        for _ in range(40):
            await client.send(get() * 100)

    sending = asyncio.create_task(flood())
    await asyncio.sleep(0.3)
    assert len(served.app.begun) < 1000
    for _ in range(4000):
        status, _, body = await client.answer()
        assert status == 200 and len(body) == 100_000
    await sending


async def test_big_bodies(serve: Serve) -> None:
    async def back(request: Request) -> Response:
        return Response(200, request.body)

    client, body = await (await serve(back)).client(), bytes(range(256)) * 4096 * 20
    started = time.perf_counter()
    reading = asyncio.create_task(client.answer())
    await client.send(post(body))
    assert (await reading)[2] == body
    assert time.perf_counter() - started < 5


# -- time -----------------------------------------------------------------------------------------


async def test_late_heads(serve: Serve) -> None:
    served = await serve(head_seconds=0.2)
    silent, slow, other = [await served.client() for _ in range(3)]

    async def drip() -> None:
        for byte in get() * 100:
            await slow.send(bytes((byte,)), pause=0.02)

    dripping = asyncio.create_task(drip())
    deadline = time.monotonic() + 0.6
    while time.monotonic() < deadline:
        await other.told(get())
        await asyncio.sleep(0.01)
    assert await silent.is_closed(0.1) and await slow.is_closed(0.1)
    dripping.cancel()
    assert not served.app.cancelled and len(served.server.connections) <= 2


async def test_late_bodies(serve: Serve) -> None:
    client = await (await serve(body_seconds=0.2)).client()
    await client.send(post(b"x" * 100)[:-50])
    started = time.monotonic()
    for _ in range(3):
        await client.send(b"x", pause=0.05)
    status, fields, body = await client.answer()
    assert status == 408 and fields["connection"] == "close"
    assert json.loads(body)["error"] == "the request did not arrive within 0.2 s"
    assert time.monotonic() - started < 1 and await client.is_closed()


async def test_idle_connections(serve: Serve) -> None:
    served = await serve(idle_seconds=0.2)
    client = await served.client()
    for _ in range(8):
        await client.told(get())
        await asyncio.sleep(0.05)
    assert await client.is_closed(1)


async def test_a_long_answer_is_not_late(serve: Serve) -> None:
    async def slow(request: Request) -> Response:
        await asyncio.sleep(0.5)
        return await echo(request)

    seconds = {"head_seconds": 0.1, "body_seconds": 0.1, "idle_seconds": 0.1, "linger_seconds": 0.1}
    client = await (await serve(slow, **seconds)).client()
    assert (await client.told(get()))["path"] == "/"


# -- clients that leave ---------------------------------------------------------------------------


@pytest.mark.parametrize("how", ["close", "reset"])
@pytest.mark.parametrize("when", ["at once", "later", "in a stream", "not reading"])
async def test_who_leaves_cancels(serve: Serve, how: str, when: str) -> None:
    async def forever(request: Request) -> Response | Stream:
        if when in ("at once", "later"):
            await asyncio.Event().wait()
        stream = await request.begin(200)
        while True:
            await stream.write(bytes(MEGABYTE) if when == "not reading" else b"x")
            await asyncio.sleep(0.001)

    served = await serve(forever)
    client = await served.client()
    await client.send(post(b"{}", path="/x"))
    if when != "at once":
        await until(lambda: bool(served.app.begun))
        await asyncio.sleep(0.05)
    getattr(client, how)()
    assert await served.empties()
    if when != "at once" or served.app.begun:  # a reset may overtake the request
        assert served.app.begun == ["/x"]
        assert when == "in a stream" or served.app.cancelled == ["/x"]


async def test_who_leaves_amid_a_request(serve: Serve) -> None:
    served = await serve()
    for request in (b"", get()[:5], post(b"abc")[:-1]):
        client = await served.client()
        await client.send(request)
        client.close()
    assert await served.empties()
    assert not served.app.begun


async def test_bad_clients_do_not_disturb_others(serve: Serve) -> None:
    served = await serve(body_bytes=MEGABYTE)
    bad = [await served.client() for _ in range(21)]

    async def misbehave(number: int) -> None:
        client = bad[number]
        try:
            if number % 3 == 0:
                await client.send(*[b"\x00\xff garbage \r\n\r\n" * 100] * 20, pause=0.02)
            elif number % 3 == 1:
                await client.send(b"POST / HTTP/1.1\r\nContent-Length: 100000000\r\n\r\n")
                await client.send(*[bytes(MEGABYTE)] * 95, pause=0.001)
            else:
                await client.send(*(bytes((byte,)) for byte in get() * 10), pause=0.05)
        except ConnectionError:
            pass

    tasks = [asyncio.create_task(misbehave(number)) for number in range(len(bad))]
    good = await served.client()
    slowest = 0.0
    for number in range(200):
        started = time.perf_counter()
        assert (await good.told(post(b"%d" % number)))["body"] == str(number)
        slowest = max(slowest, time.perf_counter() - started)
        await asyncio.sleep(0.003)
    assert slowest < 1.0
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


async def test_a_thousand_idle_connections(serve: Serve) -> None:
    served = await serve()
    clients = [await served.client() for _ in range(1000)]
    for client in clients[::10]:
        await client.told(get())
    assert len(served.server.connections) == 1000
    assert all(connection.task is None for connection in served.server.connections)
    for client in clients:
        client.close()
    assert await served.empties()
