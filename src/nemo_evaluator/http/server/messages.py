"""What a server is asked and what it answers; how an answer looks on the wire. No I/O."""

from __future__ import annotations

import time
from collections.abc import Mapping
from email.utils import formatdate
from functools import lru_cache
from http import HTTPStatus
from typing import Protocol
from urllib.parse import urlsplit

JSON = "application/json"
NOTHING: Mapping[str, str] = {}
CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
_CLOSE, _KEEP = b"Connection: close\r\n", b"Connection: keep-alive\r\n"


class Wire(Protocol):
    """What a stream needs of its connection."""

    async def write(self, data: bytes) -> None:
        """Send soon, as fast as the client reads. Raises ConnectionResetError if it is gone."""

    def send(self, data: bytes) -> None:
        """Send soon, without waiting."""

    def keeps(self, request: Request) -> bool:
        """Whether the connection stays open after the answer to a request."""


class Request:
    """One whole request."""

    __slots__ = (
        *("answer_headers", "body", "headers", "is_old", "keep"),
        *("method", "stream", "target", "wire"),
    )

    def __init__(
        self, method: str, target: str, headers: dict[str, str], *, keep: bool, is_old: bool
    ) -> None:
        self.method = method
        self.target = target
        """Path and query, still percent-encoded."""
        self.headers = headers
        """By lower-case name; repeated fields are joined by commas."""
        self.body = b""
        self.keep = keep
        """The client wants to go on using the connection."""
        self.is_old = is_old
        """HTTP/1.0, which knows no chunks."""
        self.answer_headers: Mapping[str, str] = NOTHING
        """Headers that its answer gets, whatever it is."""
        self.wire: Wire | None = None
        self.stream: Stream | None = None
        """The answer, once it was begun."""

    @property
    def expects_continue(self) -> bool:
        """The client sends the body only after ``100 Continue``."""
        return self.headers.get("expect", "").lower() == "100-continue" and not self.is_old

    @property
    def path(self) -> str:
        """The path, undecoded."""
        return self._parts()[0]

    @property
    def query(self) -> str:
        """What follows the question mark, undecoded."""
        return self._parts()[1]

    def begin(
        self, status: int, headers: Mapping[str, str] = NOTHING, content_type: str = JSON
    ) -> Stream:
        """Begin an answer that comes in pieces; return it once it is complete.

        Raises ValueError for a header that cannot be sent.
        """
        assert self.wire is not None and self.stream is None
        if self.answer_headers:
            headers = {**headers, **self.answer_headers}
        self.stream = Stream(self, self.wire, status, headers, content_type)
        return self.stream

    def _parts(self) -> tuple[str, str]:
        target = self.target
        if not target.startswith(("/", "*")):  # meant for a forward proxy
            parts = urlsplit(target)
            return parts.path or "/", parts.query
        path, _, query = target.partition("?")
        return path, query


class Response:
    """A whole answer."""

    __slots__ = ("body", "content_type", "headers", "status")

    def __init__(
        self,
        status: int,
        body: bytes = b"",
        headers: Mapping[str, str] = NOTHING,
        content_type: str = JSON,
    ) -> None:
        self.status, self.body, self.headers = status, body, headers
        self.content_type = content_type

    def wire(self, request: Request | None, *, keep: bool) -> bytes:
        """All bytes of it. Raises ValueError for a header that cannot be sent."""
        start = _start(self.status, self.content_type, request, keep)
        fields = _fields(self.headers) if self.headers else b""
        if request is not None and request.answer_headers:
            fields += _fields(request.answer_headers)
        if _is_bodiless(self.status):
            return b"%b%b\r\n" % (start, fields)
        body = b"" if request is not None and request.method == "HEAD" else self.body
        return b"%b%bContent-Length: %d\r\n\r\n%b" % (start, fields, len(self.body), body)


class Stream:
    """An answer in pieces. Whoever began it returns it when it is complete."""

    __slots__ = ("_chunked", "_mute", "_wire", "is_broken", "keep", "status")

    def __init__(
        self,
        request: Request,
        wire: Wire,
        status: int,
        headers: Mapping[str, str],
        content_type: str,
    ) -> None:
        self.status = status
        self.is_broken = False
        """The stream cannot be completed: the connection ends without an orderly end of the answer.
        """
        self._wire = wire
        self._mute = request.method == "HEAD" or _is_bodiless(status)
        self._chunked = not (self._mute or request.is_old)
        self.keep = wire.keeps(request) and (self._chunked or self._mute)
        """The connection goes on after it, which was promised in its head; where there are no
        chunks, the end of the connection is its end."""
        start = _start(status, content_type, request, self.keep)
        coding = b"Transfer-Encoding: chunked\r\n" if self._chunked else b""
        wire.send(b"%b%b%b\r\n" % (start, _fields(headers), coding))

    async def write(self, data: bytes) -> None:
        """Send a piece, as fast as the client reads. Raises ConnectionResetError if it is gone."""
        if data and not self._mute:
            if self._chunked:
                data = b"%x\r\n%b\r\n" % (len(data), data)
            await self._wire.write(data)

    def end(self) -> None:
        """Complete the stream."""
        if self._chunked:
            self._wire.send(b"0\r\n\r\n")


def _is_bodiless(status: int) -> bool:
    return status in (204, 304)


def _start(status: int, content_type: str, request: Request | None, keep: bool) -> bytes:
    """Status line and first fields."""
    start = _opening(status, content_type, int(time.time()))
    if not keep:
        return start + _CLOSE
    return start + _KEEP if request is not None and request.is_old else start


@lru_cache(64)
def _opening(status: int, content_type: str, second: int) -> bytes:
    """The same for all answers of one second."""
    try:
        phrase = HTTPStatus(status).phrase
    except ValueError:
        phrase = "Unknown"
    line = f"HTTP/1.1 {status} {phrase}\r\n"
    return line.encode() + _fields(
        {"Content-Type": content_type, "Date": formatdate(second, usegmt=True)}
    )


def _fields(headers: Mapping[str, str]) -> bytes:
    text = "".join([f"{name}: {value}\r\n" for name, value in headers.items()])
    if text.count("\n") != len(headers) or text.count("\r") != len(headers):
        raise ValueError("a header has a line break in it")
    return text.encode("utf-8", "surrogateescape")
