"""What a call costs."""

from __future__ import annotations

from dataclasses import dataclass

from ..types import Usage


@dataclass(frozen=True, slots=True)
class Price:
    """US dollars per million tokens."""

    prompt: float
    completion: float
    cached: float | None = None
    """Of cached prompt tokens; None: the prompt price."""


def cost(usage: Usage, price: Price | None) -> float | None:
    """US dollars of one call; None where price or tokens are unknown.

    Example: 1,000 prompt tokens (400 of them cached) and 200 completion tokens at 2.0, 1.0 cached
    and 8.0 per million: (600·2 + 400·1 + 200·8) / 10⁶ = 0.0032.
    """
    if price is None or usage.prompt_tokens is None or usage.completion_tokens is None:
        return None
    cached = usage.cached_tokens or 0
    cached_price = price.prompt if price.cached is None else price.cached
    prompt = (usage.prompt_tokens - cached) * price.prompt + cached * cached_price
    return (prompt + usage.completion_tokens * price.completion) / 1e6
