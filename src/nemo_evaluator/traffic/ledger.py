"""Accounts of the traffic: every call once, in total and by session.

Tokens are those the provider reports; what it does not report stays unknown. An answer from the
cache costs nothing; a failed call has no usage anybody knows.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

from ..types import Failure, Usage
from .dialects.contract import parse_usage
from .types import CallContext, Ended, Interceptor, ModelRequest, ModelResponse, Place


@dataclass(slots=True)
class Totals:
    """Sums over calls. Times are in milliseconds, costs in US dollars."""

    calls: int = 0
    answers: int = 0
    cached_answers: int = 0
    """Answers that came from the cache; also among ``answers``."""
    abandoned: int = 0
    """Calls the caller gave up."""
    errors: Counter[Failure] = field(default_factory=Counter)
    prompt_tokens: int = 0
    completion_tokens: int = 0
    reasoning_tokens: int = 0
    cached_tokens: int = 0
    cost_usd: float | None = None
    """None while no cost is known."""
    latency_ms: float = 0.0
    tries: int = 0

    @property
    def total_tokens(self) -> int:
        """Prompt and completion."""
        return self.prompt_tokens + self.completion_tokens

    def note(self, response: ModelResponse, cost: float | None) -> None:
        """Add an answer."""
        self.answers += 1
        self.latency_ms += response.latency_ms
        self.tries += response.tries
        if response.source == "cache":
            self.cached_answers += 1
            return
        if usage := response.usage:
            self.prompt_tokens += usage.prompt_tokens or 0
            self.completion_tokens += usage.completion_tokens or 0
            self.reasoning_tokens += usage.reasoning_tokens or 0
            self.cached_tokens += usage.cached_tokens or 0
        if cost is not None:
            self.cost_usd = (self.cost_usd or 0.0) + cost


class Ledger(Interceptor):
    """Always the last step of a pipeline."""

    def __init__(self) -> None:
        self.total = Totals()
        self.in_progress = 0
        self._sessions: dict[tuple[str, int], Totals] = {}
        self._cost: Callable[[Usage], float | None] = lambda _: None

    def open(self, place: Place) -> None:
        """Take the prices."""
        self._cost = place.cost

    def on_response(self, request: ModelRequest, response: ModelResponse) -> None:
        """Read the usage once for everybody."""
        response.usage = parse_usage(response.body.get("usage"))

    def on_end(self, request: ModelRequest, ended: Ended) -> None:
        """Account for the call."""
        session = self._sessions.setdefault(request.context.scope, Totals())
        for totals in (self.total, session):
            totals.calls += 1
            if isinstance(ended, ModelResponse):
                usage = ended.usage
                totals.note(ended, self._cost(usage) if usage else None)
            elif isinstance(ended, Exception):
                info = getattr(ended, "info", None)
                totals.errors[info.kind if info else Failure.BUG] += 1
            else:
                totals.abandoned += 1

    def session(self, context: CallContext) -> Totals:
        """What a session has used so far."""
        return self._sessions.get(context.scope) or Totals()

    def end_session(self, context: CallContext) -> None:
        """Forget a session; it stays in the total."""
        self._sessions.pop(context.scope, None)
