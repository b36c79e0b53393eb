"""Header fields as they come and go, and that nobody can smuggle one in."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nemo_evaluator.http.headers import Headers, RequestHead, problem, request_target


def test_names_have_no_case() -> None:
    headers = Headers([(b"Content-Type", b"text/plain"), (b"X-A", b"1")])
    assert headers["content-type"] == headers["CONTENT-TYPE"] == "text/plain"
    assert "x-a" in headers
    assert 1 not in headers
    assert headers.get("x-b") is None
    assert dict(headers) == {"Content-Type": "text/plain", "X-A": "1"}
    assert len(headers) == 2


def test_repeated_fields_are_one() -> None:
    raw = [(b"X-A", b"1"), (b"Set-Cookie", b"a=1"), (b"x-a", b"2"), (b"set-cookie", b"b=2")]
    assert dict(Headers(raw)) == {"x-a": "1, 2", "set-cookie": "b=2"}


def test_bytes_of_no_encoding_do_not_matter() -> None:
    assert Headers([(b"X-A", b"\xff\xc3\xbc")])["x-a"] == "\ufffdü"


def test_a_later_group_wins() -> None:
    headers = Headers.of({"Accept": "a", "X-A": "1"}, {"x-a": "2"})
    assert dict(headers) == {"Accept": "a", "x-a": "2"}


def test_values_are_not_shown() -> None:
    assert repr(Headers([(b"Authorization", b"secret")])) == "Headers(Authorization)"


def test_the_head_of_a_request() -> None:
    head = RequestHead("POST", "/v1/x?a=b", {"Host": "h", "X-A": "1"})
    line = b"POST /v1/x?a=b HTTP/1.1\r\n"
    assert head(7) == line + b"Host: h\r\nX-A: 1\r\nContent-Length: 7\r\n\r\n"
    assert head(0).endswith(b"X-A: 1\r\nContent-Length: 0\r\n\r\n")
    replaced = line + b"Host: h\r\nx-a: 2\r\nX-B: \xc3\xbc\r\nContent-Length: 7\r\n\r\n"
    assert head(7, {"x-a": "2", "X-B": "ü"}) == replaced
    added = line + b"Host: h\r\nX-A: 1\r\nx-c: 3\r\nContent-Length: 7\r\n\r\n"
    assert head(7, {"x-c": "3"}) == added
    assert head(7) == line + b"Host: h\r\nX-A: 1\r\nContent-Length: 7\r\n\r\n"


def test_a_request_without_a_body_tells_no_length() -> None:
    assert RequestHead("GET", "/", {"Host": "h"})(0) == b"GET / HTTP/1.1\r\nHost: h\r\n\r\n"


@pytest.mark.parametrize(
    ("name", "value", "why"),
    [
        ("X-A", "1\r\nX-B: 2", "has a line break or control character in it"),
        ("X-A", "1\n", "has a line break or control character in it"),
        ("X-A\r\nX-B", "1", "has a line break or control character in it"),
        ("X-A", "\0", "has a line break or control character in it"),
        ("X A", "1", "has no name that HTTP allows"),
        ("X-A:", "1", "has no name that HTTP allows"),
        ("", "1", "has no name that HTTP allows"),
        ("Ü", "1", "has no name that HTTP allows"),
        ("Content-Length", "5", "is set by the length of the request, not by hand"),
        ("transfer-encoding", "chunked", "is set by the length of the request, not by hand"),
        ("X-A", "tab\tand ü", None),
    ],
)
def test_what_can_be_sent(name: str, value: str, why: str | None) -> None:
    assert problem(name, value) == why
    head = RequestHead("POST", "/", {})
    if why is None:
        assert head(0, {name: value}).count(b"\r\n") == 4
    else:
        with pytest.raises(ValueError, match=why):
            head(0, {name: value})


@given(st.text(), st.text())
def test_one_header_is_one_line_or_none(name: str, value: str) -> None:
    try:
        head = RequestHead("POST", "/", {})(0, {name: value})
    except ValueError:
        return
    assert head.count(b"\n") == head.count(b"\r\n") == 4


@given(st.text())
def test_a_target_is_one_word(path: str) -> None:
    target = request_target("/" + path.encode(errors="replace").decode())
    assert target.isascii()
    assert target.isprintable()
    assert not set(target) & set(' "<>#\\')
    assert request_target(target) == target


def test_what_is_quoted_stays_as_it_is() -> None:
    assert request_target("/v1/a%2Fb c?d=[1]&e=ü") == "/v1/a%2Fb%20c?d=[1]&e=%C3%BC"
