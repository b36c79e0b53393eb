"""Accounts of the traffic: every call once, in total and by session.

Tokens are those the provider reports; what it does not report stays unknown. An answer from the
cache costs nothing; the usage of a failed call is unknown.
"""

from __future__ import annotations

import logging
from collections.abc import Callable

import msgspec

from ..finish import FinishReason
from ..types import EndedBy, Failure, Usage
from .dialects import DIALECTS
from .types import CallContext, Ended, Interceptor, ModelRequest, ModelResponse, Place

log = logging.getLogger("nemo_evaluator.traffic")

MAX_SESSIONS = 100_000
MAX_FINISHES = 50
"""Unknown finish reasons that are named; a server that makes up one per answer is not."""


class Totals(msgspec.Struct):
    """Sums over calls. Times are in milliseconds, costs in US dollars."""

    calls: int = 0
    answers: int = 0
    cached_answers: int = 0
    """Answers that came from the cache; also among ``answers``."""
    abandoned: int = 0
    """Calls the caller gave up."""
    errors: dict[Failure, int] = msgspec.field(default_factory=dict)
    failing: Failure | None = None
    """Why the last call got no answer (``timeout`` where the caller gave it up); None where it got
    one."""
    ended_by: EndedBy | None = None
    """The limit that refused the last call that one refused."""
    prompt_tokens: int = 0
    completion_tokens: int = 0
    reasoning_tokens: int = 0
    cached_tokens: int = 0
    cost_usd: float | None = None
    """Cost in US dollars; None while no cost is known."""
    latency_ms: float = 0.0
    tries: int = 0

    @property
    def total_tokens(self) -> int:
        """Prompt and completion."""
        return self.prompt_tokens + self.completion_tokens

    @property
    def usage(self) -> Usage:
        """Tokens as the record that events and solutions carry."""
        return Usage(
            prompt_tokens=self.prompt_tokens,
            completion_tokens=self.completion_tokens,
            reasoning_tokens=self.reasoning_tokens or None,
            cached_tokens=self.cached_tokens or None,
        )

    def note(self, response: ModelResponse, usage: Usage, cost: float | None) -> None:
        """Add an answer."""
        self.answers += 1
        self.latency_ms += response.latency_ms
        self.tries += response.tries
        if response.source == "cache":
            self.cached_answers += 1
            return
        self.spend(usage, cost)

    def spend(self, usage: Usage, cost: float | None) -> None:
        """Add what was paid for, an answer or not."""
        self.prompt_tokens += usage.prompt_tokens or 0
        self.completion_tokens += usage.completion_tokens or 0
        self.reasoning_tokens += usage.reasoning_tokens or 0
        self.cached_tokens += usage.cached_tokens or 0
        if cost is not None:
            self.cost_usd = (self.cost_usd or 0.0) + cost


class Sessions:
    """Totals by session. If sessions are not ended (a bare `nel proxy`), the oldest are dropped."""

    def __init__(self) -> None:
        self._totals: dict[tuple[str, int], Totals] = {}
        self.named = 0
        """Sessions with a name that were begun."""

    def get(self, context: CallContext) -> Totals | None:
        """The totals of a session, if it has had a call."""
        return self._totals.get(context.scope)

    def of(self, context: CallContext) -> Totals:
        """The totals of a session; new ones for a new session."""
        totals = self._totals.get(context.scope)
        if totals is None:
            if len(self._totals) >= MAX_SESSIONS:
                del self._totals[next(iter(self._totals))]
            totals = self._totals[context.scope] = Totals()
            self.named += bool(context.session)
        return totals

    def end(self, context: CallContext) -> None:
        """Forget a session."""
        self._totals.pop(context.scope, None)


class Ledger(Interceptor):
    """Counts every call. Always the last step of a pipeline."""

    def __init__(self) -> None:
        self.total = Totals()
        self._sessions = Sessions()
        self._finishes = {reason.value for reason in FinishReason}
        self._cost: Callable[[Usage], float | None] = lambda _: None

    def open(self, place: Place) -> None:
        """Take the prices."""
        self._cost = place.cost

    def on_response(self, request: ModelRequest, response: ModelResponse) -> None:
        """Read the answer, once for everybody."""
        reply = response.reply = DIALECTS[request.protocol].parse(response.body)
        if reply.finish_reason is not None and reply.finish_reason not in self._finishes:
            self._note_finish(reply.finish_reason)

    def on_end(self, request: ModelRequest, ended: Ended) -> None:
        """Account for the call."""
        session = self._sessions.of(request.context)
        for totals in (self.total, session):
            totals.calls += 1
            totals.failing = None
            if request.rejected is not None:
                totals.spend(request.rejected, self._cost(request.rejected))
        if isinstance(ended, ModelResponse):
            usage = ended.reply.usage if ended.reply else Usage()
            cost = self._cost(usage)
            self.total.note(ended, usage, cost)
            session.note(ended, usage, cost)
        elif isinstance(ended, Exception):
            info = getattr(ended, "info", None)
            kind = info.kind if info else Failure.BUG
            for totals in (self.total, session):
                totals.errors[kind] = totals.errors.get(kind, 0) + 1
                totals.failing = kind
                totals.ended_by = getattr(ended, "limit", None) or totals.ended_by
        else:
            for totals in (self.total, session):
                totals.abandoned += 1
                totals.failing = Failure.TIMEOUT

    def _note_finish(self, finish: str) -> None:
        """Say once that a reason is not known."""
        if len(self._finishes) < MAX_FINISHES:
            self._finishes.add(finish)
            text = "unknown finish reason %.80r: counted as a normal stop, not as cut off"
            log.warning(text, finish)

    @property
    def sessions(self) -> int:
        """Sessions with a name that have had a call."""
        return self._sessions.named

    def session(self, context: CallContext) -> Totals:
        """What a session has used so far."""
        return self._sessions.get(context) or Totals()

    def end_session(self, context: CallContext) -> None:
        """Forget a session; it stays in the total."""
        self._sessions.end(context)
