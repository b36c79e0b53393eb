"""However a request is cut into pieces, it is the same request."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nemo_evaluator.http.headers import fields_by_name
from nemo_evaluator.http.server.contract import Limits
from nemo_evaluator.http.server.messages import Incoming
from nemo_evaluator.http.server.reader import Reader

from .conftest import get, post

CHUNKED = b"POST /x HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n"
STREAM = (
    post(b"hello", "X-A: 1", "x-a: 2")
    + get("/a%20b?c=d&e")
    + CHUNKED
    + b"3;x=y\r\nabc\r\n1\r\nd\r\n0\r\nX-T: t\r\n\r\n"
    + b"\r\n"
    + post(b"inflated", "Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c", "HTTP2-Settings: x")
    + post(b"", "Connection: close")
)


def read(*pieces: bytes, **limits: int) -> Reader:
    reader = Reader(Limits(**limits))
    for piece in pieces:
        reader.feed(piece)
    return reader


def told(request: Incoming) -> tuple[str, bytes, dict[str, str], bytes, bool]:
    assert request.is_whole
    fields = fields_by_name(request.headers)
    return request.method, request.target, fields, request.taken(), request.keep


@given(st.lists(st.integers(0, len(STREAM)), max_size=12))
def test_a_stream_cut_anywhere_gives_the_same_requests(cuts: list[int]) -> None:
    edges = sorted({0, *cuts, len(STREAM)})
    pieces = [STREAM[a:b] for a, b in pairwise(edges)]
    reader = read(*pieces)
    assert reader.refusal is None
    first, second, third, fourth, last = map(told, reader.requests)
    assert first == (
        "POST",
        b"/",
        {"host": "h", "content-length": "5", "x-a": "1, 2"},
        b"hello",
        True,
    )
    assert second == ("GET", b"/a%20b?c=d&e", {"host": "h"}, b"", True)
    assert third == ("POST", b"/x", {"transfer-encoding": "chunked"}, b"abcd", True)
    assert fourth == ("POST", b"/", {"host": "h", "content-length": "8"}, b"inflated", True)
    assert last[-2:] == (b"", False)
    assert not reader.has_begun


@given(st.binary(max_size=300), st.lists(st.integers(1, 299), max_size=3))
def test_any_bytes(data: bytes, cuts: list[int]) -> None:
    edges = sorted({0, *cuts, len(data)})
    reader = read(*(data[a:b] for a, b in pairwise(edges)))
    if reader.refusal is not None:
        assert reader.refusal.status in (400, 431, 501)
        assert not reader.is_open


@pytest.mark.parametrize(
    "data",
    [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"nonsense\r\n\r\n",
        b"GET / HTTP/1.1\r\nno colon\r\n\r\n",
        b"GET / HTTP/1.1\r\nA : b\r\n\r\n",
        b"GET / HTTP/1.1\nA: b\n\n",
        b"GET / HTTP/9.9\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"POST / HTTP/1.1\r\nContent-Length: -1\r\n\r\n",
        b"POST / HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab",
        b"POST / HTTP/1.1\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"POST / HTTP/1.1\r\nTransfer-Encoding: gzip\r\n\r\nabc",
        CHUNKED + b"xyz\r\n",
        b"POST / HTTP/1.1\r\nContent-Length: 99999999999999999999999999\r\n\r\n",
    ],
)
def test_malformed_requests_are_refused(data: bytes) -> None:
    for reader in (read(data), read(*(data[i : i + 1] for i in range(len(data))))):
        assert not reader.requests
        assert reader.refusal is not None and reader.refusal.status == 400
    after = read(get("/good") + data)
    assert [request.target for request in after.requests] == [b"/good"]
    assert after.refusal is not None and after.refusal.status == 400


def test_unknown_methods_and_tunnels() -> None:
    for data in (b"BREW /pot HTTP/1.1\r\n\r\n", b"CONNECT h:1 HTTP/1.1\r\nHost: h\r\n\r\n"):
        refusal = read(data).refusal
        assert refusal is not None and refusal.status == 501


def test_after_the_last_request() -> None:
    reader = read(get("/", "Connection: close") + get("/more"))
    assert len(reader.requests) == 1 and reader.refusal is None and not reader.is_open


def test_target_of_a_forward_proxy() -> None:
    [request] = read(b"GET http://h:1/a?b HTTP/1.1\r\nHost: other\r\nX-A: b\r\n\r\n").requests
    scope = request.in_scope()
    assert (scope["path"], scope["raw_path"], scope["query_string"]) == ("/a", b"/a", b"b")
    assert scope["headers"] == [(b"x-a", b"b"), (b"host", b"h:1")]
    [request] = read(b"OPTIONS * HTTP/1.1\r\n\r\n").requests
    assert request.in_scope()["path"] == "*"


def test_paths_are_decoded_and_kept_as_they_came() -> None:
    [request] = read(get("/s/a%2Fb%20%C3%BC%ff?x=%20")).requests
    scope = request.in_scope()
    assert scope["path"] == "/s/a/b \u00fc\ufffd" and scope["query_string"] == b"x=%20"
    assert scope["raw_path"] == b"/s/a%2Fb%20%C3%BC%ff"
    assert scope is request.in_scope()


@pytest.mark.parametrize(
    "head",
    [
        b"GET /" + b"x" * 2000 + b" HTTP/1.1\r\n\r\n",
        b"GET / HTTP/1.1\r\nA: " + b"x" * 2000 + b"\r\n\r\n",
        b"GET / HTTP/1.1\r\n" + b"".join(b"A%d: xxxxx\r\n" % i for i in range(200)) + b"\r\n",
        b"GET / HTTP/1.1\r\nA: " + b"x" * 2000,
        b"GET /" + b"x" * 2000,
    ],
)
def test_a_head_too_large(head: bytes) -> None:
    for reader in (
        read(head, head_bytes=1000),
        read(*(head[i : i + 100] for i in range(0, len(head), 100)), head_bytes=1000),
        read(post(b"x" * 900) + head, b"x" * 1001, head_bytes=1000),
    ):
        assert reader.refusal is not None and reader.refusal.status == 431


def test_a_long_body_is_no_long_head() -> None:
    reader = read(post(b"x" * 5000) + get(), post(b"x" * 100_000), head_bytes=1000)
    assert len(reader.requests) == 3 and reader.refusal is None


@pytest.mark.parametrize(
    "pieces",
    [
        [b"POST / HTTP/1.1\r\nContent-Length: 1001\r\n\r\n"],
        [CHUNKED + b"3e9\r\n" + b"x" * 1001],
        [CHUNKED] + [b"64\r\n%b\r\n" % (b"x" * 100)] * 11,
        [CHUNKED + b"0\r\n"] + [b"T: x\r\n"] * 20_000,
    ],
)
def test_a_body_too_large(pieces: list[bytes]) -> None:
    reader = read(*pieces, body_bytes=1000, head_bytes=1000)
    assert not reader.requests
    assert reader.refusal is not None and reader.refusal.status == 413
    assert "1000 bytes" in reader.refusal.message


def test_bodies_in_pieces_take_linear_time() -> None:
    size, piece = 2**25, bytes(2**12)
    reader = read(b"POST / HTTP/1.1\r\nContent-Length: %d\r\n\r\n" % size)
    for _ in range(size // len(piece)):
        reader.feed(piece)
    assert len(reader.requests[0].taken()) == size
