"""Finding the answer a response ends on.

Each extractor returns an ``Extraction`` (value, rule, span) or None. The last answer wins:
models reconsider. Rules in ``STRICT`` saw the answer announced; the others are lenient readings
and say so. Every pattern is linear and the end of a text is looked at first, so a megabyte of rambling
costs milliseconds.
"""

from __future__ import annotations

import re
from functools import lru_cache

from ..types import Extraction
from . import numbers

STRICT = frozenset(
    {"answer_line", "answer_is", "boxed", "hashes", "answer_tag", "pattern", "whole"}
)
"""Rules under which the answer was announced as such."""

PREFIXES = ("Answer", "Final Answer")
TAIL = 2_000
"""Characters looked at first; only if nothing is announced there is the rest searched."""
MAX_LINE = 600
"""An answer is taken from at most this much text after its announcement."""

_MARKUP = r"[ \t*_`#>\"“'(\[]{0,8}"
_WRAPPED = re.compile(
    r"\$\$?(.*?)\$?\$$|\\\((.*)\\\)$|\\\[(.*)\\\]$|\\(?:boxed|fbox|text|textbf|mathrm|mathbf)\s?\{([^{}]*)\}$",
    re.DOTALL,
)
# A full stop ends the answer unless it belongs to a number or an abbreviation (St. J. Dr.).
_STOP = re.compile(r"(?:(?<=[^\W\d_]{3})|(?<=[\d)\]}$%*°\"”]))[.!?。](?=[\s*]|$)|[。]")


def span_of(match: re.Match[str], group: int | str = 0) -> tuple[int, int]:
    """The span of a group as journaled."""
    return match.start(group), match.end(group)


def last_match(pattern: re.Pattern[str], text: str) -> re.Match[str] | None:
    """The last match, looking at the end of the text first."""
    found = None
    if len(text) > 2 * TAIL:
        for found in pattern.finditer(text, text.rfind("\n", 0, -TAIL) + 1 or len(text) - TAIL):
            pass
    if found is None:
        for found in pattern.finditer(text):
            pass
    return found


def clean(value: str) -> str:
    """An answer without markdown, quotes, math delimiters and a closing full stop.

    >>> clean("**$42$**."), clean(r"\\\\(\\\\boxed{x+1}\\\\)."), clean("St. John's")
    ('42', 'x+1', "St. John's")
    """
    while True:
        before = value
        value = value.strip().strip("*`").strip()
        if value.endswith((".", "。", ",", ";")) and not value.endswith(("...", "\\,", "\\;")):
            value = value[:-1].rstrip()
        if len(value) > 1 and value[0] + value[-1] in ('""', "''", "“”", "‘’", "__"):
            value = value[1:-1]
        if value[:1] in ("$", "\\") and (wrapped := _WRAPPED.match(value)):
            inner = next(group for group in wrapped.groups() if group is not None)
            value = inner if inner.count("$") % 2 == 0 and inner.strip() else value
        if value == before:
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
    words = "|".join(re.escape(word) for word in sorted(prefixes, key=len, reverse=True))
    return re.compile(
        rf"(?<!\w)(?:{words})[ \t]{{0,3}}[*_`\"]{{0,3}}[ \t]{{0,3}}[:：=][ \t]{{0,3}}[*_]{{0,3}}[ \t]{{0,9}}"
        rf"(?:\n[ \t\n]{{0,9}})?(?P<value>[^\n]{{1,{MAX_LINE}}})",
        re.IGNORECASE,
    )


def answer_line(
    text: str, pattern: str | None = None, prefixes: tuple[str, ...] = PREFIXES
) -> Extraction | None:
    """What the last ``Answer: ...`` line says, or the last match of your own pattern.

    A pattern's first group is the value (the whole match without groups). The value may stand on the next line.

    >>> answer_line("Answer: 3\\\\n**Final Answer:** 42").value
    '42'
    """
    if pattern is not None:
        match = last_match(_compiled(pattern), text)
        group = 1 if match is not None and match.re.groups else 0
        if match is None or match[group] is None:
            return None
        return _extraction(text, match.start(group), match.end(group), "pattern")
    match = last_match(_line_pattern(prefixes), text)
    if match is None:
        return None
    return _extraction(text, match.start("value"), match.end("value"), "answer_line")


@lru_cache(maxsize=64)
def _compiled(pattern: str) -> re.Pattern[str]:
    return re.compile(pattern)


_ANSWER_IS = re.compile(
    r"\b(?:answer|result|solution)s?(?:[ \t](?:to|of|for)[ \t][^\n.:]{1,80}?)?[ \t](?:is|are|would be|will be|must be|should be)"
    rf"\b(?:[ \t](?:therefore|thus|then|simply|indeed|equal to))?[ \t]?(?:[:：][ \t*]{{0,4}}(?:\n[ \t\n]{{0,9}})?)?[ \t]{{0,4}}(?P<value>[^\n]{{1,{MAX_LINE}}})",
    re.IGNORECASE,
)
_HASHES = re.compile(rf"####[ \t]{{0,9}}(?P<value>[^\n]{{1,{MAX_LINE}}})")
_ANSWER_TAG = re.compile(r"<answer>(?P<value>[^<]{0,2000})</answer>", re.IGNORECASE)
_A_LINE = re.compile(
    rf"^[ \t*]{{0,4}}A[ \t]?:[ \t]{{0,4}}(?P<value>[^\n]{{1,{MAX_LINE}}})", re.MULTILINE
)


def boxed(text: str) -> Extraction | None:
    r"""Content of the last ``\\boxed{...}`` with balanced braces.

    >>> boxed(r"\\boxed{1} then \\boxed{\\frac{1}{2}}").value
    '\\frac{1}{2}'
    """
    end = len(text)
    while (at := max(text.rfind("\\boxed", 0, end), text.rfind("\\fbox", 0, end))) >= 0:
        end = at
        start = at + (6 if text.startswith("\\boxed", at) else 5)
        while text.startswith(" ", start):
            start += 1
        if not text.startswith("{", start):
            if short := re.compile(r"-?\w").match(text, start):
                return Extraction(value=short[0], rule="boxed", span=span_of(short))
            continue
        stop = _closing_brace(text, start)
        value = text[start + 1 : stop].strip() if stop else ""
        if stop and value:
            return Extraction(value=value, rule="boxed", span=(start + 1, stop))
    return None


def _closing_brace(text: str, start: int) -> int | None:
    depth = 0
    for match in re.compile(r"\\.|[{}]", re.DOTALL).finditer(text, start, start + 20_000):
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
    text: str, prefixes: tuple[str, ...] = PREFIXES, *, a_line: bool = False
) -> Extraction | None:
    """The answer announced last, by whichever rule: ``Answer:``, ``the answer is``, ``####``,
    ``\\\\boxed{}``, ``<answer>``; with ``a_line`` also a line ``A: ...`` (lenient).

    >>> final_answer("The answer is 5. No: the answer is 6.").value
    '6'
    """
    found: list[tuple[int, Extraction | None]] = []
    box = boxed(text) if "\\boxed" in text or "\\fbox" in text else None
    if box:
        found.append((box.span[0], box))
    if match := last_match(_line_pattern(prefixes), text):
        line = _extraction(text, match.start("value"), match.end("value"), "answer_line")
        found.append((match.start("value"), line))
    if match := last_match(_ANSWER_IS, text):
        stop = _sentence(text, match.start("value"), match.end("value"))
        said = _extraction(text, match.start("value"), stop, "answer_is")
        found.append((match.start("value"), said))
    if "####" in text and (match := last_match(_HASHES, text)):
        hashes = _extraction(text, match.start("value"), match.end("value"), "hashes")
        found.append((match.start("value"), hashes))
    if "nswer>" in text and (match := last_match(_ANSWER_TAG, text)):
        tag = _extraction(text, match.start("value"), match.end("value"), "answer_tag")
        found.append((match.start("value"), tag))
    if a_line and (match := last_match(_A_LINE, text)):
        found.append((match.start("value"), _extraction(text, *span_of(match, "value"), "a_line")))
    return max((f for f in found if f[1]), key=lambda f: f[0], default=(0, None))[1]


def last_number(text: str, locale: str | None = None) -> Extraction | None:
    """The last number in a text (lenient), as it is written.

    >>> last_number("first 5, then 7, so 12 apples in total").value
    '12'
    """
    return _number_near_end(text, 0, len(text), "last_number")


def _number_near_end(text: str, start: int, stop: int, rule: str) -> Extraction | None:
    found = None
    for window in (200, TAIL, stop - start):
        for found in numbers.PATTERN.finditer(text, max(start, stop - window), stop):
            pass
        if found or window >= stop - start:
            break
    if found is None:
        return None
    return Extraction(value=found[0].strip(), rule=rule, span=span_of(found))


def number(
    text: str, prefixes: tuple[str, ...] = PREFIXES, *, lenient: bool = True
) -> Extraction | None:
    """The number a response ends on: announced, else (lenient) the last one in the text.

    In an announcement such as ``5 + 7 = 12 apples`` the first number after the last ``=`` counts.

    >>> number("#### 1,200 dollars").value, number("the answer is 5 + 7 = 12 of 20").value
    ('1,200', '12')
    """
    said = final_answer(text, prefixes, a_line=lenient)
    if said is not None:
        start, stop = said.span
        stop = _sentence(text, start, stop)
        start = max(start, text.rfind("=", start, stop) + 1)
        if first := numbers.PATTERN.search(text, start, stop):
            return Extraction(value=first[0].strip(), rule=said.rule, span=span_of(first))
    return last_number(text) if lenient else None
