"""What a server requires of its application, and how much time and room a client may use."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from .messages import Request, Response, Stream

MEGABYTE = 2**20


class App(Protocol):
    """The application that answers requests."""

    def admit(self, request: Request) -> Response | None:
        """A refusal on sight of the head alone, before the body is taken in; or None."""

    async def answer(self, request: Request) -> Response | Stream:
        """The answer to a whole request: a response, or the stream that it has begun."""

    def failure(self, request: Request | None, status: int, message: str) -> Response:
        """The answer to a client whose request (None: not even that) could not be read."""


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
    """408 beyond."""
    idle_seconds: float = 75.0
    """Between two requests."""
    linger_seconds: float = 30.0
    """For what a refused client still sends, and for a closed one to take its answer."""
    linger_bytes: int = 1024 * MEGABYTE
    queued: int = 16
    """Pipelined requests that wait; then no more is read."""
    queued_bytes: int = MEGABYTE
    """The same of their bodies."""
