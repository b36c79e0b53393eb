"""Numbers as people write them, compared exactly.

Digits of any script, thousands separators, decimal commas, U+2212, fractions, mixed numbers,
percent, scientific notation. Values are ``int`` or ``Fraction``: 10 is not 100, and 1/3 is not
0.333 unless a tolerance is asked for. ``extract`` finds numbers in texts with this ``PATTERN``.
"""

from __future__ import annotations

import re
from fractions import Fraction
from math import isfinite
from typing import NamedTuple

from ..types import Json
from .late import late_pattern
from .scales import PATTERN as SCALE
from .scales import SIGNS, factor

_SPACES = "\u00a0\u2007\u202f\u2009"
_SIGN = "[-+−－]"
# One separator of thousands: plain, or as LaTeX writes it (1{,}234  1,\!234  1\!,\!234  1\,234).
_GROUP = rf"(?:\\!,\\!|\\!,|,\\!|\{{,\}}|\\[,;]|[,.'’٬，{_SPACES}])"
_INTEGER = (
    rf"\d{{1,3}}(?:{_GROUP}\d{{3}}){{1,40}}(?!\d)|\d{{1,3}}(?: \d{{3}}){{1,40}}(?!\d)"
    r"|\d{1,2}(?:,\d{2}){1,20},\d{3}(?!\d)|\d+"
)
_EXPONENT = (
    r"(?:\s?\^\s?(?:\{?[-−]?\d{1,4}\}?|\([-−]?\d{1,4}\))|\*\*\s?[-−]?\d{1,4}|⁻?[⁰¹²³⁴-⁹]{1,4})"
)
_TIMES = r"\s?(?:×|\\times|\\cdot|[·⋅*x])\s?10(?=\s?\^|\*\*|⁻?[⁰¹²³⁴-⁹])"
_POWER = rf"(?:[eE][-+−]?\d{{1,4}}(?!\w)|(?:{_TIMES})?{_EXPONENT})"
NUMBER = (
    rf"(?:(?:{_INTEGER})(?:[.,٫．]\d+)?|[.٫．]\d+)(?:{_POWER})?"
    r"(?:\s?/\s?\d+(?![\d/]|[.,]\d))?"
)
FRACTION = r"\\[dtc]?frac\s?(?:\{\s?(-?\d+)\s?\}|(\d))\s?(?:\{\s?(\d+)\s?\}|(\d))"
CURRENCY = r"(?:\\?\$|[€£¥₹₽₩฿]|US\$|USD|EUR|Rs\.?)"
_MIXED = rf"(?P<mixed>\d+)(?:\s?(?={FRACTION})|(?:\s| and )(?=\d+/\d+(?![\d/])))"

PATTERN = late_pattern(
    rf"(?<![\dA-Za-z^_.])(?<!\^\{{)(?P<body>(?:(?<![\dA-Za-z)\]}}$%€£])(?P<sign>{_SIGN})\s?)?"
    rf"(?:(?P<currency>{CURRENCY})\s?(?P<inner>{_SIGN})?)?(?:{_MIXED})?"
    rf"(?:{FRACTION}|(?P<plain>{NUMBER})))(?!\d|\s?\^(?!\s?\{{?\s?\\circ)|(?:st|nd|rd|th)\b)"
    rf"(?:{SCALE})?(?:\s?(?P<percent>\\?%|٪|％|percent\b|pct\b))?"
)
_WHOLE = late_pattern(
    rf"\s*(?P<sign>{_SIGN}|{SIGNS})?\s*(?P<currency>{CURRENCY})?\s*(?P<inner>{_SIGN})?"
    rf"(?:{_MIXED})?(?:{FRACTION}|(?P<plain>{NUMBER}))(?:{SCALE})?"
    r"\s*(?P<percent>\\?%|٪|％|percent\b|pct\b)?"
)
_UNIT = late_pattern(
    rf"\s*\.?\s*(?:{CURRENCY}|[°º]|\\?\^?\{{?\\circ\}}?|\\text\w*\s?\{{[^{{}}]*\}}"
    r"|\\mbox\s?\{[^{}]*\}"
    r"|[^\W\d_]++\.?[²³]?(?:\^\{?[-−]?\d\}?)?|/|\s|\\[ ,;!]|[,;!?。]|\$)*\s*"
)
MAX_DIGITS = 1000
"""Longer digit strings are not answers; the bound keeps arithmetic cheap."""
COMMA_LOCALES = frozenset(
    [
        "de",
        "fr",
        "es",
        "it",
        "pt",
        "nl",
        "pl",
        "ru",
        "uk",
        "cs",
        "sk",
        "sv",
        "da",
        "nb",
        "no",
        "fi",
        "tr",
        "id",
        "vi",
        "el",
        "ro",
        "hu",
        "bg",
    ]
)
_COMMA_ONLY_DECIMAL = late_pattern(r"\d+,\d+")
# 0,188 has no thousands to separate
_GROUPED = late_pattern(r"(?!0,)(?:\d{1,3}(?:,\d{3})+|\d{1,2}(?:,\d{2})+,\d{3})")
_DOT_GROUPED = late_pattern(r"\d{1,3}(?:\.\d{3})+")
_POWER_PARTS = late_pattern(
    rf"(?P<base>.*?)(?P<times>{_TIMES})?(?P<exponent>{_EXPONENT}|[eE].*)?", re.S
)
_SUPERSCRIPTS = str.maketrans("⁰¹²³⁴⁵⁶⁷⁸⁹⁻−", "0123456789--")


class Number(NamedTuple):
    """A value and whether it was written with a percent sign."""

    value: int | Fraction
    percent: bool = False

    @property
    def is_share(self) -> bool:
        """Whether the number may be read as a part of a whole."""
        return not self.percent and 0 < self.value < 1


def parse(text: Json, locale: str | None = None, *, units: bool = True) -> Number | None:
    """The number a whole string stands for, or None.

    ``locale`` (a language code) settles what ``1.234`` and ``1,234`` mean; without it the reading
    is English unless the shape itself says otherwise (``1.234,5``, ``12,5``). ``units`` allows
    trailing units and currencies.

    >>> parse("$1,234.50").value
    Fraction(2469, 2)
    >>> parse("1.234,5", "de").value
    Fraction(2469, 2)
    >>> parse("3/4").value
    Fraction(3, 4)
    >>> parse("abc") is None
    True
    """
    if not isinstance(text, str):
        return _from_json(text)
    text = text.strip()
    if text.isdecimal() and len(text) <= MAX_DIGITS:
        return Number(int(text))
    match = _WHOLE.match(text)
    if match is None or (not units and len((match["scale"] or "").strip()) == 1):
        return None
    rest = text[match.end() :]
    if rest and not (units and _UNIT.fullmatch(rest)) and rest.strip() != ".":
        return None
    return from_match(match, locale)


_CURRENCY = late_pattern(CURRENCY)
_MARKUP = late_pattern(r"\\[a-z]+|(?<=[\d.])(?:[eE](?=[-+\d])|\s?x\s?(?=10))")
_LETTER = late_pattern(r"[^\W\d_⁰¹²³⁴-⁹]")


def is_bare(text: str) -> bool:
    """Whether a text is a number and nothing else: no unit, currency or percent sign.

    >>> is_bare("1,234.5"), is_bare("$72"), is_bare("72%"), is_bare("72 apples")
    (True, False, False, False)
    """
    if text.isdecimal():
        return True
    number = parse(text, units=False)
    if number is None or number.percent or _CURRENCY.search(text) is not None:
        return False
    return _LETTER.search(_MARKUP.sub("", text)) is None


def _from_json(value: Json) -> Number | None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    if isinstance(value, int):
        return Number(value)
    return Number(Fraction(repr(value))) if isfinite(value) else None


def from_match(match: re.Match[str], locale: str | None = None) -> Number | None:
    """The value of a match of this module's patterns; None if it is no sound number."""
    value: int | Fraction | None
    if (plain := match["plain"]) is not None:
        value = plain_value(plain, locale)
    else:
        groups = match.groups()
        at = match.re.groupindex["plain"] - 5
        top, bottom = groups[at] or groups[at + 1], groups[at + 2] or groups[at + 3]
        value = _ratio(top, bottom)
    if value is None:
        return None
    if match["mixed"]:
        if value >= 1 and match["plain"] is not None:
            return None  # 5 12/7 is no mixed number
        value += int(match["mixed"])
    if (scale := match["scale"]) is not None:
        value *= factor(scale)
    negative = sum(1 for name in ("sign", "inner") if match[name] and match[name] not in "+")
    return Number(-value if negative % 2 else value, bool(match["percent"]))


def _ratio(top: str, bottom: str) -> Fraction | None:
    if len(top) + len(bottom) > MAX_DIGITS or int(bottom) == 0:
        return None
    return Fraction(int(top), int(bottom))


def plain_value(text: str, locale: str | None = None) -> int | Fraction | None:
    """Value of an unsigned number: groups, decimals, a power of ten, a fraction bar."""
    if text.isdecimal():
        return int(text) if len(text) <= MAX_DIGITS else None
    if len(text) > MAX_DIGITS:
        return None
    if "/" in text:
        top, bottom = text.split("/", 1)
        above, below = plain_value(top.strip(), locale), plain_value(bottom.strip(), locale)
        return None if above is None or not below else Fraction(above) / below
    parts = _POWER_PARTS.fullmatch(text)
    if parts is None or (value := _decimal(parts["base"], locale)) is None:
        return None
    if (power := parts["exponent"]) is None:
        return value
    exponent = int(power.translate(_SUPERSCRIPTS).strip("{}()^*eE+ \t"))
    if parts["times"] or power[0] in "eE":
        return None if abs(exponent) > MAX_DIGITS else Fraction(value) * Fraction(10) ** exponent
    if abs(exponent) * len(parts["base"]) > MAX_DIGITS or (not value and exponent < 0):
        return None
    return Fraction(value) ** exponent


def _decimal(text: str, locale: str | None) -> int | Fraction | None:
    digits = re.sub(rf"\\!,?(?:\\!)?|,\\!|\{{,\}}|\\[,;]|[٬，'’ {_SPACES}]", "", text)
    digits = digits.replace("٫", ".").replace("．", ".") if "," not in digits else digits
    if "," in digits and "." in digits:
        # both separators: the last one is the decimal mark
        group, mark = (",", ".") if digits.rfind(".") > digits.rfind(",") else (".", ",")
        digits = digits.replace(group, "").replace(mark, ".", 1)
    elif "," in digits:
        grouped = _GROUPED.fullmatch(digits)
        if (locale in COMMA_LOCALES or not grouped) and _COMMA_ONLY_DECIMAL.fullmatch(digits):
            digits = digits.replace(",", ".")
        elif grouped:
            digits = digits.replace(",", "")
        else:
            return None
    elif locale in COMMA_LOCALES and _DOT_GROUPED.fullmatch(digits):
        digits = digits.replace(".", "")
    elif digits.count(".") > 1:
        if not _DOT_GROUPED.fullmatch(digits):
            return None
        digits = digits.replace(".", "")
    whole, _, part = digits.partition(".")
    try:
        return Fraction(int((whole + part) or "0"), 10 ** len(part)) if part else int(whole or "0")
    except ValueError:
        return None


def same(a: Number, b: Number, tolerance: float = 0) -> bool:
    """Whether two numbers are equal; ``75%`` equals ``75``, and ``0.75`` as a share."""
    if a.value == b.value or (tolerance and abs(Fraction(a.value) - b.value) <= tolerance):
        return True
    if a.percent and b.is_share:
        return _close(Fraction(a.value) / 100, b.value, tolerance)
    if b.percent and a.is_share:
        return _close(Fraction(b.value) / 100, a.value, tolerance)
    return False


def _close(a: int | Fraction, b: int | Fraction, tolerance: float) -> bool:
    return abs(Fraction(a) - b) <= tolerance if tolerance else a == b


def equal(a: Json, b: Json, *, tolerance: float = 0, locale: str | None = None) -> bool:
    """Whether two written numbers are equal. Anything that is not a number equals nothing.

    >>> equal("10", "100"), equal("1,234", 1234), equal("75%", "0.75"), equal("1/3", "0.333")
    (False, True, True, False)
    """
    if a == b and isinstance(a, str) and a.isdecimal():
        return True
    first, second = parse(a, locale), parse(b, locale)
    return first is not None and second is not None and same(first, second, tolerance)
