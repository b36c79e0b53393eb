"""The limits of a connection, and the response to a client that exceeds one."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass

from ..asgi import Message, Scope

MEGABYTE = 2**20


@dataclass(frozen=True, slots=True)
class Limits:
    """Limits of one connection; seconds and bytes."""

    head_bytes: int = 2**16
    """Request line and headers: 431 beyond."""
    body_bytes: int = 64 * MEGABYTE
    """413 beyond."""
    head_seconds: float = 30.0
    """From the first byte to the end of the headers; also from connecting to the first byte."""
    body_seconds: float = 120.0
    """For the body, from when the application asks for it: 408 beyond."""
    idle_seconds: float = 75.0
    """Between two requests."""
    linger_seconds: float = 30.0
    """How long a refused client may go on sending, and a closed one may take to read its answer."""
    linger_bytes: int = 1024 * MEGABYTE
    queued: int = 16
    """Pipelined requests that may wait; with more of them the server stops reading."""
    queued_bytes: int = MEGABYTE
    """Bytes of bodies that the application has not taken; with more the server stops reading."""


Failure = Callable[[Scope | None, int, str], tuple[Message, Message]]
"""The two messages of the answer to a request that the server itself refuses. The scope is None
where not even the head could be read."""


def failure(scope: Scope | None, status: int, message: str) -> tuple[Message, Message]:
    """``{"error": {"message": ...}}``."""
    body = json.dumps({"error": {"message": message}}).encode()
    headers = [(b"content-type", b"application/json")]
    start = {"type": "http.response.start", "status": status, "headers": headers}
    return start, {"type": "http.response.body", "body": body}


def shown(size: int) -> str:
    """A number of bytes, for people."""
    return f"{size >> 20} MB" if size >= MEGABYTE else f"{size} bytes"
