"""Notations with a meaning of their own: number bases, times of day, congruences, the empty set,
words, the labels of choices.

Each reader gets two texts and says whether they are equal, or None where the notation is not
theirs. None of these is left to a symbolic library, which reads ``1011_2`` as a name.
"""

from __future__ import annotations

import re
from math import lcm
from typing import NamedTuple

from .late import late_pattern
from .latex import EMPTY, split, words_and_symbols

_BASE = late_pattern(r"\(?\s*([0-9A-Za-z]+(?:\.[0-9A-Za-z]+)?)\s*\)?\s*_\s*\{?\s*(\d{1,2})\s*\}?")
_DIGITS = late_pattern(r"[0-9A-Za-z]+(?:\.[0-9A-Za-z]+)?")
_TEXT = late_pattern(r"\\(?:text(?:rm|bf|it)?|mathrm|mbox)\s*\{([^{}]*)\}")
_TIME = late_pattern(r"(\d{1,2})(?::(\d{2}))?([ap]m)?")
_MOD = late_pattern(r"(?:[A-Za-z]\w*\s*(?:≡|=)\s*)?(.+?)\s*mod\s*(\d{1,9})")
_EVERY = late_pattern(r"(?:[A-Za-z]\s*=\s*)?(\d{1,9})\s*\*?\s*[A-Za-z]\s*(?:([+-])\s*(\d{1,9}))?")
_INEQUALITY = late_pattern(r"[<>]|!=")
INFINITE = {"∞", "-∞"}
_MOST_RESIDUES = 10_000


def decide_notation(a: str, b: str) -> bool | None:
    """The grade of the first reader, of those for normalised texts, that knows the notation."""
    if EMPTY in (a, b) or {a, b} <= INFINITE:
        return a == b
    for reader in (_bases, _congruences):
        if (grade := reader(a, b)) is not None:
            return grade
    return None


def decide_times(a: str, b: str) -> bool | None:
    """Whether two texts as they were written are the same time of day, where a.m. or p.m. says
    that one is meant."""
    if not any(letter in text for text in (a, b) for letter in "aApP") or ":" not in a + b:
        return None
    first, second = _time(a), _time(b)
    if first is None or second is None or not (first.half or second.half):
        return None
    if first.half and second.half:
        return first == second
    plain, halved = (second, first) if first.half else (first, second)
    # 13:00 is 1:00 p.m.; 11:00 leaves the half of the day to the question
    of_day = halved.hour % 12 + (12 if halved.half == "pm" else 0)
    return plain.minute == halved.minute and plain.hour in (halved.hour, of_day)


class _Time(NamedTuple):
    hour: int
    minute: int
    half: str


def _time(text: str) -> _Time | None:
    text = _TEXT.sub(r"\1", text).lower()
    text = re.sub(r"[\s$.~]|\\[,;:!]?", "", text)
    match = _TIME.fullmatch(text)
    if match is None or not (match[2] or match[3]):
        return None
    return _Time(int(match[1]), int(match[2] or 0), match[3] or "")


class _Based(NamedTuple):
    digits: str
    base: int


def _based(text: str) -> _Based | None:
    match = _BASE.fullmatch(text)
    if match is None:
        return None
    digits, base = match[1].upper().lstrip("0") or "0", int(match[2])
    if not 2 <= base <= 36 or any(int(d, 36) >= base for d in digits if d != "."):
        return None
    return _Based(digits, base)


def _bases(a: str, b: str) -> bool | None:
    first, second = _based(a), _based(b)
    if first is not None and second is not None:
        return first == second
    found, other = (first, b) if first is not None else (second, a)
    if found is None or not _DIGITS.fullmatch(other):
        return None
    return found.digits == (other.upper().lstrip("0") or "0")


def _congruences(a: str, b: str) -> bool | None:
    first, second = _residues(a), _residues(b)
    if first is None and second is None:
        return None
    if first is not None and second is not None:
        return _same_residues(first, second)
    found, other = (first, b) if first is not None else (second, a)
    assert found is not None
    if (every := _EVERY.fullmatch(other)) is not None:
        rest = int(f"{every[2] or '+'}{every[3] or 0}")
        return _same_residues(found, _Residues(frozenset({rest}), int(every[1])))
    if _INEQUALITY.search(other):
        return None
    plain = _integers(other.rpartition("=")[2])
    return None if plain is None else plain == found.values


class _Residues(NamedTuple):
    values: frozenset[int]
    modulus: int


def _residues(text: str) -> _Residues | None:
    match = _MOD.fullmatch(text)
    if match is None or (values := _integers(match[1])) is None or not int(match[2]):
        return None
    return _Residues(values, int(match[2]))


def _integers(text: str) -> frozenset[int] | None:
    parts = [part.strip() for part in split(text)]
    if not parts or not all(re.fullmatch(r"[+-]?\d{1,18}", part) for part in parts):
        return None
    return frozenset(map(int, parts))


def _same_residues(a: _Residues, b: _Residues) -> bool:
    common = lcm(a.modulus, b.modulus)
    if common > _MOST_RESIDUES:
        reduced = [frozenset(v % r.modulus for v in r.values) for r in (a, b)]
        return a.modulus == b.modulus and reduced[0] == reduced[1]
    whole = [
        {v % r.modulus + step for v in r.values for step in range(0, common, r.modulus)}
        for r in (a, b)
    ]
    return whole[0] == whole[1]


def decide_labels(a: str, b: str) -> bool | None:
    r"""A choice with its text against a letter alone: ``\textbf{(B) } 12`` and ``B``."""
    first, second = (words_and_symbols(text).strip("()") for text in (a, b))
    label, other = (first, b) if len(first) == 1 else (second, a)
    match = _LABELLED.match(words_and_symbols(other)) if _LETTER.fullmatch(label) else None
    return None if match is None else label == next(filter(None, match.groups()))


_LETTER = late_pattern(r"[A-J]")
_LABELLED = late_pattern(
    r"(?i:option|choice)?(?:\(([A-J])\)|([A-J])[).:])[^,()]|(?i:option|choice)\(?([A-J])\)?\Z"
)


_WORDS = late_pattern(r"[^\W\d_][^\d+*/=<>\\]*")


def decide_words(a: str, b: str) -> bool | None:
    """Answers that are words: ``\text{Even}`` and ``even``; a choice ``(C)`` and ``C``."""
    if not (_WORDS.fullmatch(a) and _WORDS.fullmatch(b)):
        return None
    first, second = ("".join(t.casefold().split()) for t in (a, b))
    if (len(first) == 1 and len(second) == 1) or (_is_order(a) and _is_order(b)):
        return a == b
    if first == second:
        return True
    return (
        False if first.isalpha() and second.isalpha() and min(len(first), len(second)) > 3 else None
    )


def _is_order(text: str) -> bool:
    """Whether letters are more likely in an order than a product: ``DAB``."""
    return len(text) > 2 and text.isalpha() and text.isupper()
