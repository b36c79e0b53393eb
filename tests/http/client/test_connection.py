"""What is a whole response, what is a broken one, and which connection may be used again."""

from __future__ import annotations

import asyncio
import gzip
import time
import tracemalloc
import zlib
from itertools import pairwise
from typing import cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nemo_evaluator.http.client.connection import MAX_HEAD, Connection
from nemo_evaluator.http.client.errors import BrokenOff, NetError, NotHttp
from nemo_evaluator.http.client.response import HELD_BYTES, Response

from .conftest import OK, MakePool, Peer, Serve, answers, ask, saying

CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nX-A: 1\r\n\r\n"
MEGABYTE = 2**20


# -- framing --------------------------------------------------------------------------------------


@pytest.mark.parametrize("whole", [True, False])
@pytest.mark.parametrize(
    ("message", "status", "body", "kept"),
    [
        (b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", 200, b"ok", True),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", 200, b"", True),
        (b"HTTP/1.1 200\r\nContent-Length: 2\r\n\r\nok", 200, b"ok", True),
        (CHUNKED + b"1\r\no\r\n1;x=y\r\nk\r\n0\r\n\r\n", 200, b"ok", True),
        (CHUNKED + b"2\r\nok\r\n0\r\nX-A: 2\r\nX-B: 3\r\n\r\n", 200, b"ok", True),
        (b"HTTP/1.1 204 No Content\r\n\r\n", 204, b"", True),
        (b"HTTP/1.1 304 Not Modified\r\nContent-Length: 9\r\n\r\n", 304, b"", True),
        (b"HTTP/1.1 100 Continue\r\n\r\n" + OK, 200, b"ok", True),
        (b"HTTP/1.1 103 Early Hints\r\nX-A: 2\r\n\r\n" * 3 + OK, 200, b"ok", True),
        (b"HTTP/1.1 500 X\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok", 500, b"ok", False),
        (b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok", 200, b"ok", False),
        (OK + b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nother", 200, b"ok", False),
        (OK + b"rubbish", 200, b"ok", False),
    ],
)
async def test_a_connection_is_used_again_after_each_kind_of_message(
    serve: Serve,
    make_pool: MakePool,
    message: bytes,
    status: int,
    body: bytes,
    kept: bool,
    whole: bool,
) -> None:
    server = await serve(saying(message))
    pool = make_pool(server)
    for _ in range(2):
        response = await ask(pool, whole=whole)
        assert (response.status, await response.read()) == (status, body)
        assert response.headers.get("x-b") is None
        assert response.headers.get("X-A") in (None, "1")
        await asyncio.sleep(0.01)
    assert server.connections == (1 if kept else 2)


@pytest.mark.parametrize(
    "message", [OK, b"HTTP/1.1 100 C\r\n\r\n" + CHUNKED + b"2\r\nok\r\n0\r\n\r\n"]
)
async def test_a_response_that_comes_byte_by_byte(
    serve: Serve, make_pool: MakePool, message: bytes
) -> None:
    server = await serve(saying(*(bytes((byte,)) for byte in message), pause=0.0005))
    response = await ask(make_pool(server))
    assert (response.status, await response.read()) == (200, b"ok")


@pytest.mark.parametrize("length", [b"", b"Transfer-Encoding: identity\r\n"])
async def test_a_body_that_ends_with_the_connection(
    serve: Serve, make_pool: MakePool, length: bytes
) -> None:
    async def handler(peer: Peer) -> None:
        await peer.request()
        await peer.send(b"HTTP/1.1 200 OK\r\n" + length + b"\r\nhel", b"lo", pause=0.01)

    server = await serve(handler)
    pool = make_pool(server)
    for whole in (True, False):
        response = await ask(pool, whole=whole)
        assert b"".join([chunk async for chunk in response.pieces()]) == b"hello"
    assert server.connections == 2


async def test_a_head_has_no_body_whatever_it_says(serve: Serve, make_pool: MakePool) -> None:
    server = await serve(saying(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n"))
    response = await ask(make_pool(server), method="HEAD", bodiless=True)
    assert (response.headers["content-length"], await response.read()) == ("5", b"")


class Recorder:
    """An owner and a transport of one connection, without a socket."""

    def get_extra_info(self, name: str) -> None:
        return None

    def __init__(self) -> None:
        self.kept = self.closed = 0

    def idle(self, connection: Connection) -> None:
        self.kept += 1

    def lost(self, connection: Connection) -> None:
        self.closed += 1

    def write(self, data: bytes) -> None: ...

    def is_closing(self) -> bool:
        return False

    def abort(self) -> None: ...


async def fed(pieces: list[bytes]) -> tuple[Response, Recorder]:
    recorder, response = Recorder(), Response(whole=True)
    connection = Connection(recorder)
    connection.connection_made(cast(asyncio.Transport, recorder))
    exchange = asyncio.ensure_future(connection.exchange(response, b"", b""))
    await asyncio.sleep(0)
    for piece in pieces:
        connection.data_received(piece)
    if not exchange.done() and response.wire is not None:
        connection.eof_received()
        connection.connection_lost(None)
    try:
        await exchange
    except NetError as error:
        assert error is response.error
    return response, recorder


MESSAGE = (
    b"HTTP/1.1 103 Early\r\nLink: x\r\n\r\n"
    b"HTTP/1.1 200 OK\r\nX-A: 1\r\nTransfer-Encoding: chunked\r\n\r\n"
    b"3\r\nabc\r\n10\r\n0123456789abcdef\r\n0\r\nX-T: trailer\r\n\r\n"
)


@given(st.sets(st.integers(1, len(MESSAGE) - 1)))
def test_a_message_is_the_same_however_it_is_cut(cuts: set[int]) -> None:
    places = [0, *sorted(cuts), len(MESSAGE)]
    pieces = [MESSAGE[start:end] for start, end in pairwise(places)]
    response, recorder = asyncio.run(fed(pieces))
    assert asyncio.run(response.read()) == b"abc0123456789abcdef"
    assert dict(response.headers) == {"X-A": "1", "Transfer-Encoding": "chunked"}
    assert (recorder.kept, recorder.closed) == (1, 0)


@given(st.lists(st.sampled_from([MESSAGE, OK, b"\r\n", b"\0", b"0", b"HTTP/1.1 "]) | st.binary()))
def test_whatever_comes_there_is_one_end(pieces: list[bytes]) -> None:
    response, recorder = asyncio.run(fed([piece for piece in pieces if piece]))
    assert response.wire is None
    assert response.status or response.error is not None
    assert recorder.kept <= 1
    assert recorder.closed <= 1
    assert recorder.kept + recorder.closed >= 1


# -- what is broken -------------------------------------------------------------------------------


@pytest.mark.parametrize("whole", [True, False])
@pytest.mark.parametrize("reset", [True, False])
@pytest.mark.parametrize(
    "message",
    [
        b"HTTP/1.1 200 OK\r\nContent-Le",
        b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nfour",
        CHUNKED + b"9\r\nfour",
        CHUNKED + b"4\r\nfour\r\n",
        CHUNKED + b"4\r\nfour\r\n0\r\n",
    ],
)
async def test_a_response_that_breaks_off(
    serve: Serve, make_pool: MakePool, message: bytes, reset: bool, whole: bool
) -> None:
    async def handler(peer: Peer) -> None:
        await peer.request()
        await peer.send(message, pause=0.02)
        if reset:
            peer.reset()

    server = await serve(handler)
    with pytest.raises(BrokenOff, match=r"^the response broke off: (the c|C)onnection") as caught:
        await (await ask(make_pool(server), whole=whole)).read()
    assert ("reset" in str(caught.value)) == reset
    assert server.connections == 1


async def test_what_came_of_a_broken_stream_is_read_first(
    serve: Serve, make_pool: MakePool
) -> None:
    async def handler(peer: Peer) -> None:
        await peer.request()
        await peer.send(CHUNKED + b"4\r\nfour\r\n", pause=0.01)

    response = await ask(make_pool(await serve(handler)), whole=False)
    await asyncio.sleep(0.05)
    assert await response.read_some() == b"four"
    with pytest.raises(BrokenOff):
        await response.read_some()


@pytest.mark.parametrize(
    "message",
    [
        b"SSH-2.0-OpenSSH_9.6\r\n\r\n",
        b"\x16\x03\x01\0\0",
        b"HTTP/1.1 OK\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: two\r\n\r\nok",
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nokk",
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        CHUNKED + b"x\r\n",
        b"HTTP/1.1 101 Switching\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n",
    ],
)
async def test_what_is_no_http(serve: Serve, make_pool: MakePool, message: bytes) -> None:
    with pytest.raises(NotHttp, match=r"^the response is not HTTP: "):
        await ask(make_pool(await serve(saying(message))))


@pytest.mark.parametrize("pieces", [1, 1000])
@pytest.mark.parametrize("ended", [True, False])
async def test_a_head_without_end_is_refused(
    serve: Serve, make_pool: MakePool, pieces: int, ended: bool
) -> None:
    async def handler(peer: Peer) -> None:
        await peer.request()
        line = b"X-A: " + b"a" * 200 + b"\r\n"
        message = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n" + line * (MAX_HEAD // 200)
        message += b"\r\n" * ended
        size = len(message) // pieces
        await peer.send(*(message[at : at + size] for at in range(0, len(message), size)))
        await peer.gone()

    with pytest.raises(NotHttp, match="headers are over 65536 bytes"):
        await ask(make_pool(await serve(handler)))


async def test_large_headers_within_reason(serve: Serve, make_pool: MakePool) -> None:
    value = "a" * (MAX_HEAD - 100)
    body = b"b" * MEGABYTE
    head = f"HTTP/1.1 200 OK\r\nX-A: {value}\r\nContent-Length: {len(body)}\r\n\r\n".encode()
    response = await ask(make_pool(await serve(saying(head + body))))
    assert response.headers["x-a"] == value
    assert await response.read() == body


async def test_unrequested_bytes_close_an_idle_connection(
    serve: Serve, make_pool: MakePool
) -> None:
    server = await serve(saying(OK, OK, pause=0.02))
    pool = make_pool(server)
    for _ in range(2):
        assert await (await ask(pool)).read() == b"ok"
        await asyncio.sleep(0.1)
    assert server.connections == 2


# -- bodies without end ----------------------------------------------------------------------------


@pytest.mark.parametrize("whole", [True, False])
@pytest.mark.parametrize("coding", [None, "gzip"])
async def test_a_body_is_not_read_beyond_what_memory_holds(
    serve: Serve,
    make_pool: MakePool,
    monkeypatch: pytest.MonkeyPatch,
    coding: str | None,
    whole: bool,
) -> None:
    monkeypatch.setattr("nemo_evaluator.http.client.response.MAX_BODY", 2 * MEGABYTE)
    zeros = bytes(MEGABYTE)
    sent = 0

    async def endless(peer: Peer) -> None:
        nonlocal sent
        await peer.request()
        named = f"Content-Encoding: {coding}\r\n" if coding else ""
        await peer.send(f"HTTP/1.1 200 OK\r\n{named}\r\n".encode())
        data = gzip.compress(zeros, mtime=0) if coding else zeros
        while not peer.reader.at_eof():
            await peer.send(data)
            sent += 1

    server = await serve(endless)
    with pytest.raises(NotHttp, match="the body of the response is larger than 2 MB"):
        await (await ask(make_pool(server), whole=whole)).read()
    assert sent < 100


async def test_a_body_that_is_handed_on_may_have_any_size(
    serve: Serve, make_pool: MakePool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("nemo_evaluator.http.client.response.MAX_BODY", MEGABYTE)
    length = 8 * MEGABYTE
    head = f"HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n".encode()
    server = await serve(saying(head, *[bytes(MEGABYTE)] * 8))
    response = await ask(make_pool(server), whole=False)
    response.endless = True
    assert sum([len(piece) async for piece in response.pieces()]) == length


# -- encodings ------------------------------------------------------------------------------------


def deflate_bare(data: bytes) -> bytes:
    stream = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    return stream.compress(data) + stream.flush()


def encoded(coding: str, data: bytes) -> bytes:
    head = f"HTTP/1.1 200 OK\r\nContent-Encoding: {coding}\r\nContent-Length: {len(data)}\r\n\r\n"
    return head.encode() + data


@pytest.mark.parametrize("whole", [True, False])
@pytest.mark.parametrize(
    ("coding", "data"),
    [
        ("gzip", gzip.compress(b"hello " * 1000, mtime=0)),
        ("X-GZIP", gzip.compress(b"hello " * 1000, mtime=0)),
        ("deflate", zlib.compress(b"hello " * 1000)),
        ("deflate", deflate_bare(b"hello " * 1000)),
        ("identity", b"hello " * 1000),
        ("UTF-8", b"hello " * 1000),
        ("gzip, identity", gzip.compress(b"hello " * 1000, mtime=0)),
        ("gzip", b"".join(gzip.compress(b"hello " * 10, mtime=0) for _ in range(100))),
        (
            "gzip",
            gzip.compress(b"hello " * 999, mtime=0)
            + b"\0" * 9
            + gzip.compress(b"hello ", mtime=0)
            + b"\0" * 30,
        ),
    ],
)
async def test_compressed_bodies(
    serve: Serve, make_pool: MakePool, coding: str, data: bytes, whole: bool
) -> None:
    message = encoded(coding, data)
    server = await serve(saying(message[:-20], message[-20:], pause=0.005))
    response = await ask(make_pool(server), whole=whole)
    assert await response.read() == b"hello " * 1000


@pytest.mark.parametrize(
    ("coding", "data", "text"),
    [
        ("br", b"x", "encoded as 'br', which was not requested"),
        ("gzip, br", b"x", "encoded as 'gzip, br'"),
        ("gzip", b"plain text", "is not valid gzip"),
        ("zstd", b"x", "encoded as 'zstd', which was not requested"),
        ("gzip", gzip.compress(b"hello" * 100, mtime=0)[:-9], "its gzip body has no end"),
        (
            "gzip",
            gzip.compress(b"x", mtime=0) + gzip.compress(b"x", mtime=0)[:-9],
            "its gzip body has no end",
        ),
    ],
)
async def test_bodies_that_are_not_encoded_as_they_should_be(
    serve: Serve, make_pool: MakePool, coding: str, data: bytes, text: str
) -> None:
    server = await serve(saying(encoded(coding, data)))
    with pytest.raises(NetError, match=text):
        await (await ask(make_pool(server))).read()


async def test_members_of_a_gzip_body_in_any_pieces(serve: Serve, make_pool: MakePool) -> None:
    data = encoded("gzip", gzip.compress(b"one ", mtime=0) + gzip.compress(b"two", mtime=0))
    server = await serve(saying(*(data[at : at + 1] for at in range(len(data))), pause=0.0001))
    assert await (await ask(make_pool(server))).read() == b"one two"


async def test_an_empty_gzip_body(serve: Serve, make_pool: MakePool) -> None:
    assert await (await ask(make_pool(await serve(saying(encoded("gzip", b"")))))).read() == b""


# -- large bodies ---------------------------------------------------------------------------------


async def test_a_hundred_megabytes_in_linear_time(serve: Serve, make_pool: MakePool) -> None:
    size = 100 * MEGABYTE
    head = f"HTTP/1.1 200 OK\r\nContent-Length: {size}\r\n\r\n".encode()
    server = await serve(saying(head, *[b"x" * MEGABYTE] * 100))
    started = time.perf_counter()
    response = await ask(make_pool(server))
    assert len(await response.read()) == size
    assert time.perf_counter() - started < 10


async def test_a_large_request_waits_for_its_peer(serve: Serve, make_pool: MakePool) -> None:
    body = b"x" * (32 * MEGABYTE)
    received = 0

    async def handler(peer: Peer) -> None:
        nonlocal received
        await peer.reader.readuntil(b"\r\n\r\n")
        await asyncio.sleep(0.1)
        while received < len(body):
            received += len(await peer.reader.read(MEGABYTE))
        await peer.send(OK)

    server = await serve(handler)
    pool = make_pool(server)
    tracemalloc.start()
    try:
        assert await (await ask(pool, body)).read() == b"ok"
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert received == len(body)
    assert peak < 8 * MEGABYTE


async def test_a_refusal_before_the_request_is_read(serve: Serve, make_pool: MakePool) -> None:
    async def handler(peer: Peer) -> None:
        await peer.reader.readuntil(b"\r\n\r\n")
        await peer.send(b"HTTP/1.1 413 Too Large\r\nContent-Length: 3\r\n\r\nno!")
        await asyncio.sleep(0.5)

    server = await serve(handler)
    pool = make_pool(server)
    response = await ask(pool, b"x" * (64 * MEGABYTE))
    assert (response.status, await response.read()) == (413, b"no!")
    assert (await ask(pool)).status == 413  # not as the rest of a body
    assert server.connections == 2


# -- streams --------------------------------------------------------------------------------------


async def test_a_slow_reader_stops_the_writer(serve: Serve, make_pool: MakePool) -> None:
    size, sent = 64 * MEGABYTE, 0
    piece = b"x" * 2**16

    async def handler(peer: Peer) -> None:
        nonlocal sent
        await peer.request()
        await peer.send(f"HTTP/1.1 200 OK\r\nContent-Length: {size}\r\n\r\n".encode())
        while sent < size:
            await peer.send(piece)
            sent += len(piece)
        await peer.request()
        await peer.send(OK)

    server = await serve(handler)
    pool = make_pool(server)
    response = await ask(pool, whole=False)
    first = await response.read_some()
    await asyncio.sleep(0.3)
    assert sent < 24 * MEGABYTE  # what fits into the buffers of two sockets, and ours
    held = await response.read_some()
    assert len(held) < HELD_BYTES + MEGABYTE
    got = len(first) + len(held)
    async for chunk in response.pieces():
        got += len(chunk)
    assert got == size
    assert await (await ask(pool)).read() == b"ok"
    assert server.connections == 1


async def test_the_rest_of_a_paused_stream_can_be_read_at_once(
    serve: Serve, make_pool: MakePool
) -> None:
    size = 16 * MEGABYTE
    head = f"HTTP/1.1 200 OK\r\nContent-Length: {size}\r\n\r\n".encode()
    response = await ask(make_pool(await serve(saying(head, b"x" * size))), whole=False)
    await asyncio.sleep(0.1)
    assert len(await response.read()) == size


async def test_a_closed_stream_closes_its_connection(serve: Serve, make_pool: MakePool) -> None:
    gone = asyncio.Event()

    async def handler(peer: Peer) -> None:
        await peer.request()
        await peer.send(CHUNKED + b"2\r\nhi\r\n")
        if await peer.gone():
            gone.set()

    pool = make_pool(await serve(handler), limit=1)
    for _ in range(2):
        gone.clear()
        response = await ask(pool, whole=False)
        assert await response.read_some() == b"hi"
        response.close()
        response.close()
        await asyncio.wait_for(gone.wait(), 1)


async def test_a_stream_that_was_read_to_its_end_leaves_its_connection(
    serve: Serve, make_pool: MakePool
) -> None:
    server = await serve(saying(CHUNKED + b"2\r\nhi\r\n", b"0\r\n\r\n", pause=0.01))
    pool = make_pool(server, limit=1)
    for _ in range(3):
        response = await ask(pool, whole=False)
        assert [chunk async for chunk in response.pieces()] == [b"hi"]
        response.close()
    assert server.connections == 1


async def test_a_connection_that_only_answers(serve: Serve, make_pool: MakePool) -> None:
    pool = make_pool(await serve(answers))
    for size in (0, 1, 2**18, 2**18 + 1, 2**20):
        assert await (await ask(pool, b"x" * size)).read() == b"ok"
