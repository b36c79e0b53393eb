"""An instruction that ifeval can check."""

from __future__ import annotations


def mentioned(response: str, fruit: str) -> bool:
    """Whether the response mentions a fruit."""
    return fruit in response
