r"""A small reader of LaTeX and plain formulas that evaluates them at a point.

Rationals stay exact; roots, powers and functions fall back to complex floats. Whatever it does
not understand raises ``Unreadable``: it never guesses. It proves nothing symbolically: equality is
judged at several points by :func:`same_value`.
"""

from __future__ import annotations

import cmath
import math
import re
from collections.abc import Callable, Mapping
from fractions import Fraction

Value = int | Fraction | complex
Env = Mapping[str, Fraction]
Formula = Callable[[Env], Value]

MAX_LENGTH = 600
_MAX_BITS = 60_000


class Unreadable(ValueError):
    """The text is not a formula of the supported kind, or has no value at the point."""


_TOKEN = re.compile(r"\s*(\\[A-Za-z]+|\d+(?:\.\d+)?|\.\d+|[A-Za-z]+|[-+*/^_(){}\[\]|!])")
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


def _log10(x: complex) -> complex:
    return cmath.log(x) / math.log(10)


_FUNCTIONS: dict[str, Callable[[complex], complex]] = {
    "sin": cmath.sin,
    "cos": cmath.cos,
    "tan": cmath.tan,
    "cot": lambda x: 1 / cmath.tan(x),
    "sec": lambda x: 1 / cmath.cos(x),
    "csc": lambda x: 1 / cmath.sin(x),
    "arcsin": cmath.asin,
    "arccos": cmath.acos,
    "arctan": cmath.atan,
    "sinh": cmath.sinh,
    "cosh": cmath.cosh,
    "tanh": cmath.tanh,
    "ln": cmath.log,
    "log": _log10,
    "exp": cmath.exp,
}
_CONSTANTS: dict[str, complex] = {"pi": complex(math.pi), "e": complex(math.e), "i": 1j}
_NAMES = sorted([*_FUNCTIONS, "sqrt", "pi", "abs"], key=len, reverse=True)
_OPEN = {"(": ")", "{": "}", "[": "]"}
_START = re.compile(r"[\\\dA-Za-z.({\[]")


def _number(text: str) -> Formula:
    value: Value = Fraction(text) if "." in text else int(text)
    return lambda env: value


def _power(base: Value, exponent: Value) -> Value:
    if isinstance(exponent, Fraction) and exponent.denominator == 1:
        exponent = int(exponent)
    if not isinstance(base, complex) and isinstance(exponent, int):
        if base == 0 and exponent <= 0:
            raise Unreadable("0 to the power of nothing")
        bits = max(abs(base.numerator), base.denominator).bit_length() * abs(exponent)
        if bits <= _MAX_BITS:
            return Fraction(base) ** exponent
        raise Unreadable("too large")
    if base == 0:
        return 0
    return complex(base) ** complex(exponent)


def _root(value: Value, degree: Value) -> Value:
    if degree == 2 and not isinstance(value, complex) and value >= 0:
        ratio = Fraction(value)
        top, bottom = math.isqrt(ratio.numerator), math.isqrt(ratio.denominator)
        if top * top == ratio.numerator and bottom * bottom == ratio.denominator:
            return Fraction(top, bottom)
    if degree == 3 and not isinstance(value, complex) and value < 0:
        return -_power(-value, Fraction(1, 3))  # the real cube root is meant
    if isinstance(degree, complex) or degree == 0:
        raise Unreadable("degree of a root")
    return _power(value, 1 / Fraction(degree))


def _divide(a: Value, b: Value) -> Value:
    if b == 0:
        raise Unreadable("division by zero")
    if isinstance(a, complex) or isinstance(b, complex):
        return complex(a) / complex(b)
    return Fraction(a) / b


def _times(a: Value, b: Value) -> Value:
    if isinstance(a, complex) or isinstance(b, complex):
        return complex(a) * complex(b)
    return a * b


def _plus(a: Value, b: Value) -> Value:
    if isinstance(a, complex) or isinstance(b, complex):
        return complex(a) + complex(b)
    return a + b


def _natural(value: Value) -> int:
    if isinstance(value, complex) or value.denominator != 1 or not 0 <= value <= 200:
        raise Unreadable("not a small natural number")
    return int(value)


def _magnitude(value: Value) -> Value:
    if isinstance(value, complex):
        return complex(abs(value))
    return value if value >= 0 else -value


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
            return lambda env: _plus(left(env), right(env))
        return lambda env: _plus(left(env), _times(-1, right(env)))

    def product(self) -> Formula:
        left = self.signed()
        while True:
            token = self.peek()
            if token in ("*", "/", "\\cdot", "\\times", "\\div"):
                self.take()
                left = self._applied(left, self.signed(), token)
            elif token and (_START.match(token) or (token == "|" and not self.bars)):
                left = self._applied(left, self.power(), "*")
            else:
                return left

    @staticmethod
    def _applied(left: Formula, right: Formula, token: str) -> Formula:
        if token in ("/", "\\div"):
            return lambda env: _divide(left(env), right(env))
        return lambda env: _times(left(env), right(env))

    def signed(self) -> Formula:
        if self.peek() in ("+", "-"):
            negative = self.take() == "-"
            inner = self.signed()
            return (lambda env: _times(-1, inner(env))) if negative else inner
        return self.power()

    def power(self) -> Formula:
        base = self.atom()
        while self.peek() == "!":
            self.take()
            base = self._factorial(base)
        if self.peek() != "^":
            return base
        self.take()
        exponent = self.exponent()
        return lambda env: _power(base(env), exponent(env))

    @staticmethod
    def _factorial(inner: Formula) -> Formula:
        return lambda env: math.factorial(_natural(inner(env)))

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
            return lambda env: _magnitude(inner(env))
        if token[:1].isdigit() or token[:1] == ".":
            return _number(token)
        if token[:1] == "\\" or token.isalpha():
            return self.named(token.lstrip("\\"))
        raise Unreadable(f"unexpected {token or 'end'}")

    def named(self, name: str) -> Formula:
        if name in ("frac", "binom"):
            top, bottom = self.argument(), self.argument()
            if name == "frac":
                return lambda env: _divide(top(env), bottom(env))
            return lambda env: math.comb(_natural(top(env)), _natural(bottom(env)))
        if name == "sqrt":
            return self.root()
        if name == "abs":
            inner = self.atom()
            return lambda env: _magnitude(inner(env))
        if name in _FUNCTIONS:
            return self.function(name)
        if name in _CONSTANTS:
            value = _CONSTANTS[name]
            return lambda env: value
        if len(name) == 1 or name in _GREEK:
            return self.variable(name)
        raise Unreadable(f"unknown {name}")

    def root(self) -> Formula:
        degree: Formula = _number("2")
        if self.peek() == "[":
            degree = self.atom()
        inner = self.argument()
        return lambda env: _root(inner(env), degree(env))

    def function(self, name: str) -> Formula:
        apply = _FUNCTIONS[name]
        exponent = base = None
        if self.peek() == "_" and name == "log":
            self.take()
            base, apply = self.argument(), cmath.log
        if self.peek() == "^":
            self.take()
            exponent = self.exponent()
            if (
                self.tokens[self.at - 1] == "-"
                or exponent({v: Fraction(1) for v in self.variables}) == -1
            ):
                raise Unreadable("inverse function")
        inner = self.atom() if self.peek() in _OPEN else self.power()
        while self.peek() and re.match(r"[\dA-Za-z]", self.peek()) and exponent is None:
            inner = self._applied(inner, self.power(), "*")

        def value(env: Env) -> Value:
            at = complex(inner(env))
            result: Value = apply(at)
            if base is not None:
                result = _divide(result, cmath.log(complex(base(env))))
            return result if exponent is None else _power(result, exponent(env))

        return value

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
        return lambda env: env[name]


def _tokens(text: str) -> list[str]:
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


def values(formula: Formula, variables: frozenset[str]) -> list[Value | None]:
    """Values at the fixed points; None where there is none. Raises Unreadable if nowhere."""
    found: list[Value | None] = []
    for env in _points(variables):
        try:
            found.append(formula(env))
        except (ArithmeticError, ValueError, RecursionError):
            found.append(None)
    if not any(value is not None for value in found):
        raise Unreadable("no value anywhere")
    return found


def same_value(a: Value, b: Value) -> bool | None:
    """Whether two values are equal; None if floating point cannot tell."""
    if not isinstance(a, complex) and not isinstance(b, complex):
        return a == b
    x, y = complex(a), complex(b)
    if not (cmath.isfinite(x) and cmath.isfinite(y)):
        return None
    size, gap = max(1.0, abs(x), abs(y)), abs(x - y)
    if gap > 1e-6 * size:
        return False
    return True if gap <= 1e-11 * size and size < 1e7 else None
