"""A request as it arrives, and the head of a response. No I/O."""

from __future__ import annotations

import time
from email.utils import formatdate
from functools import lru_cache
from http import HTTPStatus
from urllib.parse import unquote, urlsplit

from ..asgi import EXTENSIONS, Scope
from ..headers import Raw

ASGI = {"version": "3.0", "spec_version": "2.4"}
CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"


class Incoming:
    """One request. Its body may still be coming."""

    size = 0
    """Bytes of ``pieces``."""
    is_whole = False
    """All of the body has come."""
    failed = False
    """The rest of the body will not come."""
    scope: Scope | None = None

    def __init__(
        self,
        method: str,
        target: bytes,
        headers: list[tuple[bytes, bytes]],
        *,
        keep: bool,
        is_old: bool,
    ) -> None:
        self.method, self.target = method, target
        self.headers = headers
        """Names are in lower case."""
        self.keep = keep
        """The client wants to go on using the connection."""
        self.is_old = is_old
        """HTTP/1.0, which knows no chunks."""
        self.pieces: list[bytes] = []
        """Pieces of the body that the application has not taken."""

    def value(self, name: bytes) -> bytes:
        """The first field of a name, or nothing."""
        for key, value in self.headers:
            if key == name:
                return value
        return b""

    @property
    def expects_continue(self) -> bool:
        """The client sends the body only after ``100 Continue``."""
        return not self.is_old and self.value(b"expect").lower() == b"100-continue"

    def taken(self) -> bytes:
        """The bytes of the body that have arrived since the last call."""
        pieces, self.pieces, self.size = self.pieces, [], 0
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    def in_scope(self, client: object = None, server: object = None) -> Scope:
        """The ASGI scope, made once."""
        if self.scope is not None:
            return self.scope
        headers, target = self.headers, self.target
        if not target.startswith((b"/", b"*")):  # meant for a forward proxy
            authority, target = _parts(target)
            # RFC 9112 section 3.2.2: the target's host counts, not the Host field.
            headers = [field for field in headers if field[0] != b"host"]
            headers.append((b"host", authority))
        raw_path, _, query = target.partition(b"?")
        self.scope = {
            "type": "http",
            "asgi": ASGI,
            "http_version": "1.0" if self.is_old else "1.1",
            "method": self.method,
            "scheme": "http",
            "path": _decoded(raw_path),
            "raw_path": raw_path,
            "query_string": query,
            "root_path": "",
            "headers": headers,
            "client": client,
            "server": server,
            "extensions": EXTENSIONS,
        }
        return self.scope


def _decoded(raw_path: bytes) -> str:
    text = raw_path.decode("latin-1")
    return unquote(text, "utf-8", "replace") if "%" in text else text


def _parts(target: bytes) -> tuple[bytes, bytes]:
    """Authority, and path with query, of an absolute URL."""
    try:
        parts = urlsplit(target)
    except ValueError:
        return b"", b"/"
    query = b"?" + parts.query if parts.query else b""
    return parts.netloc, (parts.path or b"/") + query


def is_bodiless(status: int) -> bool:
    """Whether responses of a status never have a body."""
    return status in (204, 304)


@lru_cache(64)
def opening(status: int, second: int, is_dated: bool) -> bytes:
    """Status line and date: the same for all responses of one second."""
    try:
        phrase = HTTPStatus(status).phrase
    except ValueError:
        phrase = "Unknown"
    date = "" if is_dated else f"date: {formatdate(second, usegmt=True)}\r\n"
    return f"HTTP/1.1 {status} {phrase}\r\n{date}".encode()


def now() -> int:
    """The second of a response's date."""
    return int(time.time())


def known_fields(headers: Raw) -> tuple[Raw, dict[bytes, bytes]]:
    """An application's header fields less those that frame the response, which the server writes,
    and the values of these."""
    known: dict[bytes, bytes] = {}
    kept = []
    for field in headers:
        name = field[0].lower()
        if name in FRAMING:
            known[name] = field[1]
            if name in KEPT:
                kept.append(field)
        else:
            kept.append(field)
    return kept, known


FRAMING = frozenset((b"connection", b"content-length", b"date", b"transfer-encoding"))
KEPT = frozenset((b"date",))
