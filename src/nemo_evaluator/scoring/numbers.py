"""Numbers as people and models write them, compared exactly: 10 is not 100, 1/3 is not 0.333.

Digits of any script, thousands separators of any habit, Unicode minus, fractions, mixed numbers,
percent, scientific notation. Everything becomes a ``Fraction``.
"""

from __future__ import annotations

import re
import unicodedata
from fractions import Fraction
from typing import NamedTuple

COMMA_DECIMAL = {"de", "fr", "es", "ru", "it", "pt", "nl", "pl", "cs", "da", "fi", "sv", "no", "tr"}
"""Languages whose decimal separator is the comma."""

_SAME_LENGTH = str.maketrans(
    {
        "\u2212": "-", "\u2013": "-", "\u2010": "-", "\u2011": "-", "\ufe63": "-", "\uff0d": "-",
        "\uff0c": ",", "\u066c": ",", "\u066b": ".", "\uff0e": ".", "\uff0f": "/", "\u2044": "/",
        "\uff05": "%", "\u066a": "%", "\u00a0": " ", "\u202f": " ", "\u2009": " ", "\uff0b": "+",
    }
)  # fmt: skip
TOKEN = re.compile(
    r"(?<![\w.])(?P<sign>[-+]?)[ ]?(?:[$€£¥₹]|\\\$)?[ ]?"
    r"(?P<body>\d{1,3}(?:[,'’]\d{2,3})+(?:\.\d+)?|\d{1,3}(?:\.\d{3}){2,}(?:,\d+)?"
    r"|\d{1,3}(?:\.\d{3})+,\d+|\d+(?:[.,]\d+)?|\.\d+)"
    r"(?P<exp>[eE][-+]?\d{1,4})?(?P<over>[ ]?/[ ]?\d+(?:\.\d+)?)?(?P<percent>[ ]?\\?%)?"
)
WHOLE_SPACED = re.compile(r"[-+]?\d{1,3}(?: \d{3})+(?:[.,]\d+)?")
MIXED = re.compile(r"([-+]?)(\d+)\s+(\d+)\s*/\s*(\d+)")
MAX_DIGITS = 400
"""Beyond this a run of digits is noise, not an answer."""


class Number(NamedTuple):
    """A number found in a text."""

    value: Fraction
    percent: bool
    span: tuple[int, int]


def fold(text: str) -> str:
    """The text with ASCII digits, signs and separators; every offset stays what it was."""
    if text.isascii():
        return text
    text = text.translate(_SAME_LENGTH)
    if not any(ord(c) > 127 and c.isdecimal() for c in text):
        return text
    return "".join(
        str(unicodedata.decimal(c)) if ord(c) > 127 and c.isdecimal() else c for c in text
    )


def find_all(text: str, *, language: str | None = None) -> list[Number]:
    """All numbers of a text, in order."""
    return [n for match in TOKEN.finditer(fold(text)) if (n := _number(match, language))]


def first(text: str, *, language: str | None = None) -> Number | None:
    """The first number of a text."""
    for match in TOKEN.finditer(fold(text)):
        if number := _number(match, language):
            return number
    return None


def parse(text: str, *, language: str | None = None) -> Number | None:
    """The number a short text is, units and currency around it ignored; None if there is none, or
    if there are several different ones."""
    folded = fold(text).strip()
    if match := MIXED.fullmatch(folded):
        sign, whole, over, under = match.groups()
        if int(under):
            value = int(whole) + Fraction(int(over), int(under))
            return Number(-value if sign == "-" else value, False, (0, len(text)))
    if WHOLE_SPACED.fullmatch(folded):
        folded = folded.replace(" ", "")
    numbers = find_all(folded, language=language)
    values = {number.value for number in numbers}
    return numbers[0] if len(values) == 1 else None


def equal(answer: Number, target: Fraction, *, tolerance: float = 0.0) -> bool:
    """Exact equality (or within an absolute tolerance). ``75%`` equals 0.75 where the target is a
    share, that is strictly between -1 and 1 and not 0."""
    if abs(answer.value - target) <= Fraction(tolerance):
        return True
    is_share = target != 0 and abs(target) < 1
    return answer.percent and is_share and abs(answer.value / 100 - target) <= Fraction(tolerance)


def _number(match: re.Match[str], language: str | None) -> Number | None:
    body = match["body"]
    if len(body) > MAX_DIGITS:
        return None
    value = Fraction(_plain(body, language) + (match["exp"] or ""))
    if match["over"]:
        under = Fraction(match["over"].strip(" /"))
        if under == 0:
            return None
        value /= under
    if match["sign"] == "-":
        value = -value
    start = match.start("sign")
    return Number(value, bool(match["percent"]), (start, match.end()))


def _plain(body: str, language: str | None) -> str:
    """Digits with at most one decimal point."""
    body = body.replace("'", "").replace("’", "")
    commas, points = body.count(","), body.count(".")
    if commas and points:
        if body.rindex(",") > body.rindex("."):
            return body.replace(".", "").replace(",", ".")
        return body.replace(",", "")
    if commas:
        head, _, tail = body.rpartition(",")
        grouped = len(tail) == 3 and head.lstrip("0") and len(head.split(",")[0]) <= 3
        return body.replace(",", "") if commas > 1 or grouped else f"{head}.{tail}"
    if points > 1:
        return body.replace(".", "")
    if points and language in COMMA_DECIMAL and re.fullmatch(r"[1-9]\d{0,2}\.\d{3}", body):
        return body.replace(".", "")
    return body if not body.startswith(".") else f"0{body}"
