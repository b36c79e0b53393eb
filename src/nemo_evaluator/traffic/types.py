"""Requests and responses as they pass through the pipeline, and the pipeline's contract.

A request keeps the body in its wire dialect, so an interceptor sees what the server will see.
"""

from __future__ import annotations

import enum
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Protocol

import msgspec

from ..types import Json, Usage
from .dialects.contract import Reply, parse_usage
from .scrub import Scrubber
from .store.keys import Form


class KeepsAnswers(Protocol):
    """Answers of earlier invocations, and those of this one for later ones."""

    def take(self, request: ModelRequest) -> ModelResponse | None:
        """The next answer to a request that was not given yet."""

    def keep(self, request: str, response: ModelResponse) -> None:
        """Add an answer."""

    def count(self) -> None:
        """What is there has been counted: a later invocation gets it for nothing."""

    def close(self) -> None:
        """Close the file."""


class CallContext(msgspec.Struct, frozen=True):
    """The caller of a request: benchmark, rollout, session. Never sent over the wire."""

    session: str = ""
    """One session per rollout attempt, e.g. ``gsm8k/12/0``."""
    benchmark: str = ""
    problem_idx: int = -1
    repeat: int = 0
    attempt: int = 1
    deadline: float | None = None
    """``time.monotonic()`` value after which no further try is made; as it was when the work began
    where ``until`` knows better."""
    until: Callable[[], float | None] | None = None
    """The deadline now: time that calls are held back is added to it."""
    target: Json = None
    """The problem's target; only the simulated service looks at it."""
    on_wait: Callable[[str | None], None] | None = None
    """Told the peer a call is waiting for, and ``None`` when it is not (used by the watchdog)."""
    may_go_on: Callable[[], None] | None = None
    """Called before each call; raises BudgetExceeded where the budget of the run is used up."""
    on_hold: Callable[[bool], None] | None = None
    """Told that a call waits for admission, or for an endpoint that is down, and that this is over.
    """
    kept: KeepsAnswers | None = None
    """Answers of earlier invocations to the same session, and where those of this one go."""

    @property
    def scope(self) -> tuple[str, int]:
        """Key of the limits and counts of a session: every attempt begins a new one."""
        return self.session, self.attempt


class ModelRequest(msgspec.Struct):
    """One call to a model.

    The top level of ``body`` and ``headers`` belong to the request and may be changed in place;
    what lies below (messages, tools) may be shared with others: replace it, never change it.
    """

    protocol: str
    """``chat_completions``, ``completions``, ``responses`` or ``embeddings``."""
    body: dict[str, Any]
    headers: dict[str, str] = msgspec.field(default_factory=dict)
    """Headers to send besides those of the service, by lower-case name."""
    stream: bool = False
    """Ask the upstream for a stream."""
    live: bool = False
    """The caller takes a stream while it arrives (``ModelResponse.chunks``)."""
    context: CallContext = CallContext()
    rejected: Usage | None = None
    """Tokens of responses that were no answers and were asked for again: paid for all the same."""
    known_form: Form | None = None

    def form(self) -> Form:
        """The canonical form of the body as it is now."""
        if self.known_form is None or not self.known_form.is_of(self.body):
            self.known_form = Form(self.body)
        return self.known_form


class ModelResponse(msgspec.Struct):
    """The answer to one call. ``body`` is the parsed JSON (for a stream: the accumulated equivalent
    of the unstreamed body). Where ``chunks`` is set the stream is still to come, and ``body`` is
    empty until it is exhausted."""

    status: int
    body: dict[str, Any]
    headers: Mapping[str, str] = msgspec.field(default_factory=dict)
    chunks: AsyncGenerator[bytes] | None = None
    latency_ms: float = 0.0
    ttft_ms: float | None = None
    tries: int = 1
    source: str = "endpoint"
    """Where the answer came from: ``endpoint``, ``cache`` or ``replay``."""
    reply: Reply | None = None
    """What the body says, once the ledger, the last step of all, has read it."""
    watchers: list[Callable[[Ended], None]] = msgspec.field(default_factory=list)
    """Called with the outcome when the stream ends (see ``when_ended``)."""


Ended = ModelResponse | BaseException
"""How a call ended: with a whole answer, or with what kept it from one."""
Forward = Callable[[ModelRequest], Awaitable[ModelResponse]]
"""The rest of the pipeline."""


def usage_of(response: ModelResponse) -> Usage:
    """The tokens of an answer, read again only where the ledger has not read them yet."""
    reply = response.reply
    return parse_usage(response.body.get("usage")) if reply is None else reply.usage


def when_ended(response: ModelResponse, tell: Callable[[Ended], None]) -> None:
    """Tell how a call ended: at once for a whole answer, at its end for a stream."""
    if response.chunks is None:
        tell(response)
    else:
        response.watchers.append(tell)


class EventFilter(Protocol):
    """Changes the events of one stream on their way to the caller."""

    def feed(self, event: dict[str, object]) -> list[dict[str, object]]:
        """The events that take the place of this one; it may hold back what it must."""

    def close(self) -> list[dict[str, object]]:
        """What is still held back when the stream ends."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where a pipeline is: what its steps may need to know."""

    service: str
    """Name of the service in the configuration."""
    model: str
    peer: str
    """The upstream as it may be shown."""
    protocol: str
    upstream: str = ""
    """Identifies the upstream: its base URL without credentials and query."""
    scrub: Scrubber = field(default_factory=Scrubber)
    """Cleans whatever is written: known secrets, and the patterns of `redact`."""
    cost: Callable[[Usage], float | None] = lambda _: None
    """US dollars of one call; None where the price is not known."""


class Changes(enum.StrEnum):
    """What an interceptor can change; whether two runs mean the same depends on it."""

    NOTHING = "nothing"
    """The interceptor watches, stores or times: the results mean the same with or without it."""
    ANSWERS = "answers"
    """What the model is asked stays; which answers come back, or how they read, may differ."""
    REQUESTS = "requests"
    """The model is asked something else."""


class Interceptor:
    """One step of the pipeline. A subclass overrides what it touches.

    Order: all ``on_request`` as listed; then the ``around`` of those that have one, the first
    listed outermost, around the endpoint; then all ``on_response`` as listed, wherever the answer
    came from; at last all ``on_end`` as listed, exactly once for each call, failed ones included.
    Hooks other than ``around`` and ``close`` must not block: the event loop is everybody's.

    A class attribute ``Options`` (a ConfigRecord) is what ``config:`` is validated against; the
    step is then made with that record as its only argument, otherwise with ``**config``.
    """

    best_effort: ClassVar[bool] = False
    """A failure of ``on_response`` is logged and does not fail the call."""
    changes: ClassVar[Changes] = Changes.REQUESTS
    """What it can change. All but ``NOTHING`` is part of a run's identity, with its options."""
    offline: bool = False
    """The interceptor answers every call by itself: no endpoint is needed."""

    def open(self, place: Place) -> None:
        """Called once, before the first request."""

    def on_request(self, request: ModelRequest) -> None:
        """Change the request, or raise to refuse it."""

    async def around(self, request: ModelRequest, forward: Forward) -> ModelResponse:
        """Decide where the answer comes from: call ``forward`` once, many times or not at all."""
        return await forward(request)

    def on_response(self, request: ModelRequest, response: ModelResponse) -> None:
        """Change or note a whole answer. For a live stream it sees the accumulated body at the end;
        what the caller shall see changed must be changed by ``event_filter`` too."""

    def event_filter(self, request: ModelRequest) -> EventFilter | None:
        """A filter for the events of one live stream, or None to leave them alone."""
        return None

    def wrap_transport(self, transport: Forward) -> Forward:
        """What the endpoint sends its tries over: below its retries and limits."""
        return transport

    def on_end(self, request: ModelRequest, ended: Ended) -> None:
        """The call is over. For notes only: whatever is raised here is logged and ignored."""

    def end_session(self, context: CallContext) -> None:
        """Forget a session and attempt: no more calls of it will follow."""

    async def close(self) -> None:
        """The run is over: write what is left, close what is open. Safe to call twice."""


Step = Interceptor | Callable[[ModelRequest, Forward], Awaitable[ModelResponse]]
"""What a pipeline is made of; a plain ``async (request, forward)`` is only an ``around``."""
