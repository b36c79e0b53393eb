"""What an attempt used: every call of its session counts, whatever became of the attempt."""

from __future__ import annotations

from typing import NamedTuple

import msgspec

from ..results.journal import Called, Errored, UsedBeside
from ..traffic.ledger import Totals
from ..types import Solution, Usage


class Spent(NamedTuple):
    """Tokens, US dollars (None while no price is known) and calls of one attempt."""

    usage: Usage = Usage()
    usd: float | None = None
    calls: int = 0
    tries: int = 0

    @property
    def text(self) -> str:
        """``7 turns, 12,345 tokens, 0.12 USD`` of an agent; nothing of one question."""
        if self.calls < 2:
            return ""
        usd = "" if self.usd is None else f", {self.usd:.2f} USD"
        return f"{self.calls} turns, {self.usage.total_tokens or 0:,} tokens{usd}"

    def plus(self, other: Spent) -> Spent:
        """Both together."""
        known = [usd for usd in (self.usd, other.usd) if usd is not None]
        return Spent(
            self.usage + other.usage,
            sum(known) if known else None,
            self.calls + other.calls,
            self.tries + other.tries,
        )

    def minus(self, other: Spent) -> Spent:
        """What was used beyond the other."""

        def less(a: int | None, b: int | None) -> int | None:
            return a if b is None else (a or 0) - b

        mine, theirs = self.usage, other.usage
        return Spent(
            Usage(
                prompt_tokens=less(mine.prompt_tokens, theirs.prompt_tokens),
                completion_tokens=less(mine.completion_tokens, theirs.completion_tokens),
                reasoning_tokens=less(mine.reasoning_tokens, theirs.reasoning_tokens),
                cached_tokens=less(mine.cached_tokens, theirs.cached_tokens),
            ),
            self.usd if other.usd is None else (self.usd or 0.0) - other.usd,
            self.calls - other.calls,
            self.tries - other.tries,
        )


NOTHING = Spent()


def of_session(used: Totals) -> Spent:
    """What the calls of one session used."""
    if not used.answers and not used.total_tokens:
        return NOTHING
    return Spent(used.usage, used.cost_usd, max(1, used.answers), used.tries)


def of_solution(solution: Solution) -> Spent:
    """What an answer used. One from the cache was paid for long ago, a refusal costs nothing."""
    if solution.cached or (solution.error is not None and solution.usage.total_tokens is None):
        return NOTHING
    return Spent(solution.usage, solution.cost_usd, solution.calls, solution.tries)


def of_event(event: Errored | Called | UsedBeside) -> Spent:
    """What a failed attempt used, or what was used beside the attempts."""
    if not event.calls:
        return NOTHING
    return Spent(event.usage, event.cost_usd, event.calls, event.tries)


def accounted(solution: Solution, spent: Spent) -> Solution:
    """The solution with the accounts of its session, where they know of more than the solver told.

    An agent that reports its last call only, or nothing, has used what passed the pipeline. One
    that also asks elsewhere may know of more than we do: then its own numbers stay.
    """
    if solution.cached or not spent.calls:
        return solution
    own, seen = solution.usage.total_tokens, spent.usage.total_tokens or 0
    includes_session = own is not None and own >= seen
    if includes_session and spent.calls == 1:
        return solution
    calls, tries = max(solution.calls, spent.calls), max(solution.tries, spent.tries)
    if includes_session:
        usd = spent.usd if solution.cost_usd is None else solution.cost_usd
        return msgspec.structs.replace(solution, cost_usd=usd, calls=calls, tries=tries)
    return msgspec.structs.replace(
        solution, usage=spent.usage, cost_usd=spent.usd, calls=calls, tries=tries
    )
