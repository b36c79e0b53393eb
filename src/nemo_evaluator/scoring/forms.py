"""Answers made of numbers: one, or several that make a range, a list, a ratio, a date, a bound.

``3 to 5``, ``5 or 7``, ``3:20 p.m.``, ``5 ft 3 in`` and ``at least 5`` are never read as their
first or last number; they equal only the same form. Where numbers stand in a form that has no
value here (``not 12``, ``5 + 7``), nothing is read.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Sequence
from fractions import Fraction
from itertools import islice, pairwise
from typing import NamedTuple

from ..types import Json
from . import context, numbers
from .context import UNITS, Kind
from .folding import folded
from .late import late_pattern
from .numbers import Number
from .scales import A_SIZE, SIGNS, SPELLED, SPELLED_PART, a_size, factor, spelled, spelled_part

MAX_TOKENS = 40
"""Numbers of one answer that are looked at."""
MAX_ITEMS = 200
"""Numbers at the end of a text among which those of list items are passed over."""
_TAILS = (200, 2_000)


class Form(NamedTuple):
    """Numbers in a form; ``words`` are its unit, its relation signs or the half of the day."""

    kind: Kind
    values: tuple[Number, ...]
    words: tuple[str, ...] = ()


Value = Number | Form


class Reading(NamedTuple):
    """What was read and where it stands in the text; ``value`` None is unreadable."""

    value: Value | None
    span: tuple[int, int]


class _Token(NamedTuple):
    start: int
    stop: int
    value: Number | None
    size: int | None
    """What its word of size multiplies by: 10,000 in 3万."""
    signed: bool
    apart: bool
    """Whether its sign is a word or stands apart."""


def _token(match: re.Match[str], locale: str | None) -> _Token:
    sign, scale = match["sign"] or "", match["scale"]
    apart = bool(sign) and match["body"][len(sign) : len(sign) + 1].isspace()
    size = factor(scale) if scale else None
    start, stop = match.span()
    value = numbers.from_match(match, locale)
    if not sign and (word := _MINUS.search(match.string[max(0, start - 12) : start])):
        start -= len(word[0])
        sign, apart = word[0], True
        value = value and Number(-value.value, value.percent)
    return _Token(start, stop, value, size, bool(sign), apart)


_MINUS = late_pattern(
    rf"(?:(?<![^\W_])(?:{SIGNS})|(?:(?<!正)[负負]|マイナス|마이너스|ลบ))\s{{0,2}}\(?$"
)


def first(text: str, start: int, stop: int, locale: str | None = None) -> Reading | None:
    """The number, or the form, that an announced answer begins with.

    >>> t = "10 to 20 apples"; first(t, 0, len(t)).value.kind
    <Kind.RANGE: 'range'>
    >>> t = "12 apples because 9 + 3 is 12"; first(t, 0, len(t)).value.value
    12
    """
    tokens: list[_Token] = []
    for match in numbers.PATTERN.finditer(text, start, stop):
        token = _token(match, locale)
        if tokens and _joined(text, tokens[-1], token, near=False) is None:
            break
        if not tokens and context.denied(text, start, token.start, token.stop):
            if not context.contrasted(text, token.stop, stop):
                return Reading(None, (token.start, token.stop))
            continue
        tokens.append(token)
        if len(tokens) == MAX_TOKENS:
            break
    return _read(text, start, tokens, near=False) if tokens else None


def last(text: str, locale: str | None = None) -> Reading | None:
    """The number, or the form, that stands last in a text."""
    found: deque[re.Match[str]] = deque()
    for window in (*_TAILS, len(text)):
        start = max(0, len(text) - window)
        read = deque(numbers.PATTERN.finditer(text, start), maxlen=MAX_ITEMS)
        found = deque((match for match in read if not _is_counted(match)), maxlen=MAX_TOKENS)
        if found or start == 0:
            break
    while len(found) > 1 and _is_citation(found[-1]):
        found.pop()
    if not found:
        return None
    tokens = deque([_token(found.pop(), locale)])
    if context.denied(text, 0, tokens[0].start, tokens[0].stop):
        if not found or not context.is_aside(text[found[-1].end() : tokens[0].start]):
            return Reading(None, (tokens[0].start, tokens[0].stop))
        tokens = deque([_token(found.pop(), locale)])
    if context.another_unknown(text, 0, tokens[0].start):
        return Reading(None, (tokens[0].start, tokens[0].stop))
    while found and tokens[0].start - found[-1].end() <= context.GAP:
        token = _token(found.pop(), locale)
        if _joined(text, token, tokens[0], near=True) is None:
            break
        tokens.appendleft(token)
    return _read(text, 0, tokens, near=True)


def _is_citation(match: re.Match[str]) -> bool:
    start, stop = match.span()
    return match.string[start - 1 : start] == "[" and match.string[stop : stop + 1] == "]"


_ITEM = late_pattern(
    r"[*_]{0,2}[ \t]{0,4}(?P<item>\d{1,2})[.)][*_]{0,2}\s{1,3}(?=[*_\"'(]{0,3}[^\W\d_])"
)
_ITEMS = late_pattern(r"^[ \t*_]{0,6}(?P<item>\d{1,2})[.)]", re.MULTILINE)
_AROUND = 400


def _is_counted(match: re.Match[str]) -> bool:
    """Whether a number counts steps (``Step 3:``) or the items of a list (``3. Then we add them.``
    near a ``2.``)."""
    text, start = match.string, match.start()
    if context.is_label(text, *match.span()):
        return True
    line = text.rfind("\n", max(0, start - 9), start) + 1
    item = _ITEM.match(text, line) if line or start < 9 else None
    if item is None or item.start("item") != start:
        return False
    near = _ITEMS.finditer(text, max(0, start - _AROUND), start + _AROUND)
    return any(abs(int(other["item"]) - int(item["item"])) == 1 for other in near)


def whole(text: Json) -> Value | None:
    """The number or form that a whole text is: how targets are read.

    >>> whole("3:20"), whole("5 to 7 days").kind, whole("about an hour")
    (Form(kind=<Kind.RATIO: 'ratio'>, values=(Number(value=3, percent=False), \
Number(value=20, percent=False)), words=()), <Kind.RANGE: 'range'>, None)
    """
    if not isinstance(text, str):
        return numbers.parse(text)
    text = folded(text)
    reading = first(text, 0, len(text))
    if reading is None:
        return spelled_out(text) or numbers.parse(text)
    if reading.value is None or isinstance(reading.value, Number):
        return reading.value and numbers.parse(text)
    start, stop = reading.span
    return reading.value if all(map(_is_unit, (text[:start], text[stop:]))) else None


_WORDS_AROUND = late_pattern(
    r"[\s(]*(?:(?:between|from|about|approximately|\\?[^\W\d_]{1,8}\.?|[ap]\.\s?m\.|at least"
    r"|at most|(?:more|less|greater|fewer) than|or (?:more|less)|[<>≤≥=]|=>|\\[a-z]{2,8})"
    r"[\s=]*){0,4}['\"′″°%.)+\s]*",
    re.IGNORECASE,
)


def _is_unit(text: str) -> bool:
    return len(text) <= context.BEFORE and _WORDS_AROUND.fullmatch(text) is not None


_NEGATIVE = late_pattern(r"\s*(?P<sign>minus|negative)\s+", re.IGNORECASE)
_NOUN = late_pattern(r"(?:\s(?!of\b|that\b|which\b|who\b|or\b|and\b)[^\W\d_]{1,20}){0,2}[\s.!]*")


def spelled_out(text: str) -> Number | None:
    """A number in English words, alone or with a noun: ``twelve``, ``minus five degrees``."""
    sign = _NEGATIVE.match(text)
    start = sign.end() if sign else len(text) - len(text.lstrip())
    value: int | Fraction | None
    if (found := A_SIZE.match(text, start)) is not None:
        value = a_size(found)
    elif (found := SPELLED_PART.match(text, start)) is not None:
        value = spelled_part(found)
    elif (found := SPELLED.match(text, start)) is not None:
        value = spelled(found[0])
    if found is None or not _NOUN.fullmatch(text, found.end()):
        return None
    return None if value is None else Number(-value if sign else value)


def _joined(text: str, one: _Token, other: _Token, *, near: bool) -> Kind | None:
    gap = text[one.stop : other.start]
    if other.signed and not gap.strip():
        dash = text[other.start] in "-−" and other.apart == bool(gap)
        return Kind.RANGE if dash else Kind.UNREAD
    if one.size and gap.strip() in ("", "and"):
        return Kind.COMPOUND
    return context.between(text, one.stop, other.start, near=near)


def _read(text: str, floor: int, tokens: Sequence[_Token], *, near: bool) -> Reading:
    span = (tokens[0].start, tokens[-1].stop)
    start = tokens[0].start
    if tokens[0].apart and context.subtracts(text, floor, start):
        return Reading(None, span)
    values = [tokens[0].value, *(_unsigned(text, token) for token in islice(tokens, 1, None))]
    sound = [value for value in values if value is not None]
    if len(sound) < len(values) or context.part_of(text, floor, start, tokens[-1].stop):
        return Reading(None, span)
    if len(tokens) == 1:
        if (sign := context.bound(text, floor, *span)) is not None:
            return Reading(Form(Kind.RELATION, (sound[0],), (sign,)), span)
        return Reading(_unbulleted(text, tokens[0], near=near), span)
    kinds = [_joined(text, one, other, near=near) or Kind.UNREAD for one, other in pairwise(tokens)]
    return Reading(_combined_value(text, floor, tokens, sound, kinds), span)


def _unsigned(text: str, token: _Token) -> Number | None:
    """The value of a number whose sign joins it to the one before: 5 - 7."""
    if token.value is None or not token.apart or text[token.start] not in "-−":
        return token.value
    return Number(-token.value.value, token.value.percent)


def _unbulleted(text: str, token: _Token, *, near: bool) -> Number | None:
    """``- 5 apples`` on a line of its own is an item of a list, not minus five."""
    line = text[max(0, token.start - 9) : token.start].rstrip(" \t")
    return _unsigned(text, token) if near and line.endswith("\n") else token.value


def _combined_value(
    text: str,
    floor: int,
    tokens: Sequence[_Token],
    values: Sequence[Number],
    kinds: Sequence[Kind],
) -> Value | None:
    """What several numbers make; None where that has no value here."""
    kind = kinds[0] if len(set(kinds)) == 1 else Kind.UNREAD
    start, stop = tokens[0].start, tokens[-1].stop
    match kind:
        case Kind.LIST if _restated(text, tokens, values):
            return values[0]
        case Kind.LIST if len(values) == 2 and context.in_range(text, floor, start):
            return Form(Kind.RANGE, tuple(values))
        case Kind.LIST:
            return Form(Kind.LIST, tuple(sorted(values)))
        case Kind.RANGE if len(values) == 2:
            return Form(Kind.RANGE, tuple(values))
        case Kind.RANGE if len(values) == 3:
            return Form(Kind.DATE, tuple(values))
        case Kind.DATE:
            return Form(Kind.DATE, tuple(values))
        case Kind.RATIO:
            return Form(Kind.RATIO, tuple(values), context.meridiem(text, stop))
        case Kind.RELATION:
            gaps = (text[a.stop : b.start] for a, b in pairwise(tokens))
            signs = tuple(sign for gap in gaps for sign in context.relations(gap))
            return Form(Kind.RELATION, tuple(values), signs)
        case Kind.COMPOUND:
            return _scaled(tokens) or _quantity(text, tokens)
    return None


_OR = late_pattern(r",?\s?\(?(?:or|oder|ou|o|или|或|i\.e\.),?\s?", re.IGNORECASE)


def _restated(text: str, tokens: Sequence[_Token], values: Sequence[Number]) -> bool:
    """Whether one number is written in several ways: 1/2 or 0.5."""
    gaps = (text[one.stop : other.start] for one, other in pairwise(tokens))
    equal = all(numbers.same(values[0], other) for other in values[1:])
    return equal and all(_OR.fullmatch(gap) for gap in gaps)


def _scaled(tokens: Sequence[_Token]) -> Number | None:
    """Numbers with falling words of size make one: 2 million 300 thousand, 3万5000."""
    total: int | Fraction = 0
    limit = None
    for token in tokens:
        if token.value is None or token.value.value < 0 or token.value.percent:
            return None
        if limit is not None and token.value.value >= limit:
            return None
        total += token.value.value
        limit = token.size or 1
    return Number(total) if tokens[0].size else None


def _quantity(text: str, tokens: Sequence[_Token]) -> Form | None:
    """Numbers with falling units of one kind, in the smallest measure of that kind."""
    units = [UNITS.get(context.unit_after(text, token.stop), {}) for token in tokens]
    for dimension in units[0]:
        if all(dimension in unit for unit in units):
            total = sum(
                Fraction(token.value.value) * unit[dimension]
                for token, unit in zip(tokens, units, strict=True)
                if token.value is not None
            )
            return Form(Kind.COMPOUND, (Number(total),), (dimension,))
    return None


def same(mine: Value, gold: Value, tolerance: float = 0) -> bool:
    """Whether two values are equal: numbers as numbers, forms of one kind part by part."""
    if isinstance(mine, Number) and isinstance(gold, Number):
        return numbers.same(mine, gold, tolerance)
    if isinstance(mine, Number) or isinstance(gold, Number):
        return False
    return (
        (mine.kind, mine.words) == (gold.kind, gold.words)
        and len(mine.values) == len(gold.values)
        and all(
            numbers.same(a, b, tolerance) for a, b in zip(mine.values, gold.values, strict=True)
        )
    )
