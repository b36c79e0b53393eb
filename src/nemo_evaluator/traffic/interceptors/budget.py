"""`budget`: stops at a number of tokens or dollars, of the whole run or of one session.

A call is admitted while less than the limit is used; what is in flight is finished, so the limit
can be exceeded by the calls in flight. A run that reaches its limit ends in order: all answers are
kept, and the same command with a higher limit and `--resume` continues.
"""

from __future__ import annotations

from pydantic import Field, model_validator

from ...config.base import ConfigRecord
from ...errors import BudgetExceeded, ConfigError, RunBudgetExceeded
from ...types import EndedBy
from ..dialects.contract import parse_usage
from ..ledger import Sessions, Totals
from ..types import (
    CallContext,
    Changes,
    Ended,
    Interceptor,
    ModelRequest,
    ModelResponse,
    Place,
    usage_of,
)


class LimitConfig(ConfigRecord):
    """Null is unlimited."""

    tokens: int | None = Field(None, ge=1)
    """Prompt and completion tokens."""
    usd: float | None = Field(None, gt=0)
    """US dollars, by the service's `price`."""


class Budget(Interceptor):
    """Refuses calls once a limit is reached."""

    changes = Changes.ANSWERS

    class Options(ConfigRecord):
        """At least one limit."""

        run: LimitConfig = Field(default_factory=LimitConfig)
        """All calls of the service in this run."""
        session: LimitConfig = Field(default_factory=LimitConfig)
        """The calls of one session."""

        @model_validator(mode="after")
        def _has_a_limit(self) -> Budget.Options:
            limits = (self.run.tokens, self.run.usd, self.session.tokens, self.session.usd)
            if all(limit is None for limit in limits):
                raise ValueError("needs a limit: run or session, each with tokens or usd")
            return self

    def __init__(self, options: Options) -> None:
        self._options = options
        self._run = Totals()
        self._sessions = Sessions()

    def open(self, place: Place) -> None:
        """Raises ConfigError where dollars are limited and no price is known."""
        self._cost = place.cost
        priced = place.cost(parse_usage({"prompt_tokens": 1, "completion_tokens": 1}))
        if priced is None and (self._options.run.usd or self._options.session.usd):
            raise ConfigError(
                "a limit in usd needs prices",
                where=f"services.{place.service}: interceptor 'budget'",
                hint="give the service a price: {prompt: ..., completion: ...} per million tokens",
            )

    def on_request(self, request: ModelRequest) -> None:
        """Admit the call, or raise BudgetExceeded."""
        if used_up := _used_up(self._options.run, self._run):
            limit, reason = used_up
            text = f"the budget of the run is used up: {reason}"
            raise RunBudgetExceeded(text).of(limit)
        session = self._sessions.get(request.context)
        if session and (used_up := _used_up(self._options.session, session)):
            limit, reason = used_up
            text = f"the budget of the session is used up: {reason}"
            raise BudgetExceeded(text).of(limit)

    def on_end(self, request: ModelRequest, ended: Ended) -> None:
        """Count what was used, also by tries that were no answers."""
        if request.rejected is not None:
            cost = self._cost(request.rejected)
            self._run.spend(request.rejected, cost)
            self._sessions.of(request.context).spend(request.rejected, cost)
        if isinstance(ended, ModelResponse):
            usage = usage_of(ended)
            cost = self._cost(usage)
            self._run.note(ended, usage, cost)
            self._sessions.of(request.context).note(ended, usage, cost)

    def end_session(self, context: CallContext) -> None:
        """Forget the session; the run has counted it."""
        self._sessions.end(context)


def _used_up(limit: LimitConfig, used: Totals) -> tuple[EndedBy, str] | None:
    if limit.tokens is not None and used.total_tokens >= limit.tokens:
        return EndedBy.TOKENS, f"{used.total_tokens:,} of {limit.tokens:,} tokens"
    if limit.usd is not None and (used.cost_usd or 0.0) >= limit.usd:
        return EndedBy.COST, f"{used.cost_usd:.2f} of {limit.usd:.2f} US dollars"
    return None
