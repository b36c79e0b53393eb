"""Numbers for formulas: exact as long as they are rational, else of as many digits as needed.

Floating point cannot tell ``1 + e^{-40}`` from 1, nor one value below 1e-300 from another. Values
that look equal are therefore computed again with more digits: equal ones stay equal, a zero keeps
shrinking, and what differs shows it.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Callable
from fractions import Fraction
from functools import lru_cache
from typing import Any

Value = Any
"""An int, a Fraction, or a number of mpmath (real or complex)."""

DIGITS = (60, 400, 2_000)
MAX_BITS = 400_000
"""Size of exact powers."""
MAX_FACTORIAL = 5_000
MAX_ARGUMENT = 10**6
"""Functions of larger numbers take more digits than we compute."""
_LOCK = threading.RLock()
"""mpmath changes its precision while it computes."""


class Unreadable(ValueError):
    """The text is not a formula of the supported kind, or has no value at the point."""


_FUNCTIONS: dict[str, Callable[[Any, Any], Any]] = {
    "sin": lambda m, x: m.sin(x),
    "cos": lambda m, x: m.cos(x),
    "tan": lambda m, x: m.tan(x),
    "cot": lambda m, x: 1 / m.tan(x),
    "sec": lambda m, x: 1 / m.cos(x),
    "csc": lambda m, x: 1 / m.sin(x),
    "arcsin": lambda m, x: m.asin(x),
    "arccos": lambda m, x: m.acos(x),
    "arctan": lambda m, x: m.atan(x),
    "sinh": lambda m, x: m.sinh(x),
    "cosh": lambda m, x: m.cosh(x),
    "tanh": lambda m, x: m.tanh(x),
    "ln": lambda m, x: m.log(x),
    "log": lambda m, x: m.log(x) / m.log(10),
    "exp": lambda m, x: m.exp(x),
}
FUNCTIONS = frozenset(_FUNCTIONS)
_CONSTANTS: dict[str, Callable[[Any], Any]] = {
    "pi": lambda m: +m.pi,
    "e": lambda m: +m.e,
    "i": lambda m: m.mpc(0, 1),
    "degree": lambda m: m.pi / 180,
}
CONSTANTS = frozenset(_CONSTANTS) - {"degree"}


def is_exact(value: Value) -> bool:
    """Whether a value is known exactly."""
    return isinstance(value, int | Fraction)


class Field:
    """Arithmetic with so many digits where it is not exact."""

    def __init__(self, digits: int) -> None:
        from mpmath.ctx_mp import MPContext

        self.digits = digits
        self.extreme = False
        """Whether a value came up that so many digits cannot hold beside 1."""
        self._mp = MPContext()
        self._mp.dps = digits

    def inexact(self, value: Value) -> Any:
        """A value as a number of so many digits."""
        if isinstance(value, Fraction):
            return self._mp.mpf(value.numerator) / value.denominator
        return self._mp.mpf(value) if isinstance(value, int) else value

    def plus(self, a: Value, b: Value) -> Value:
        """The sum."""
        if is_exact(a) and is_exact(b):
            return a + b
        return self.inexact(a) + self.inexact(b)

    def minus(self, a: Value, b: Value) -> Value:
        """The difference. Python's own is not known of a Fraction and a number of mpmath."""
        return self.plus(a, self.times(-1, b))

    def times(self, a: Value, b: Value) -> Value:
        """The product."""
        if is_exact(a) and is_exact(b):
            return a * b
        return self.inexact(a) * self.inexact(b)

    def divide(self, a: Value, b: Value) -> Value:
        """The quotient. Raises Unreadable for a division by zero."""
        if b == 0:
            raise Unreadable("division by zero")
        if is_exact(a) and is_exact(b):
            return Fraction(a) / b
        return self.inexact(a) / self.inexact(b)

    def power(self, base: Value, exponent: Value) -> Value:
        """The power; exact for rational bases and whole exponents."""
        if isinstance(exponent, Fraction) and exponent.denominator == 1:
            exponent = int(exponent)
        if is_exact(base) and isinstance(exponent, int):
            if base == 0 and exponent <= 0:
                raise Unreadable("0 to the power of nothing")
            bits = max(abs(base.numerator), base.denominator).bit_length() * abs(exponent)
            if bits <= MAX_BITS:
                return Fraction(base) ** exponent
            raise Unreadable("too large")
        if base == 0:
            return 0
        x, y = self.inexact(base), self.inexact(exponent)
        size = abs(self._mp.log(abs(x)) * y)
        self._bounded(size)
        self.extreme = self.extreme or size > self.digits
        return self._mp.power(x, y)

    def root(self, value: Value, degree: Value) -> Value:
        """The root; exact where it is rational, and the real one of a negative number if odd."""
        if not is_exact(degree) or degree == 0:
            raise Unreadable("degree of a root")
        if is_exact(value) and value < 0 and degree % 2 == 1:
            return self.times(-1, self.root(-value, degree))
        if degree == 2 and is_exact(value) and value >= 0:
            ratio = Fraction(value)
            top, bottom = math.isqrt(ratio.numerator), math.isqrt(ratio.denominator)
            if top * top == ratio.numerator and bottom * bottom == ratio.denominator:
                return Fraction(top, bottom)
        return self.power(value, 1 / Fraction(degree))

    def magnitude(self, value: Value) -> Value:
        """The absolute value."""
        return abs(value)

    def function(self, name: str, value: Value) -> Value:
        """A function of a value."""
        x = self.inexact(value)
        self._bounded(x)
        if x == 0 and name in ("ln", "log"):
            raise Unreadable("logarithm of zero")
        self.extreme = self.extreme or (name == "exp" and abs(x) > self.digits)
        return _FUNCTIONS[name](self._mp, x)

    def logarithm(self, value: Value, base: Value) -> Value:
        """The logarithm to a base. Raises Unreadable for a base that has none."""
        if base == 0 or base == 1:
            raise Unreadable("base of a logarithm")
        return self.divide(self.function("ln", value), self.function("ln", base))

    def constant(self, name: str) -> Value:
        """One of `CONSTANTS`, or ``degree``."""
        return _CONSTANTS[name](self._mp)

    @staticmethod
    def _bounded(value: Any) -> None:
        if abs(value) > MAX_ARGUMENT:
            raise Unreadable("too large")


@lru_cache(maxsize=len(DIGITS))
def field(digits: int) -> Field:
    """The arithmetic of so many digits. Use it while holding `computing`."""
    return Field(digits)


def computing() -> threading.RLock:
    """The lock to hold while fields compute."""
    return _LOCK


def natural(value: Value, limit: int) -> int:
    """A natural number up to a limit. Raises Unreadable."""
    if not is_exact(value) or value.denominator != 1 or not 0 <= value <= limit:
        raise Unreadable("not a small natural number")
    return int(value)


def factorial(value: Value) -> int:
    """n!"""
    return math.factorial(natural(value, MAX_FACTORIAL))


def binomial(top: Value, bottom: Value) -> int:
    """n over k."""
    return math.comb(natural(top, MAX_FACTORIAL), natural(bottom, MAX_FACTORIAL))


def same(a: Callable[[Field], Value], b: Callable[[Field], Value]) -> bool:
    """Whether two computations have the same value. Raises what they raise.

    >>> same(lambda f: f.plus(1, f.power(f.constant("e"), -40)), lambda f: 1)
    False
    """
    with _LOCK:
        for digits in DIGITS:
            field(digits).extreme = False
            grade = _compared(a(field(digits)), b(field(digits)), digits)
            if grade is not None:
                return grade
    return True


def _compared(x: Value, y: Value, digits: int) -> bool | None:
    """Whether two values of so many digits are equal; None: more digits will tell."""
    if is_exact(x) and is_exact(y):
        return bool(x == y)
    here = field(digits)
    x, y = here.inexact(x), here.inexact(y)
    size, gap = max(abs(x), abs(y)), abs(x - y)
    if gap != gap or size == math.inf:
        raise Unreadable("no number")
    ten = here.inexact(10)
    if gap <= size * ten ** -(digits * 4 // 5):
        return None if digits == DIGITS[0] or here.extreme else True
    if size < ten ** -(digits * 3 // 4):
        return None  # perhaps both are zero
    return False if digits > DIGITS[0] or gap > size * ten**-10 else None
