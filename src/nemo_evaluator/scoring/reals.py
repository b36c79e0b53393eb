"""Sets of real numbers, however they are written: intervals, inequalities, exclusions, unions.

``x<2 ∨ x>3``, ``(-∞,2)∪(3,∞)`` and ``ℝ∖[2,3]`` are one set. What has variables in its bounds, or
relations of two variables, is not read.
"""

from __future__ import annotations

import re
from fractions import Fraction
from functools import cmp_to_key
from typing import Any, NamedTuple

from .arithmetic import DIGITS, Unreadable, computing, field, is_exact
from .expression import read, values
from .late import late_pattern
from .latex import matching, split

REALS = "ℝ"
_SIGNS = late_pattern(r"(<=|>=|!=|<|>|=)")
_TELLS = late_pattern(r"[<>∪∨∧∈∞∖ℝ]|!=|[\[(][^\[\]()]*,[^\[\]()]*[)\]]\s*$")
_NAME = late_pattern(r"\|?\s*(?:[A-Za-z]|\\[a-z]+)(?:_\{?\w+\}?)?\s*\|?")
_BUILDER = late_pattern(r"⟨\s*(\w)\s*(?:∈\s*ℝ\s*)?[|:]\s*(.+)⟩")
_FLIP = {"<": ">", ">": "<", "<=": ">=", ">=": "<=", "!=": "!=", "=": "="}
_CLOSE = Fraction(1, 10**40)


class Bound(NamedTuple):
    """An end of a piece: its value (None: infinite), and whether it belongs to the set."""

    value: Any
    closed: bool


class Piece(NamedTuple):
    """All numbers between two bounds."""

    low: Bound
    high: Bound


Pieces = list[Piece]
_OPEN_END = Bound(None, False)
_ALL = [Piece(_OPEN_END, _OPEN_END)]


class Reals(NamedTuple):
    """A set of real numbers, and the name of its variable where one is written."""

    pieces: Pieces
    name: str


def decide_sets(a: str, b: str) -> bool | None:
    """Whether two normalised texts are the same set of reals; None where they are not both sets,
    or nothing tells that sets are meant: ``(1,2)`` may be a point."""
    if not (_TELLS.search(a) and _TELLS.search(b)) or not (_is_plain(a) or _is_plain(b)):
        return None
    with computing():
        first, second = read_set(a), read_set(b)
        if first is None or second is None:
            return None
        if first.name and second.name and first.name != second.name:
            return None
        return _same_set(first.pieces, second.pieces)


def _is_plain(text: str) -> bool:
    """Whether a text can only be a set of reals."""
    return re.search(r"[<>∪∨∧∈∞∖ℝ]|!=", text) is not None


def read_set(text: str) -> Reals | None:
    """The set a normalised text describes, or None."""
    try:
        return _read(text.strip(), 0)
    except (Unreadable, ValueError, TypeError, ArithmeticError):
        return None


def _read(text: str, depth: int) -> Reals:
    if depth > 6 or not text:
        raise Unreadable("no set")
    if (builder := _BUILDER.fullmatch(text)) is not None:
        return _read(builder[2], depth + 1)
    name, member, rest = text.partition("∈")
    if member:
        return _of_variable(name.strip(), _read(rest.strip(), depth + 1))
    for sign, joined in (("∪", _union), ("∨", _union), ("∧", _intersection)):
        if sign in text and len(parts := split(text, sign)) > 1:
            return _joined([_read(part, depth + 1) for part in parts], joined)
    if "∖" in text and len(parts := split(text, "∖")) == 2:
        whole, without = (_read(part, depth + 1) for part in parts)
        return Reals(_intersection(whole.pieces, _complement(without.pieces)), whole.name)
    if _SIGNS.search(text) and len(parts := split(text)) > 1:
        return _consecutive_relations(parts, depth)
    return _single(text)


def _consecutive_relations(parts: list[str], depth: int) -> Reals:
    """Relations after one another: all hold if they can, else one of them does."""
    if "!=" in parts[0]:  # x != 1, 2
        name = parts[0].partition("!=")[0]
        parts = [part if "!=" in part else f"{name}!={part}" for part in parts]
    sets = [_read(part, depth + 1) for part in parts]
    both = _joined(sets, _intersection)
    return both if both.pieces else _joined(sets, _union)


def _single(text: str) -> Reals:
    if text == REALS:
        return Reals(_ALL, "")
    if text == "∅":
        return Reals([], "")
    if text[0] in "([" and text[-1] in ")]" and matching(text, 0) == len(text) - 1:
        ends = split(text[1:-1])
        if len(ends) != 2:
            raise Unreadable("no interval")
        low, high = _value(ends[0]), _value(ends[1])
        return Reals(_piece(Bound(low, text[0] == "["), Bound(high, text[-1] == "]")), "")
    if text[0] == "⟨" and matching(text, 0) == len(text) - 1:
        return Reals(_sorted([_point(_value(part)) for part in split(text[1:-1])]), "")
    return _relation(_SIGNS.split(text))


def _relation(chain: list[str]) -> Reals:
    """``x < 2``, ``2 > x``, ``1 < x <= 2``, ``x != 3``, ``x = 3``, ``|x| < 2``."""
    parts = [part.strip() for part in chain]
    if len(parts) == 3 and _NAME.fullmatch(parts[0]):
        return _of_variable(parts[0], _one_sided(parts[1], _value(parts[2])))
    if len(parts) == 3 and _NAME.fullmatch(parts[2]):
        return _of_variable(parts[2], _one_sided(_FLIP[parts[1]], _value(parts[0])))
    if len(parts) == 5 and _NAME.fullmatch(parts[2]) and parts[1][0] == parts[3][0] != "!":
        low = _one_sided(_FLIP[parts[1]], _value(parts[0]))
        high = _one_sided(parts[3], _value(parts[4]))
        return _of_variable(parts[2], Reals(_intersection(low.pieces, high.pieces), ""))
    raise Unreadable("no relation of one variable")


def _one_sided(sign: str, value: object) -> Reals:
    if value is None:
        raise Unreadable("a relation to infinity")
    if sign == "=":
        return Reals([_point(value)], "")
    if sign == "!=":
        return Reals(_complement([_point(value)]), "")
    bound = Bound(value, len(sign) == 2)
    return Reals([Piece(_OPEN_END, bound) if sign[0] == "<" else Piece(bound, _OPEN_END)], "")


def _of_variable(name: str, found: Reals) -> Reals:
    """The set of a variable, or of what has its magnitude in the set."""
    name = name.replace(" ", "")
    if not _NAME.fullmatch(name) or (found.name and found.name != name):
        raise Unreadable("more than one variable")
    if name[0] != "|":
        return Reals(found.pieces, name)
    mirrored = [Piece(_negative(piece.high), _negative(piece.low)) for piece in found.pieces]
    positive = _intersection(found.pieces, [Piece(Bound(0, True), _OPEN_END)])
    negative = _intersection(_sorted(mirrored), [Piece(_OPEN_END, Bound(0, True))])
    return Reals(_union(positive, negative), name.strip("|"))


def _negative(bound: Bound) -> Bound:
    return bound if bound.value is None else Bound(-bound.value, bound.closed)


def _value(text: str) -> object:
    """A real number; None for an infinity."""
    if text.strip().strip("+-").strip() == "∞":
        return None
    formula, variables = read(text)
    if variables:
        raise Unreadable("a bound with variables")
    [value] = values(formula, variables)
    if value is None or (not is_exact(value) and value.imag != 0):
        raise Unreadable("not real")
    return value if is_exact(value) else value.real


def _point(value: object) -> Piece:
    return Piece(Bound(value, True), Bound(value, True))


def _piece(low: Bound, high: Bound) -> Pieces:
    low, high = (b if b.value is not None else _OPEN_END for b in (low, high))
    return [] if _empty(low, high) else [Piece(low, high)]


def _order(a: Any, b: Any) -> int:
    """-1, 0 or 1; values that agree in their digits are the same."""
    gap = field(DIGITS[0]).minus(a, b)
    if gap == 0 or abs(gap) <= abs(a) * float(_CLOSE):
        return 0
    return -1 if gap < 0 else 1


def _empty(low: Bound, high: Bound) -> bool:
    if low.value is None or high.value is None:
        return False
    order = _order(low.value, high.value)
    return order > 0 or (order == 0 and not (low.closed and high.closed))


def _lows(a: Bound, b: Bound) -> int:
    """The order of two lower bounds."""
    if a.value is None or b.value is None:
        return (b.value is None) - (a.value is None)
    return _order(a.value, b.value) or b.closed - a.closed


def _highs(a: Bound, b: Bound) -> int:
    """The order of two upper bounds."""
    if a.value is None or b.value is None:
        return (a.value is None) - (b.value is None)
    return _order(a.value, b.value) or a.closed - b.closed


def _touch(high: Bound, low: Bound) -> bool:
    """Whether nothing lies between an upper bound and the lower bound of the next piece."""
    if high.value is None or low.value is None:
        return True
    order = _order(low.value, high.value)
    return order < 0 or (order == 0 and (low.closed or high.closed))


def _by_low(a: Piece, b: Piece) -> int:
    return _lows(a.low, b.low)


_BY_LOW = cmp_to_key(_by_low)


def _sorted(pieces: Pieces) -> Pieces:
    """Pieces in order, those that touch made one."""
    merged: Pieces = []
    for piece in sorted(pieces, key=_BY_LOW):
        if merged and _touch(merged[-1].high, piece.low):
            last = merged.pop()
            high = last.high if _highs(last.high, piece.high) >= 0 else piece.high
            piece = Piece(last.low, high)
        merged.append(piece)
    return merged


def _union(a: Pieces, b: Pieces) -> Pieces:
    return _sorted([*a, *b])


def _intersection(a: Pieces, b: Pieces) -> Pieces:
    found: Pieces = []
    for one in a:
        for other in b:
            low = one.low if _lows(one.low, other.low) >= 0 else other.low
            high = one.high if _highs(one.high, other.high) <= 0 else other.high
            found += _piece(low, high)
    return _sorted(found)


def _complement(pieces: Pieces) -> Pieces:
    found = _ALL
    for piece in pieces:
        around: Pieces = []
        if piece.low.value is not None:
            around.append(Piece(_OPEN_END, Bound(piece.low.value, not piece.low.closed)))
        if piece.high.value is not None:
            around.append(Piece(Bound(piece.high.value, not piece.high.closed), _OPEN_END))
        found = _intersection(found, around)
    return found


def _joined(sets: list[Reals], join: Any) -> Reals:
    names = {found.name for found in sets if found.name}
    if len(names) > 1 or len(sets) > 30:
        raise Unreadable("more than one variable")
    pieces = sets[0].pieces
    for found in sets[1:]:
        pieces = join(pieces, found.pieces)
    return Reals(pieces, names.pop() if names else "")


def _same_set(a: Pieces, b: Pieces) -> bool:
    a, b = _sorted(a), _sorted(b)
    return len(a) == len(b) and all(
        _lows(one.low, other.low) == 0 and _highs(one.high, other.high) == 0
        for one, other in zip(a, b, strict=True)
    )
