r"""Whether two mathematical answers are the same.

A built-in normaliser decides what it can read (numbers, fractions, formulas, tuples, sets,
intervals, relations, matrices); only what it cannot goes to math-verify in a worker process that is
killed at its time limit. A timeout is "not equal" and says so. The grade names what decided it;
if math-verify is needed and missing, there is an error instead of a grade.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from fractions import Fraction
from functools import lru_cache
from typing import NamedTuple

from . import forms, numbers
from .arithmetic import DIGITS, Unreadable, computing, field, is_exact
from .expression import Formula, read, same_values, values
from .extract import SHORT
from .late import late_pattern
from .latex import Structure, in_degrees, is_grouped, normal, split, structure, words_and_symbols
from .notation import decide_labels, decide_notation, decide_times, decide_words
from .reals import decide_sets

DEFAULT_TIMEOUT = 5.0
"""Seconds the symbolic comparison of one answer may take."""
MAX_ANSWER = 4_000
ROUNDED_PLACES = 6
"""A decimal with at least this many places equals what it is the rounding of."""

_RELATES = late_pattern(r"[<=>∈:]")
_RELATION = late_pattern(r"(<=|>=|!=|<|>)")
_SIMPLE_NAME = late_pattern(r"[^\d+\-*/^=<>][^+\-*/^=<>]{0,60}")
_SPACE = late_pattern(r"(?<!\d) +| +(?!\d)")
"""Spaces that mean nothing: between digits they may make a mixed number."""
_BASED = late_pattern(r"\d\s*_")
_COMPOUND = late_pattern(r"-?\d+(?:\.\d+)?(?: \d+(?:\.\d+)?)+")
_DECIMAL = late_pattern(r"-?\d*\.(\d+)")
_FLIP = {"<": ">", ">": "<", "<=": ">=", ">=": "<=", "!=": "!="}
_TWO_SIDED = 5
_UNIT_LETTERS = frozenset("ACFGHJKLMNTVWcdghlmst")


class MathGrade(NamedTuple):
    """``decided_by``: ``builtin``, ``math-verify`` or ``timeout``."""

    equal: bool
    decided_by: str


def decide(a: str, b: str) -> bool | None:
    r"""The built-in grade: True, False, or None where it cannot tell.

    >>> decide(r"\frac{1}{2}", "0.5"), decide("(1,2)", "(2,1)"), decide("x^2-1", "(x-1)(x+1)")
    (True, False, True)
    """
    a, b = a.strip(), b.strip()
    if not a or not b:
        return False
    if a == b or ("\\text" in a + b and words_and_symbols(a) == words_and_symbols(b) != ""):
        return True
    if len(a) > MAX_ANSWER or len(b) > MAX_ANSWER:
        return False
    if (times := decide_times(a, b)) is not None:
        return times
    if (labelled := decide_labels(a, b)) is not None:
        return labelled
    first, second = _normals(a, b, grouped=True)
    grade = _decide(first, second, 0) if first and second else False
    if (
        grade
        or not (is_grouped(a) or is_grouped(b))
        or (_plain_number(first) and _plain_number(second))
    ):
        return grade
    apart = _decide(*_normals(a, b, grouped=False), 0)
    return apart if grade is False or apart else None


def _normals(a: str, b: str, *, grouped: bool) -> tuple[str, str]:
    return (
        normal(a, degrees=in_degrees(a, b), grouped=grouped),
        normal(b, degrees=in_degrees(b, a), grouped=grouped),
    )


def _decide(a: str, b: str, depth: int) -> bool | None:
    if a == b or _SPACE.sub("", a) == _SPACE.sub("", b):
        return True
    if depth > 4:
        return None
    for reader in (decide_notation, decide_sets, _by_numbers, _by_quantities, decide_words):
        if (grade := reader(a, b)) is not None:
            return grade
    if (by_relation := _by_relation(a, b, depth)) is not None:
        return by_relation
    first, second = structure(a), structure(b)
    if first.kind != "value" or second.kind != "value":
        return _by_structure(first, second, depth)
    if _BASED.search(a) or _BASED.search(b):
        return False  # no reader of formulas knows digits of another base
    return _by_value(a, b)


def _by_numbers(a: str, b: str) -> bool | None:
    mine, gold = _plain_number(a), _plain_number(b)
    if mine is not None and gold is not None:
        same = numbers.same(mine, gold) or _rounds_to(a, mine, gold) or _rounds_to(b, gold, mine)
        # "1,2" may be a decimal or two numbers
        return same if same or "," not in a + b else None
    if mine is not None or gold is not None:
        number, other = (a, b) if gold is None else (b, a)
        if "," not in number and _no_number(other):
            return False
    return None


def _by_quantities(a: str, b: str) -> bool | None:
    """Compound quantities, their units gone: ``5 3`` (feet and inches) is no product, nor is
    it 5, which a symbolic reader would make of it."""
    first, second = (text.split() if _COMPOUND.fullmatch(text) else [] for text in (a, b))
    if first and second:
        return len(first) == len(second) and all(map(_by_numbers, first, second))
    other = b if first else a
    return False if (first or second) and _plain_number(other) is not None else None


@lru_cache(maxsize=4096)
def _plain_number(text: str) -> numbers.Number | None:
    if (number := numbers.parse(text, units=False)) is not None:
        return number
    words = forms.spelled_out(text) if text[:1].isalpha() and len(text) < SHORT else None
    return words if isinstance(words, numbers.Number) else None


def _rounds_to(text: str, mine: numbers.Number, gold: numbers.Number) -> bool:
    """Whether a long decimal is the rounding of a value that has no such decimal."""
    match = _DECIMAL.fullmatch(text)
    if match is None or len(match[1]) < ROUNDED_PLACES or gold.percent != mine.percent:
        return False
    if 10 ** len(match[1]) % Fraction(gold.value).denominator == 0:
        return False
    return abs(Fraction(mine.value) - gold.value) < Fraction(1, 10 ** len(match[1]))


def _no_number(text: str) -> bool:
    """Whether a text is plainly something else than one number: a word, or several values."""
    if text.isalpha():
        return len(text) > 3
    form = structure(text)
    if form.kind == "union" or len(form.parts) < 2 or _RELATES.search(text):
        return False
    # 1/2 or 0.5 is one number, said twice
    return form.kind == "tuple" or len({_plain_number(part) for part in form.parts}) > 1


def _by_relation(a: str, b: str, depth: int) -> bool | None:
    first, second = _RELATION.split(a), _RELATION.split(b)
    if len(first) > 1 and len(second) > 1:
        if first[1][0] == ">":
            first = [_FLIP.get(part, part) for part in reversed(first)]
        if second[1][0] == ">":
            second = [_FLIP.get(part, part) for part in reversed(second)]
        return _same_chain(first, second, depth)
    if len(first) > 1 or len(second) > 1:
        left = _interval(first) if len(first) > 1 else a
        right = _interval(second) if len(second) > 1 else b
        left, right = (_after_name(x, "∈") if x else None for x in (left, right))
        return _decide(left, right, depth + 1) if left and right else None
    if "=" in a or "=" in b:
        return _by_equation(a, b, depth)
    if "∈" in a or "∈" in b:
        left, right = _after_name(a, "∈"), _after_name(b, "∈")
        return _decide(left, right, depth + 1) if left and right else None
    return None


def _same_chain(first: list[str], second: list[str], depth: int) -> bool | None:
    if len(first) != len(second) or first[1::2] != second[1::2]:
        return None
    return (
        _all(
            _decide(x.strip(), y.strip(), depth + 1)
            for x, y in zip(first[::2], second[::2], strict=True)
        )
        or None
    )


def _interval(chain: list[str]) -> str | None:
    """The interval a relation on one name describes: ``-2 <= x < 7`` is ``[-2, 7)``."""
    if chain[1][0] == ">":
        chain = [_FLIP.get(part, part) for part in reversed(chain)]
    parts = [part.strip() for part in chain]
    if any(sign[0] != "<" for sign in parts[1::2]) or "=" in "".join(parts[::2]):
        return None
    if len(parts) == _TWO_SIDED and _SIMPLE_NAME.fullmatch(parts[2]):
        left, right = ("[" if parts[1] == "<=" else "("), ("]" if parts[3] == "<=" else ")")
        return f"{left}{parts[0]}, {parts[4]}{right}"
    if len(parts) == 3 and _SIMPLE_NAME.fullmatch(parts[0]):
        return f"(-∞, {parts[2]}{']' if parts[1] == '<=' else ')'}"
    if len(parts) == 3 and _SIMPLE_NAME.fullmatch(parts[2]):
        return f"{'[' if parts[1] == '<=' else '('}{parts[0]}, ∞)"
    return None


def _after_name(text: str, sign: str) -> str | None:
    name, found, rest = text.partition(sign)
    if not found:
        return text
    return rest.strip() if _SIMPLE_NAME.fullmatch(name.strip()) else None


def _by_equation(a: str, b: str, depth: int) -> bool | None:
    if len(split(a)) > 1 or len(split(b)) > 1:
        return None  # a list of equations: by structure
    if "=" in a and "=" in b:
        left, right = (text.split("=") for text in (a, b))
        if len(left) == len(right) == 2 and (same := _same_equation(left, right)) is not None:
            return same
        if left[0].strip() != right[0].strip():
            return None
        return _decide(left[-1].strip(), right[-1].strip(), depth + 1)
    equation, other = (a, b) if "=" in a else (b, a)
    name, _, value = equation.partition("=")
    if not _SIMPLE_NAME.fullmatch(name.strip()):
        return None
    return _decide(value.rpartition("=")[2].strip(), other, depth + 1)


def _same_equation(left: list[str], right: list[str]) -> bool | None:
    """Equal up to a constant factor, at every point: ``2x + 4y = 3`` and ``y = 3/4 - x/2``."""
    try:
        first, names = read(f"({left[0]})-({left[1]})")
        second, others = read(f"({right[0]})-({right[1]})")
        both = names | others
        pairs = list(zip(values(first, both), values(second, both), strict=True))
    except Unreadable:
        return None
    exact = [Fraction(x) / y for x, y in pairs if is_exact(x) and is_exact(y) and y]
    if len(exact) < 3:
        return None
    return len(set(exact)) == 1 and exact[0] != 0


def _by_structure(first: Structure, second: Structure, depth: int) -> bool | None:
    kinds = {first.kind, second.kind}
    if kinds <= {"list", "set"}:  # said twice is said once
        first, second = (s._replace(parts=_distinct(s.parts)) for s in (first, second))
    if kinds == {"matrix", "tuple"}:
        return _by_rows(first, second, depth)
    if "value" in kinds and kinds <= {"list", "set", "value"} and _one_value(first, second, depth):
        return True
    if "value" in kinds or len(first.parts) != len(second.parts):
        readable = kinds.isdisjoint(("value", "union")) and "=" not in "".join(
            first.parts + second.parts
        )
        return False if readable else None
    if kinds == {"tuple"}:
        if first.brackets != second.brackets:
            # parentheses and brackets differ for two numbers only: more are a point or a list
            return False if len(first.parts) == 2 else None
        return _in_order(first, second, depth)
    if kinds == {"matrix"}:
        return False if first.brackets != second.brackets else _in_order(first, second, depth)
    if kinds == {"set", "tuple"}:  # a point is no set; brackets are often meant as a list
        return False if "(" in first.brackets + second.brackets else None
    if kinds == {"list", "tuple"}:
        return _in_order(first, second, depth)
    if kinds <= {"list", "set"} or kinds == {"union"}:
        return _in_any_order(first.parts, second.parts, depth)
    return None


def _one_value(first: Structure, second: Structure, depth: int) -> bool:
    """Whether one value is said several times: ``1/2 or 0.5``, a double root."""
    pairs = ((x, y) for x in first.parts for y in second.parts)
    return _all(_decide(x, y, depth + 1) for x, y in pairs) is True


def _by_rows(first: Structure, second: Structure, depth: int) -> bool | None:
    """A matrix and a tuple: of its rows (``[[1,2],[3,4]]``), or of the parts of a vector."""
    matrix, other = (first, second) if first.kind == "matrix" else (second, first)
    shape, rows = matrix.brackets.split(","), [structure(part) for part in other.parts]
    if all(row.kind == "tuple" for row in rows):
        if shape != [str(len(row.parts)) for row in rows]:
            return False
        other = other._replace(parts=[part for row in rows for part in row.parts])
    elif len(shape) > 1 and set(shape) != {"1"}:
        return False
    if len(matrix.parts) != len(other.parts):
        return False
    return _in_order(matrix, other, depth)


def _distinct(parts: list[str]) -> list[str]:
    return list({part.replace(" ", ""): part for part in parts}.values())


def _all(grades: Iterable[bool | None]) -> bool | None:
    unknown = False
    for grade in grades:
        if grade is False:
            return False
        unknown = unknown or grade is None
    return None if unknown else True


def _in_order(first: Structure, second: Structure, depth: int) -> bool | None:
    pairs = zip(first.parts, second.parts, strict=True)
    return _all(_decide(x, y, depth + 1) for x, y in pairs)


def _in_any_order(first: list[str], second: list[str], depth: int) -> bool | None:
    if len(first) > 30:
        return None
    grades = [[_decide(x, y, depth + 1) for y in second] for x in first]
    lines = [*grades, *zip(*grades, strict=True)]
    if any(all(grade is False for grade in line) for line in lines):
        return False
    left, unknown = set(range(len(second))), False
    for row in grades:
        same = [at for at in sorted(left) if row[at]]
        left -= set(same[:1])
        unknown = unknown or not same
        if not same and all(row[at] is False for at in left):
            return False
    return None if unknown else True


def _by_value(a: str, b: str) -> bool | None:
    try:
        first, names = read(a)
        second, others = read(b)
        both = names | others
        grades = same_values(first, second, both)
    except Unreadable:
        return None
    if not both:
        return True if grades[0] else _long_decimal(a, b, first, second)
    if False in grades:
        # a name on one side only may be a unit: leave that to the symbolic reader
        return False if (names ^ others).isdisjoint(_UNIT_LETTERS) else None
    return True if grades.count(True) > 2 else None


def _long_decimal(a: str, b: str, first: Formula, second: Formula) -> bool:
    places = max(len(m[1]) if (m := _DECIMAL.fullmatch(t)) else 0 for t in (a, b))
    if places < ROUNDED_PLACES:
        return False
    nothing: frozenset[str] = frozenset()
    [x], [y] = values(first, nothing), values(second, nothing)
    with computing():
        return bool(abs(field(DIGITS[0]).minus(x, y)) * 10**places < 1)


def math_equal(a: str, b: str, timeout: float = DEFAULT_TIMEOUT) -> MathGrade:
    """Whether answer ``a`` equals ``b`` (the target). Blocks up to ``timeout`` seconds. Raises
    InfraError where math-verify is needed and cannot be imported.

    >>> math_equal("10", "100")
    MathGrade(equal=False, decided_by='builtin')
    """
    grade = decide(a, b)
    if grade is not None:
        return MathGrade(grade, "builtin")
    from .symbolic import compare

    return MathGrade(*compare(a, b, timeout))


async def math_equal_async(a: str, b: str, timeout: float = DEFAULT_TIMEOUT) -> MathGrade:
    """As :func:`math_equal`, without blocking the event loop."""
    grade = decide(a, b)
    if grade is not None:
        return MathGrade(grade, "builtin")
    from .symbolic import compare, executor

    loop = asyncio.get_running_loop()
    return MathGrade(*await loop.run_in_executor(executor(), compare, a, b, timeout))
