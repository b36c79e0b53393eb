"""Requests and responses as they pass through the pipeline, and the pipeline's contract.

A request keeps the body in its wire dialect, so an interceptor sees what the server will see.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from ..types import Json


@dataclass(frozen=True, slots=True)
class CallContext:
    """Who is calling and why. Never sent over the wire."""

    session: str = ""
    """One session per rollout attempt, e.g. ``gsm8k/12/0``."""
    benchmark: str = ""
    problem_idx: int = -1
    repeat: int = 0
    attempt: int = 1
    deadline: float | None = None
    """``time.monotonic()`` value after which no further try is made."""
    target: Json = None
    """The problem's target; only the simulated service looks at it."""
    on_wait: Callable[[str | None], None] | None = None
    """Told the peer a call is waiting for, and ``None`` when it is not (used by the watchdog)."""


@dataclass(slots=True)
class ModelRequest:
    """One call to a model."""

    protocol: str
    """``chat_completions``, ``completions`` or ``responses``."""
    body: dict[str, Any]
    headers: dict[str, str] = field(default_factory=dict)
    stream: bool = False
    context: CallContext = CallContext()


@dataclass(slots=True)
class ModelResponse:
    """The answer to one call. ``body`` is the parsed JSON (for a stream: the accumulated equivalent
    of the unstreamed body, complete once ``chunks`` is exhausted)."""

    status: int
    body: dict[str, Any]
    headers: Mapping[str, str] = field(default_factory=dict)
    chunks: AsyncIterator[bytes] | None = None
    latency_ms: float = 0.0
    ttft_ms: float | None = None
    tries: int = 1


Forward = Callable[[ModelRequest], Awaitable[ModelResponse]]
"""The rest of the pipeline."""


class Interceptor(Protocol):
    """One step of the pipeline (middleware): not calling ``forward`` short-circuits."""

    async def __call__(self, request: ModelRequest, forward: Forward) -> ModelResponse:
        """Handle one call."""
