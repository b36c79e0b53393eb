"""Compressed bodies, whole or in pieces, and never more of them than is allowed."""

from __future__ import annotations

import gzip
import zlib
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nemo_evaluator.http.inflate import EncodingError, Inflate, TooLargeError, codings, inflated


def packed(data: bytes, coding: str) -> bytes:
    if coding == "bare":
        bare = zlib.compressobj(wbits=-15)
        return bare.compress(data) + bare.flush()
    return zlib.compress(data) if coding == "deflate" else gzip.compress(data, mtime=0)


CODINGS = st.sampled_from(["gzip", "deflate", "bare", "x-gzip"])


@given(st.binary(min_size=1), CODINGS)
def test_whole_bodies(data: bytes, coding: str) -> None:
    name, body = "deflate" if coding == "bare" else coding, packed(data, coding)
    assert inflated(body, f" {name.upper()} ", len(data)) == data
    with pytest.raises(TooLargeError):
        inflated(body, name, len(data) - 1)
    with pytest.raises(EncodingError):
        inflated(body[: len(body) // 2], name, len(data))


@given(st.binary(), CODINGS, st.lists(st.integers(0, 400), max_size=6))
def test_pieces_of_any_size_are_inflated(data: bytes, coding: str, cuts: list[int]) -> None:
    body = packed(data, coding)
    if "gzip" in coding:
        body += packed(data, coding) + bytes(3)
    edges = sorted({0, len(body), *(cut for cut in cuts if cut < len(body))})
    inflate = Inflate("deflate" if coding == "bare" else coding)
    plain = b"".join(inflate(body[a:b]) for a, b in pairwise(edges)) + inflate.close()
    assert plain == (data * 2 if "gzip" in coding else data)


def test_a_bomb_is_not_unpacked() -> None:
    bomb = gzip.compress(bytes(10**7), mtime=0)
    with pytest.raises(TooLargeError):
        inflated(bomb, "gzip", 1000)
    with pytest.raises(TooLargeError):
        inflated(gzip.compress(bytes(600), mtime=0) * 2, "gzip", 1000)


def test_only_known_codings_are_inflated() -> None:
    assert inflated(b"x", "identity", 1) == b"x" and inflated(b"", "gzip", 1) == b""
    with pytest.raises(LookupError, match="br"):
        inflated(b"x", "br", 1)
    for body in (b"{}", b"{", b"plain text"):
        with pytest.raises(EncodingError):
            inflated(body, "gzip", 100)
    assert codings("utf-8") == codings("identity") == [] and codings("GZIP, br") == ["gzip", "br"]
