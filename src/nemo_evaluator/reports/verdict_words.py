"""How verdicts look: one tone for a word, wherever it stands."""

from __future__ import annotations

from .blocks import Tone

_GOOD = frozenset({"PASS", "GO"})
_BAD = frozenset({"BLOCK", "NO-GO", "BREACH", "MISSING", "BELOW THE FLOOR"})


def tone(word: str) -> Tone:
    """Good, bad, or neither."""
    return Tone.GOOD if word in _GOOD else Tone.BAD if word in _BAD else Tone.UNSURE


def direction(lower: float, upper: float) -> Tone:
    """The tone of a difference: good or bad where its whole interval is."""
    return Tone.BAD if upper < 0 else Tone.GOOD if lower > 0 else Tone.UNSURE


def known(end: float) -> float | None:
    """The end of an interval, or None where it is not known."""
    return None if abs(end) == float("inf") else end
