"""The recorder of an agent's steps: what it was told, said, called and saw, in the terms of ATIF.

What is recorded stays whatever becomes of the attempt. A step is copied when it is added: what the
agent does with its own objects later changes nothing. Where the price of the model is known, a step
that tells its tokens and no cost has one.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

import msgspec

from ..steps import Step, numbered
from ..types import Usage

Price = Callable[[Usage], float | None]
"""US dollars of some tokens; None where that is not known."""


def no_price(_usage: Usage) -> float | None:
    """The price of a call to a model whose price is not known."""
    return None


class Steps:
    """The steps of one attempt, in order."""

    def __init__(self, price: Price = no_price) -> None:
        self.price = price
        self._steps: list[Step] = []

    def add(self, step: Step) -> None:
        """Record a step, with the time of now where it has none. Raises TypeError for what is no
        step, or holds what JSON cannot express."""
        if not isinstance(step, Step):
            raise TypeError(f"a step is a Step, not {step!r:.80}")
        if step.timestamp is None:
            now = datetime.now(UTC).isoformat(timespec="milliseconds")
            step = msgspec.structs.replace(step, timestamp=now)
        try:
            copied = msgspec.convert(msgspec.to_builtins(step, enc_hook=str), Step)
        except ValueError as error:
            raise TypeError(f"a wrong Step: {error}") from None
        self._steps.append(self._with_cost(copied))

    def __len__(self) -> int:
        return len(self._steps)

    def taken(self) -> tuple[Step, ...]:
        """All so far, numbered from 1."""
        return numbered(self._steps)

    def _with_cost(self, step: Step) -> Step:
        metrics = step.metrics
        if metrics is None or metrics.cost_usd:
            return step
        usage = Usage(
            prompt_tokens=metrics.prompt_tokens,
            completion_tokens=metrics.completion_tokens,
            reasoning_tokens=metrics.reasoning_tokens,
            cached_tokens=metrics.cached_tokens,
        )
        if usage.total_tokens is None or (cost := self.price(usage)) is None:
            return step
        return msgspec.structs.replace(
            step, metrics=msgspec.structs.replace(metrics, cost_usd=cost)
        )
