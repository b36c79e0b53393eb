"""Bytes of a connection to requests; llhttp reads. No I/O.

Requests stand in ``requests`` from the end of their head on; the body of the last may still be
coming. A ``refusal`` (too large, not HTTP) is the last word: it is to be sent once the requests
before it are answered, and nothing is read any more.
"""

from __future__ import annotations

import logging
import re
from collections import deque
from typing import NamedTuple

from httptools import (
    HttpParserError,
    HttpParserInvalidMethodError,
    HttpParserUpgrade,
    HttpRequestParser,
)

from .contract import Limits, shown
from .messages import Incoming

log = logging.getLogger("nemo_evaluator.http")

_UNKNOWN_METHOD = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+ [^ ]+ HTTP/1\.[01]\r\n")
_UPGRADING = frozenset((b"upgrade", b"connection", b"http2-settings"))


class Refusal(NamedTuple):
    """A request that the server refuses without calling the application."""

    request: Incoming | None
    status: int
    message: str


class Reader:
    """Reads one connection."""

    __slots__ = (
        *("_chunk", "_headers", "_is_last", "_limits", "_parser", "_received", "_size", "_url"),
        *("refusal", "request", "requests"),
    )

    def __init__(self, limits: Limits) -> None:
        self.requests: deque[Incoming] = deque()
        self.request: Incoming | None = None
        """The request whose body is still arriving."""
        self.refusal: Refusal | None = None
        self._limits = limits
        self._parser: HttpRequestParser | None = HttpRequestParser(self)
        self._is_last = False
        self._url = b""
        self._headers: list[tuple[bytes, bytes]] = []
        self._size = 0
        """Bytes of the body so far."""
        self._chunk = self._received = 0

    @property
    def is_open(self) -> bool:
        """Whether the reader takes more bytes."""
        return self._parser is not None

    @property
    def has_begun(self) -> bool:
        """Whether some bytes of the next request have arrived."""
        return self._received > 0

    def feed(self, data: bytes) -> None:
        """Parse the next bytes."""
        parser = self._parser
        if parser is None:
            return
        self._chunk = len(data)
        self._received += self._chunk
        before = len(self.requests)
        try:
            parser.feed_data(data)
        except HttpParserUpgrade as upgrade:
            self._ignore_upgrade(data[upgrade.args[0] :])
        except HttpParserError as error:
            self._broken(error, data if len(self.requests) == before else b"")
        else:
            if self._url:
                self._received = max(self._received, len(self._url))  # after another's end
            if self._received:
                self._check_room()

    def fail(self, status: int, message: str) -> None:
        """Refuse the request that is arriving, and stop reading."""
        request = self.request
        if request is not None:
            request.failed = True
            if self.requests and self.requests[-1] is request:
                self.requests.pop()
        if self.refusal is None:
            self.refusal = Refusal(request, status, message)
        self.close()

    def close(self) -> None:
        """Stop reading."""
        self._parser, self.request = None, None

    # -- httptools --------------------------------------------------------------------------------

    def on_url(self, url: bytes) -> None:
        """A piece of the request's target."""
        self._url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        """Take a header field. Trailer fields are ignored."""
        if self.request is None:
            self._headers.append((name.lower(), value))

    def on_headers_complete(self) -> None:
        """The end of a head. Raises _Refused."""
        parser, headers, limits = self._parser, self._headers, self._limits
        if parser is None:
            raise _Refused
        request = self.request = Incoming(
            parser.get_method().decode(),
            self._url,
            headers,
            keep=parser.should_keep_alive(),
            is_old=parser.get_http_version() == "1.0",
        )
        if max(self._received, self._chunk) > limits.head_bytes:  # else it cannot be too large
            size = sum(len(name) + len(text) + 4 for name, text in headers)
            if size + len(self._url) > limits.head_bytes:
                self._head_is_too_large()
                raise _Refused
        self._url, self._headers = b"", []
        if int(request.value(b"content-length") or 0) > limits.body_bytes:
            self._body_is_too_large()
            raise _Refused
        if request.method == "CONNECT":
            self.fail(501, "this is not a forward proxy")
            raise _Refused
        self.requests.append(request)

    def on_body(self, chunk: bytes) -> None:
        """A piece of a body. Raises _Refused."""
        request = self.request
        self._size += len(chunk)
        if self._size > self._limits.body_bytes or request is None:
            self._body_is_too_large()
            raise _Refused
        request.pieces.append(chunk)
        request.size += len(chunk)

    def on_message_complete(self) -> None:
        """The end of a request. Raises _Refused."""
        request, parser = self.request, self._parser
        if request is None or parser is None:
            raise _Refused
        if parser.should_upgrade():
            return
        request.is_whole = True
        self._is_last = not request.keep
        self.request = None
        self._size = self._received = 0

    # -- malformed requests -----------------------------------------------------------------------

    def _check_room(self) -> None:
        """Refuse a request whose unfinished head, chunk heads or trailers have grown too large."""
        limits = self._limits
        if self.request is None:
            if self._received > limits.head_bytes:
                self._head_is_too_large()
        elif self._received - self._size > limits.head_bytes + limits.body_bytes:
            self._body_is_too_large()  # of chunks' heads, or trailers

    def _ignore_upgrade(self, rest: bytes) -> None:
        """llhttp stops at an ``Upgrade`` header (Java's clients send one) and treats the rest as
        another protocol. We do not upgrade: parse the same request again without that header."""
        request = self.request
        if request is None:
            return
        self.requests.pop()
        head = b"%b %b HTTP/1.1\r\n" % (request.method.encode(), request.target)
        kept = (field for field in request.headers if field[0] not in _UPGRADING)
        head += b"".join(b"%b: %b\r\n" % field for field in kept)
        self._parser, self.request, self._received = HttpRequestParser(self), None, 0
        self.feed(head + b"\r\n" + rest)

    def _broken(self, error: HttpParserError, data: bytes) -> None:
        """Refuse bytes that llhttp rejects. ``data``: the first bytes of the request, if known."""
        if isinstance(error.__context__, _Refused):
            return
        if error.__context__ is not None:
            log.error("a request could not be read", exc_info=error.__context__)
            self.fail(500, "the request could not be read")
        elif self._is_last and self.request is None:
            self.close()  # it said that there would be no more
        elif isinstance(error, HttpParserInvalidMethodError) and _UNKNOWN_METHOD.match(data):
            self.fail(501, "this method is not known here")
        else:
            self.fail(400, f"this is not HTTP: {' '.join(str(error).split())}")

    def _head_is_too_large(self) -> None:
        self.fail(431, f"the request line and headers are over {self._limits.head_bytes} bytes")

    def _body_is_too_large(self) -> None:
        self.fail(413, f"the request is larger than {shown(self._limits.body_bytes)}")


class _Refused(Exception):
    """Stops the parser."""
