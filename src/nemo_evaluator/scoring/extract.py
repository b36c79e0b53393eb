"""Finding the answer a response ends on.

Each extractor returns an ``Extraction`` (value, rule, span) or None. The last answer wins: models
reconsider. Rules in ``STRICT`` saw the answer announced; the others are lenient readings and say
so. Texts are searched from the end by plain substring search, and a pattern only ever looks at a
bounded stretch, so a megabyte of rambling costs milliseconds.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from functools import lru_cache

from ..types import Extraction
from . import numbers

STRICT = frozenset(
    {"answer_line", "answer_is", "boxed", "hashes", "answer_tag", "pattern", "whole"}
)
"""Rules under which the answer was announced as such."""

PREFIXES = ("Answer", "Final Answer")
SHORT = 60
"""A longer text is not one number."""
MAX_LINE = 600
"""An answer is taken from at most this much text after its announcement."""
TAIL = 2_000
"""Characters a whole-text pattern looks at first."""

_WRAPPED = re.compile(
    r"\$\$?(.*?)\$?\$$|\\\((.*)\\\)$|\\\[(.*)\\\]$"
    r"|\\(?:boxed|fbox|text|textbf|mathrm|mathbf)\s?\{([^{}]*)\}$",
    re.DOTALL,
)
# A full stop ends the answer unless it belongs to a number or an abbreviation (St. J. Dr.).
_STOP = re.compile(r"(?:(?<=[^\W\d_]{3})|(?<=[\d)\]}$%*°\"”]))[.!?](?=[\s*]|$)|。")
_VALUE = rf"(?P<value>[^\n]{{1,{MAX_LINE}}})"
_NEXT_LINE = r"(?:\n[ \t\n]{0,9})?"
_IS = r"(?:is|are|would be|will be|must be|should be)"
_ANSWER_IS = re.compile(
    r"(?<![^\W_])(?:answer|result|solution)s?(?:[ \t](?:to|of|for)[ \t][^\n.:]{1,80}?)?"
    rf"[ \t]{_IS}\b(?:[ \t](?:therefore|thus|then|simply|indeed|equal to))?"
    rf"[ \t]?(?:[:：][ \t*]{{0,4}}{_NEXT_LINE})?[ \t]{{0,4}}{_VALUE}",
    re.IGNORECASE,
)
_ANSWER_WORDS = ("answer", "result", "solution")
_HASHES = re.compile(rf"####[ \t]{{0,9}}{_VALUE}")
_ANSWER_TAG = re.compile(r"<answer>(?P<value>[^<]{0,2000})</answer>", re.IGNORECASE)
_A_LINE = re.compile(rf"(?m:^)[ \t*]{{0,4}}A[ \t]?:[ \t]{{0,4}}{_VALUE}")
_WRAPPERS = 8  # layers of markup around one answer
_BOXES = 8  # unreadable boxes to pass over before giving up
_BRACES = re.compile(r"\\.|[{}]", re.DOTALL)
_BARE_BOX = re.compile(r"-?\w")


def last_match(pattern: re.Pattern[str], text: str) -> re.Match[str] | None:
    """The last match of a whole-text pattern, looking at the end of the text first."""
    found = None
    if len(text) > 2 * TAIL:
        start = text.rfind("\n", 0, -TAIL) + 1 or len(text) - TAIL
        for found in pattern.finditer(text, start):  # noqa: B007
            pass
    if found is None:
        for found in pattern.finditer(text):  # noqa: B007
            pass
    return found


def lowered(text: str) -> str:
    """Lower case with unchanged offsets (a few letters grow when lowered: those texts stay)."""
    lower = text.lower()
    return lower if len(lower) == len(text) else text


def last_after(
    words: tuple[str, ...], pattern: re.Pattern[str], text: str, lower: str
) -> re.Match[str] | None:
    """The last match of a pattern that starts at one of ``words`` (in lower case)."""
    best, floor = None, 0
    for word in words:
        end = len(lower)
        while (at := lower.rfind(word, floor, end)) >= 0:
            if match := pattern.match(text, at):
                best, floor = match, at
                break
            end = at + len(word) - 1
    return best


def clean(value: str) -> str:
    r"""An answer without markdown, quotes, math delimiters and a closing full stop.

    >>> clean("**$42$**."), clean(r"\(\boxed{x+1}\)."), clean("St. John's")
    ('42', 'x+1', "St. John's")
    """
    before = None
    for _ in range(_WRAPPERS):
        if value == before:
            break
        before = value
        value = value.strip(" \t\r\n\u00a0*`")
        if value.endswith((".", "。", ",", ";")) and not value.endswith(("...", "\\,", "\\;")):
            value = value[:-1].rstrip()
        if len(value) > 1 and value[0] + value[-1] in ('""', "''", "“”", "‘’", "__"):
            value = value[1:-1]
        if value[:1] in ("$", "\\") and (wrapped := _WRAPPED.match(value)):
            inner = next(group for group in wrapped.groups() if group is not None)
            value = inner if inner.count("$") % 2 == 0 and inner.strip() else value
    return value


def _extraction(text: str, start: int, stop: int, rule: str) -> Extraction | None:
    raw = text[start:stop]
    value = clean(raw)
    if not value:
        return None
    at = raw.find(value)
    if at >= 0:
        start, stop = start + at, start + at + len(value)
    return Extraction(value=value, rule=rule, span=(start, stop))


@lru_cache(maxsize=64)
def _line_pattern(prefixes: tuple[str, ...]) -> re.Pattern[str]:
    words = "|".join(
        # scripts from Thai on write words without spaces between them
        (r"(?<![^\W_])" if word[:1] < "\u0e00" else "") + re.escape(word)
        for word in sorted(prefixes, key=len, reverse=True)
    )
    return re.compile(
        rf"(?:{words})[ \t]{{0,3}}[*_`\"]{{0,3}}[ \t]{{0,3}}[:：=]"
        rf"[ \t]{{0,3}}[*_]{{0,3}}[ \t]{{0,9}}{_NEXT_LINE}{_VALUE}",
        re.IGNORECASE,
    )


@lru_cache(maxsize=64)
def _line_words(prefixes: tuple[str, ...]) -> tuple[str, ...]:
    lower = {prefix.lower() for prefix in prefixes}
    # "final answer" ends in "answer": one search finds both
    return tuple(w for w in lower if not any(w != v and w.endswith(v) for v in lower))


def _line(text: str, prefixes: tuple[str, ...], lower: str) -> Extraction | None:
    match = last_after(_line_words(prefixes), _line_pattern(prefixes), text, lower)
    return match and _extraction(text, *match.span("value"), "answer_line")


@lru_cache(maxsize=64)
def compiled(pattern: str) -> re.Pattern[str]:
    """A user's pattern, compiled once."""
    return re.compile(pattern)


def answer_line(
    text: str, pattern: str | None = None, prefixes: tuple[str, ...] = PREFIXES
) -> Extraction | None:
    r"""What the last ``Answer: ...`` line says, or the last match of your own pattern.

    A pattern's first group is the value (the whole match without groups). The value may stand on
    the next line.

    >>> answer_line("Answer: 3\n**Final Answer:** 42").value
    '42'
    """
    if pattern is None:
        return _line(text, prefixes, lowered(text))
    match = last_match(compiled(pattern), text)
    group = 1 if match is not None and match.re.groups else 0
    if match is None or match[group] is None:
        return None
    return _extraction(text, *match.span(group), "pattern")


def boxed(text: str) -> Extraction | None:
    r"""Content of the last ``\boxed{...}`` with balanced braces.

    >>> boxed(r"\boxed{1} then \boxed{\frac{1}{2}}").value
    '\\frac{1}{2}'
    """
    end = len(text)
    for _ in range(_BOXES):
        at = max(text.rfind("\\boxed", 0, end), text.rfind("\\fbox", 0, end))
        if at < 0:
            return None
        end, start = at, text.find("x", at) + (3 if text.startswith("\\boxed", at) else 1)
        while text.startswith(" ", start):
            start += 1
        if not text.startswith("{", start):
            if short := _BARE_BOX.match(text, start):
                return Extraction(value=short[0], rule="boxed", span=short.span())
        elif (stop := _closing_brace(text, start)) and (value := text[start + 1 : stop].strip()):
            return Extraction(value=value, rule="boxed", span=(start + 1, stop))
    return None


def _closing_brace(text: str, start: int) -> int | None:
    depth = 0
    for match in _BRACES.finditer(text, start, start + 4_000):
        if match[0] == "{":
            depth += 1
        elif match[0] == "}":
            depth -= 1
            if depth == 0:
                return match.start()
    return None


def _sentence(text: str, start: int, stop: int) -> int:
    found = _STOP.search(text, start, stop)
    return found.start() if found and found.start() > start else stop


def final_answer(
    text: str,
    prefixes: tuple[str, ...] = PREFIXES,
    *,
    a_line: bool = False,
    rules: Collection[str] = STRICT,
) -> Extraction | None:
    r"""The answer announced last, by whichever of ``rules``.

    ``Answer:``, ``the answer is``, ``####``, ``\boxed{}``, ``<answer>``; with ``a_line`` also
    (lenient) a line ``A: ...``.

    >>> final_answer("The answer is 5. No: the answer is 6.").value
    '6'
    """
    lower = lowered(text)
    found = []
    if "answer_line" in rules:
        found.append(_line(text, prefixes, lower))
    if "answer_is" in rules:
        found.append(_said(text, lower))
    if "boxed" in rules and ("\\boxed" in text or "\\fbox" in text):
        found.append(boxed(text))
    for needle, pattern, rule in (
        ("####", _HASHES, "hashes"),
        ("<answer>", _ANSWER_TAG, "answer_tag"),
    ):
        if (
            rule in rules
            and needle in lower
            and (match := last_after((needle,), pattern, text, lower))
        ):
            found.append(_extraction(text, *match.span("value"), rule))
    if a_line and "A" in text and (match := last_after(("a:", "a :"), _A_LINE, text, lower)):
        found.append(_extraction(text, *match.span("value"), "a_line"))
    return max((f for f in found if f), key=lambda f: f.span, default=None)


def _said(text: str, lower: str) -> Extraction | None:
    match = last_after(_ANSWER_WORDS, _ANSWER_IS, text, lower)
    if match is None:
        return None
    start, stop = match.span("value")
    return _extraction(text, start, _sentence(text, start, stop), "answer_is")


def last_number(text: str) -> Extraction | None:
    """The last number in a text (lenient), as it is written.

    >>> last_number("first 5, then 7, so 12 apples in total").value
    '12'
    """
    found, length = None, len(text)
    for window in (200, TAIL, length):
        for found in numbers.PATTERN.finditer(text, max(0, length - window)):  # noqa: B007
            pass
        if found or window >= length:
            break
    return found and Extraction(value=found[0].strip(), rule="last_number", span=found.span())


def number(
    text: str, prefixes: tuple[str, ...] = PREFIXES, *, lenient: bool = True
) -> Extraction | None:
    """The number a response ends on: announced, else (lenient) the last one in the text.

    In an announcement such as ``5 + 7 = 12 apples`` the first number after the last ``=`` counts.

    >>> number("#### 1,200 dollars").value, number("the answer is 5 + 7 = 12 of 20").value
    ('1,200', '12')
    """
    return number_of(text, final_answer(text, prefixes, a_line=lenient), lenient=lenient)


def number_of(text: str, said: Extraction | None, *, lenient: bool = True) -> Extraction | None:
    """The number in what was announced, else a number that is all there is, else (lenient) the
    last one in the text."""
    if said is not None:
        if numbers.is_bare(said.value):
            return said
        start, stop = said.span
        stop = _sentence(text, start, stop)
        start = max(start, text.rfind("=", start, stop) + 1)
        if first := numbers.PATTERN.search(text, start, stop):
            return Extraction(value=first[0].strip(), rule=said.rule, span=first.span())
    if len(text) < SHORT and numbers.is_bare(value := text.strip()):
        start = text.find(value)
        return Extraction(value=value, rule="whole", span=(start, start + len(value)))
    return last_number(text) if lenient else None
