"""A scorer: whether the response names any fruit."""

from __future__ import annotations

from nemo_evaluator import ScorerInput

FRUITS = ("apple", "pear", "plum", "cherry")


def names_a_fruit(sample: ScorerInput) -> bool:
    """True for a response with a fruit in it."""
    return any(fruit in sample.response for fruit in FRUITS)
