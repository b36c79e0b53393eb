r"""A small reader of LaTeX and plain formulas that evaluates them at a point.

Rationals stay exact; roots, powers and functions fall back to complex floats. Whatever it does
not understand raises ``Unreadable``: it never guesses. It proves nothing symbolically: equality is
judged at several points by :func:`same_value`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from fractions import Fraction
from typing import NamedTuple

from .arithmetic import (
    CONSTANTS,
    DIGITS,
    FUNCTIONS,
    Field,
    Unreadable,
    Value,
    binomial,
    computing,
    factorial,
    field,
    same,
)
from .late import late_pattern
from .numbers import FRACTION

MAX_LENGTH = 600


class Point(NamedTuple):
    """Where a formula is evaluated, and with how many digits."""

    env: Mapping[str, Fraction]
    field: Field


Formula = Callable[[Point], Value]


_TOKEN = late_pattern(r"\s*(\\[A-Za-z]+|\d+(?:\.\d+)?|\.\d+|[A-Za-z]+|[-+*/^_(){}\[\]|!°])")
_GREEK = frozenset(
    [
        "alpha",
        "beta",
        "gamma",
        "delta",
        "epsilon",
        "varepsilon",
        "zeta",
        "eta",
        "theta",
        "lambda",
        "mu",
        "nu",
        "xi",
        "rho",
        "sigma",
        "tau",
        "phi",
        "varphi",
        "chi",
        "psi",
        "omega",
    ]
)


_NAMES = sorted([*FUNCTIONS, "sqrt", "pi", "abs"], key=len, reverse=True)
_OPEN = {"(": ")", "{": "}", "[": "]"}
_START = late_pattern(r"[\\\dA-Za-z.({\[]")
_MIXED = late_pattern(rf"(?<![\w.^])\s*(\d+)\s*({FRACTION})")


def _is_number(token: str) -> bool:
    return token[:1].isdigit() or token[:1] == "."


def _number(text: str) -> Formula:
    value: Value = Fraction(text) if "." in text else int(text)
    return lambda at: value


class _Parser:
    """Recursive descent over tokens; each method returns the formula it read."""

    def __init__(self, text: str) -> None:
        if len(text) > MAX_LENGTH:
            raise Unreadable("too long")
        self.tokens = _tokens(text)
        self.at = 0
        self.variables: set[str] = set()
        self.bars = 0

    def peek(self) -> str:
        return self.tokens[self.at] if self.at < len(self.tokens) else ""

    def take(self) -> str:
        token = self.peek()
        self.at += 1
        return token

    def expect(self, token: str) -> None:
        if self.take() != token:
            raise Unreadable(f"expected {token}")

    def whole(self) -> Formula:
        formula = self.sum()
        if self.peek():
            raise Unreadable(f"unexpected {self.peek()}")
        return formula

    def sum(self) -> Formula:
        left = self.product()
        while (sign := self.peek()) in ("+", "-"):
            self.take()
            left = self._joined(left, self.product(), sign)
        return left

    @staticmethod
    def _joined(left: Formula, right: Formula, sign: str) -> Formula:
        if sign == "+":
            return lambda at: at.field.plus(left(at), right(at))
        return lambda at: at.field.minus(left(at), right(at))

    def product(self) -> Formula:
        left = self.signed()
        while True:
            token = self.peek()
            if token in ("*", "/", "\\cdot", "\\times", "\\div"):
                self.take()
                left = self._applied(left, self.signed(), token)
            elif _is_number(token) and _is_number(self.tokens[self.at - 1]):
                raise Unreadable("two numbers side by side")
            elif token and (_START.match(token) or (token == "|" and not self.bars)):
                left = self._applied(left, self.power(), "*")
            else:
                return left

    @staticmethod
    def _applied(left: Formula, right: Formula, token: str) -> Formula:
        if token in ("/", "\\div"):
            return lambda at: at.field.divide(left(at), right(at))
        return lambda at: at.field.times(left(at), right(at))

    def signed(self) -> Formula:
        if self.peek() in ("+", "-"):
            negative = self.take() == "-"
            inner = self.signed()
            return (lambda at: at.field.times(-1, inner(at))) if negative else inner
        return self.power()

    def power(self) -> Formula:
        base = self.atom()
        while self.peek() in ("!", "°"):
            base = self._followed(base, self.take())
        if self.peek() != "^":
            return base
        self.take()
        exponent = self.exponent()
        return lambda at: at.field.power(base(at), exponent(at))

    @staticmethod
    def _followed(inner: Formula, sign: str) -> Formula:
        if sign == "!":
            return lambda at: factorial(inner(at))
        return lambda at: at.field.times(inner(at), at.field.constant("degree"))

    def exponent(self) -> Formula:
        if self.peek() in ("-", "+"):
            return self.signed()
        return self.atom() if self.peek() in _OPEN else self.power()

    def argument(self) -> Formula:
        """A LaTeX argument: a group or one token (``\\frac12`` takes one digit each)."""
        token = self.peek()
        if token[:1].isdigit() and len(token) > 1:
            self.tokens[self.at : self.at + 1] = [token[0], token[1:].lstrip(".") or "0"]
        return self.atom()

    def atom(self) -> Formula:
        token = self.take()
        if token in _OPEN:
            saved, self.bars = self.bars, 0
            inner = self.sum()
            self.expect(_OPEN[token])
            self.bars = saved
            return inner
        if token == "|":
            self.bars += 1
            inner = self.sum()
            self.bars -= 1
            self.expect("|")
            return lambda at: at.field.magnitude(inner(at))
        if _is_number(token):
            return _number(token)
        if token[:1] == "\\" or token.isalpha():
            return self.named(token.lstrip("\\"))
        raise Unreadable(f"unexpected {token or 'end'}")

    def named(self, name: str) -> Formula:
        if name in ("frac", "binom"):
            top, bottom = self.argument(), self.argument()
            if name == "frac":
                return lambda at: at.field.divide(top(at), bottom(at))
            return lambda at: binomial(top(at), bottom(at))
        if name == "sqrt":
            return self.root()
        if name == "abs":
            inner = self.atom()
            return lambda at: at.field.magnitude(inner(at))
        if name in FUNCTIONS:
            return self.function(name)
        if name in CONSTANTS:
            return lambda at: at.field.constant(name)
        if len(name) == 1 or name in _GREEK:
            return self.variable(name)
        raise Unreadable(f"unknown {name}")

    def root(self) -> Formula:
        degree: Formula = _number("2")
        if self.peek() == "[":
            degree = self.atom()
        inner = self.argument()
        return lambda at: at.field.root(inner(at), degree(at))

    def function(self, name: str) -> Formula:
        exponent = base = None
        if self.peek() == "_" and name == "log":
            self.take()
            base = self.argument()
        if self.peek() == "^":
            self.take()
            exponent = self.exponent()
            if self.tokens[self.at - 1] == "-" or self.is_inverse(exponent):
                raise Unreadable("inverse function")
        inner = self.atom() if self.peek() in _OPEN else self.power()
        while self.peek() and re.match(r"[\dA-Za-z]", self.peek()) and exponent is None:
            inner = self._applied(inner, self.power(), "*")

        def value(at: Point) -> Value:
            if base is not None:
                result = at.field.logarithm(inner(at), base(at))
            else:
                result = at.field.function(name, inner(at))
            return result if exponent is None else at.field.power(result, exponent(at))

        return value

    def is_inverse(self, exponent: Formula) -> bool:
        """Whether the exponent of a function is -1."""
        ones = dict.fromkeys(self.variables, Fraction(1))
        with computing():
            return bool(exponent(Point(ones, field(DIGITS[0]))) == -1)

    def variable(self, name: str) -> Formula:
        if self.peek() == "_":
            self.take()
            start = self.at
            if self.peek() == "{":
                while self.peek() and self.peek() != "}":
                    self.take()
            self.take()
            name += "_" + "".join(self.tokens[start : self.at]).strip("{}")
        self.variables.add(name)
        return lambda at: at.env[name]


def _added(match: re.Match[str]) -> str:
    r"""A mixed number as the sum it is: ``1\frac12`` is 3/2."""
    whole, fraction, *digits = match.groups()
    top, bottom = (int(digit) for digit in digits if digit is not None)
    return rf"({whole}+{fraction})" if 0 < top < bottom else match[0]


def _tokens(text: str) -> list[str]:
    text = _MIXED.sub(_added, text) if "\\frac" in text else text
    tokens: list[str] = []
    at, end = 0, len(text.rstrip())
    while at < end:
        match = _TOKEN.match(text, at)
        if match is None:
            raise Unreadable(f"cannot read {text[at : at + 10]!r}")
        at = match.end()
        tokens.extend(_words(match[1]) if match[1].isalpha() else [match[1]])
    if not tokens:
        raise Unreadable("empty")
    return tokens


def _words(run: str) -> list[str]:
    """Letters written together: known names, otherwise a product of letters."""
    parts: list[str] = []
    while run:
        name = next((n for n in _NAMES if run.startswith(n)), run[0])
        parts.append(name)
        run = run[len(name) :]
    return parts


# Fixed points with large coprime parts, both signs: an identity of formulas as short as answers are
# cannot hold at all of them by chance.
_POINTS = tuple(
    tuple(Fraction(a, b) for a, b in row)
    for row in (
        ((17, 7), (29, 11), (37, 13), (53, 17), (71, 19), (89, 23)),
        ((-13, 5), (31, 7), (-43, 11), (59, 13), (-73, 17), (97, 19)),
        ((101, 89), (-61, 79), (47, 71), (-67, 61), (83, 59), (-103, 53)),
        ((-7, 19), (-5, 23), (-11, 29), (-3, 31), (-19, 37), (-2, 41)),
    )
)


def read(text: str) -> tuple[Formula, frozenset[str]]:
    """The formula of a text and its variables. Raises Unreadable."""
    try:
        parser = _Parser(text)
        return parser.whole(), frozenset(parser.variables)
    except (RecursionError, KeyError, OverflowError, ZeroDivisionError) as error:
        raise Unreadable(str(error)) from None


def _points(variables: frozenset[str]) -> list[dict[str, Fraction]]:
    names = sorted(variables)
    if len(names) > len(_POINTS[0]):
        raise Unreadable("too many variables")
    return [dict(zip(names, row, strict=False)) for row in _POINTS] if names else [{}]


def same_values(a: Formula, b: Formula, variables: frozenset[str]) -> list[bool | None]:
    """At each of the fixed points whether two formulas are equal there; None where one has no
    value. Raises Unreadable if one has none anywhere."""
    found: list[bool | None] = []
    for env in _points(variables):
        try:
            found.append(same(_at_point(a, env), _at_point(b, env)))
        except (ArithmeticError, ValueError, RecursionError):
            found.append(None)
    if all(grade is None for grade in found):
        raise Unreadable("no value anywhere")
    return found


def _at_point(formula: Formula, env: Mapping[str, Fraction]) -> Callable[[Field], Value]:
    return lambda field: formula(Point(env, field))


def values(formula: Formula, variables: frozenset[str]) -> list[Value]:
    """Values at the fixed points; None where there is none. Raises Unreadable if nowhere."""
    found: list[Value] = []
    with computing():
        for env in _points(variables):
            try:
                found.append(formula(Point(env, field(DIGITS[0]))))
            except (ArithmeticError, ValueError, RecursionError):
                found.append(None)
    if not any(value is not None for value in found):
        raise Unreadable("no value anywhere")
    return found
