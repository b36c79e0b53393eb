"""Probabilities that a simulated model gives the tokens of a text (``echo`` with ``logprobs``).

Hashed from the text, so the same text always has the same; a text that ends with the right answer
is the most probable one.
"""

from __future__ import annotations

import re
from typing import Any

from .draws import draws, share

TOKEN = re.compile(r"\s*\S{1,6}|\s+$")
"""Some six characters, with the spaces before them."""
LEAST = 5.0
"""Negative logarithm of the least probability of a token."""
SURE = 0.02


def echoed(text: str, key: bytes, *, sure: int = 0) -> dict[str, Any]:
    """``logprobs`` of a text completion for all of ``text``; of its last ``sure`` characters every
    token is the most probable one."""
    tokens = TOKEN.findall(text)
    values: list[float | None] = [None]
    tops: list[dict[str, float] | None] = [None]
    offsets = [0]
    for number, token in enumerate(tokens[1:], 1):
        offsets.append(offsets[-1] + len(tokens[number - 1]))
        drawn = share(draws(key[:56] + number.to_bytes(4, "big")).which)
        known = offsets[-1] + len(token) > len(text) - sure
        value = -SURE if known else -SURE - LEAST * drawn
        values.append(round(value, 6))
        other = {} if known else {" the": round(value / 2, 6)}
        tops.append({token: round(value, 6), **other})
    count = len(tokens)
    return {
        "tokens": tokens,
        "token_logprobs": values[:count],
        "top_logprobs": tops[:count],
        "text_offset": offsets[:count],
    }
