"""Characters that look or mean the same, made the same before an answer is read.

Invisible characters go; full-width and mathematical letters and digits, dashes that are minus
signs, fractions and combining sequences become their plain forms. Superscripts and the digits of
other scripts stay: 10² is not 102. Offsets keep pointing into the response.
"""

from __future__ import annotations

import re
import unicodedata
from bisect import bisect_right
from collections.abc import Iterator
from functools import lru_cache

from .late import late_pattern
from .reasoning import Visible, visible

# Joiners count between letters and emoji (Persian, Hindi, families), not beside ASCII.
_INVISIBLE = (
    "[\u00ad\u061c\u180e\u200b\u200e\u200f\u202a-\u202e\u2060-\u2064\u2066-\u2069\ufeff\ufe0e"
    "\ufe0f\u20e3]|[\u200c\u200d](?![^\x00-\x7f])|(?<![^\x00-\x7f])[\u200c\u200d]"
)
_DASH = "[\u2212\ufe63]|[\u2010-\u2015\ufe58](?=[\u2060-\u2064]?[\\d.$€£¥½¼¾])"
_SPACE = "[\u00a0\u2000-\u200a\u202f\u205f\u3000](?!\\d)|(?<!\\d)[\u00a0\u2000-\u200a\u202f\u205f]"
_FRACTION = "[\u00bc-\u00be\u2150-\u215e\u2189]|[⁰¹²³⁴-⁹]{1,9}\u2044[₀-₉]{1,9}|\u2044"
_LOOKALIKE = "[\uff01-\uff5e\U0001d400-\U0001d7ff\u24b6-\u24e9]"
_COMBINING = "[^\\W\\d_][\u0300-\u036f]{1,4}"
_ODD = late_pattern(
    f"(?P<invisible>{_INVISIBLE})|(?P<dash>{_DASH})|(?P<space>{_SPACE})|(?P<fraction>{_FRACTION})"
    f"|(?P<lookalike>{_LOOKALIKE})|(?P<combining>{_COMBINING})"
)
# One class of characters is found much faster than the alternatives above.
_SUSPECT = late_pattern(
    "[\u00a0\u00ad\u00bc-\u00be\u0300-\u036f\u061c\u180e\u2000-\u206f⁰¹²³⁴-⁹\u20e3\u2150-\u215e\u2189"
    "\u2212\u24b6-\u24e9\u3000\ufe0e\ufe0f\ufe58\ufe63\ufeff\uff01-\uff5e\U0001d400-\U0001d7ff]"
)
_LOW = str.maketrans("⁰¹²³⁴⁵⁶⁷⁸⁹₀₁₂₃₄₅₆₇₈₉\u2044", "01234567890123456789/")


def readable(response: str) -> Visible:
    """The visible part of a response, folded: what scorers read answers from.

    >>> readable("<think>A?</think>Answer:\u200b Ｂ").text
    'Answer: B'
    """
    return fold(visible(response))


def folded(text: str) -> str:
    """A text folded.

    >>> folded("−４２"), folded("1½")
    ('-42', '1 1/2')
    """
    return text if text.isascii() else fold(Visible(text)).text


def fold(seen: Visible) -> Visible:
    """A visible text folded; its offsets still map to the response."""
    if seen.text.isascii():
        return seen
    parts: list[str] = []
    pieces = [(0, 0)]
    length = at = 0
    for match in _odd(seen.text):
        start, stop = match.span()
        new = _plain_form(match[0], match.lastgroup)
        if new[1:] and "/" in new and start and seen.text[start - 1].isdigit():
            new = " " + new  # 1½ is not 11/2
        parts += (seen.text[at:start], new)
        length += start - at + len(new)
        at = stop
        if len(new) != stop - start:
            pieces.append((length, stop))
    if not parts:
        return seen
    text = "".join((*parts, seen.text[at:]))
    return Visible(text, seen.reasoning, seen.unclosed, _composed(pieces, seen))


def _odd(text: str) -> Iterator[re.Match[str]]:
    """The matches of ``_ODD``, one after the other."""
    at = 0
    while (suspect := _SUSPECT.search(text, at)) is not None:
        start = suspect.start()
        marked = "\u0300" <= suspect[0] <= "\u036f" and start > at
        match = _ODD.match(text, start - marked)
        at = start + 1 if match is None else match.end()
        if match is not None:
            yield match


def _composed(edits: list[tuple[int, int]], seen: Visible) -> tuple[tuple[int, int], ...]:
    """Pieces of the folded text in the response: those of the folding and of the stripping."""
    if len(seen.pieces) == 1:
        return tuple((new, seen.raw(old)) for new, old in edits)
    pieces = {_offset_after(old, edits): raw for old, raw in seen.pieces}
    pieces |= {new: seen.raw(old) for new, old in edits}
    return tuple(sorted(pieces.items()))


def _offset_after(old: int, edits: list[tuple[int, int]]) -> int:
    """Where an offset of the text before the edits stands after them."""
    at = bisect_right(edits, old, key=lambda edit: edit[1])
    new, start = edits[at - 1]
    moved = new + old - start
    return min(moved, edits[at][0]) if at < len(edits) else moved


_KINDS = {"invisible": "", "dash": "-", "space": " "}


@lru_cache(maxsize=4096)
def _plain_form(odd: str, kind: str | None) -> str:
    """The plain form of one match of ``_ODD``."""
    if kind in _KINDS:
        return _KINDS[kind]
    if kind == "combining":
        return unicodedata.normalize("NFC", odd)
    if kind == "fraction":
        return unicodedata.normalize("NFKC", odd.translate(_LOW)).translate(_LOW)
    plain = unicodedata.normalize("NFKC", odd)
    return plain if plain.isascii() else odd
