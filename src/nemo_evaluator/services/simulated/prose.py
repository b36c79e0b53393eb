"""Filler in front of a simulated answer. It holds no digits, letters of options or words that
announce an answer, so that an answer cut short can never be right by accident."""

from __future__ import annotations

from bisect import bisect_left
from itertools import accumulate

CHARS_PER_TOKEN = 4
"""Rule of thumb for English; simulated token counts are characters over this."""

SENTENCES = (
    "Let us look at what is asked and go through it in order.",
    "The facts given are enough to decide this.",
    "Working through the statement leads to one value only.",
    "Each part of the question narrows it down.",
    "This can be settled in a few short steps.",
    "First we write down what is known and what is missing.",
    "Then we check that nothing in the text contradicts it.",
    "Some readings can be ruled out at once.",
    "What remains fits together well.",
    "Putting the pieces side by side makes the case clear.",
    "It helps to restate the question in plain words.",
    "A second look confirms the same thing.",
)
_LOOP = " ".join(SENTENCES) + " "
_LENGTHS = [len(sentence) + 1 for sentence in SENTENCES]
_ENDS = list(accumulate(_LENGTHS * 2))
_STARTS = [0, *_ENDS[: len(SENTENCES) - 1]]
_TWICE = _LOOP * 2


def filler(number: int, chars: int) -> str:
    """Whole sentences, as near to ``chars`` characters as they can be, at least one."""
    start = _STARTS[number % len(_STARTS)]
    loops, rest = divmod(max(0, chars), len(_LOOP))
    at = bisect_left(_ENDS, start + rest)
    if at and start + rest - _ENDS[at - 1] < _ENDS[at] - start - rest:
        at -= 1
    end = _ENDS[at]
    if loops == 0 and end <= start:
        end = _ENDS[at + 1]
    return (_TWICE[start : start + len(_LOOP)] * loops + _TWICE[start:end]).rstrip()
