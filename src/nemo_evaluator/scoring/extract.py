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
from .announcements import ANSWER, FILLERS, alternation
from .late import late_pattern

STRICT = frozenset(
    {
        "answer_line",
        "answer_is",
        "other_language",
        "boxed",
        "hashes",
        "answer_tag",
        "pattern",
        "whole",
    }
)
"""Rules under which the answer was announced as such."""

PREFIXES = ("Answer", "Final Answer")
"""What an answer line begins with."""
SHORT = 60
"""A longer text is not one number."""
MAX_LINE = 600
"""An answer is taken from at most this much text after its announcement."""
TAIL = 2_000
"""Characters a whole-text pattern looks at first."""

_WRAPPED = late_pattern(
    r"\$\$?(.*?)\$?\$$|\\\((.*)\\\)$|\\\[(.*)\\\]$"
    r"|\\(?:boxed|fbox|text|textbf|mathrm|mathbf)\s?\{([^{}]*)\}$",
    re.DOTALL,
)
# A full stop ends the answer unless it belongs to a number or an abbreviation (St. J. Dr.).
_STOP = late_pattern(r"(?:(?<=[^\W\d_]{3})|(?<=[\d)\]}$%*°\"”]))[.!?](?=[\s*]|$)|。")
_VALUE = rf"(?P<value>[^\n]{{1,{MAX_LINE}}})"
_NEXT_LINE = r"(?:\n[ \t\n]{0,9})?"
_IS = r"(?:is|are|would be|will be|must be|should be)"
_ANSWER_IS = late_pattern(
    r"(?<![^\W_])(?:answer|result|solution)s?(?:[ \t](?:to|of|for)[ \t][^\n.:]{1,80}?)?"
    rf"[ \t]{_IS}\b(?:[ \t](?:therefore|thus|then|simply|indeed|equal to))?"
    rf"[ \t]?(?:[:：][ \t*]{{0,4}}{_NEXT_LINE})?[ \t]{{0,4}}{_VALUE}",
    re.IGNORECASE,
)
_ANSWER_WORDS = ("answer", "result", "solution")
_HASHES = late_pattern(rf"####[ \t]{{0,9}}{_VALUE}")
_ANSWER_TAG = late_pattern(r"<answer>(?P<value>[^<]{0,2000})</answer>", re.IGNORECASE)
_A_LINE = late_pattern(rf"(?m:^)[ \t*]{{0,4}}A[ \t]?:[ \t]{{0,4}}{_VALUE}")
_WRAPPERS = 8  # layers of markup around one answer
_BOXES = 8  # unreadable boxes to pass over before giving up
_BRACES = late_pattern(r"\\.|[{}]", re.DOTALL)
EMPTY_BOX = late_pattern(r"\\f?box(?:ed)?\s*\{\s*\}")
_BARE_BOX = late_pattern(r"-?(?:\d+(?:[.,/]\d+)*|\\d?frac(?:\{[^{}]*\}|\d){2}|\w)")


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
    words: tuple[str, ...], pattern: re.Pattern[str], text: str, lower: str, end: int | None = None
) -> re.Match[str] | None:
    """The last match of a pattern that starts before ``end`` at one of ``words`` (in lower
    case)."""
    best, floor = None, 0
    last = len(lower) if end is None else end
    for word in _ascii(words) if lower.isascii() else words:
        stop = last
        while (at := lower.rfind(word, floor, stop)) >= 0:
            if match := pattern.match(text, at):
                best, floor = match, at
                break
            stop = at + len(word) - 1
    return best


@lru_cache(maxsize=64)
def _ascii(words: tuple[str, ...]) -> tuple[str, ...]:
    """The words that an ASCII text can hold."""
    return tuple(word for word in words if word.isascii())


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
            one = inner.count("$") % 2 == 0 and "\\)" not in inner and "\\]" not in inner
            value = inner if one and inner.strip() else value
    return value


def _extraction(text: str, start: int, stop: int, rule: str) -> Extraction | None:
    raw = text[start:stop]
    value = clean(raw)
    if not value or EMPTY_BOX.fullmatch(value):
        return None
    at = raw.find(value)
    if at >= 0:
        start, stop = start + at, start + at + len(value)
    return Extraction(value=value, rule=rule, span=(start, stop))


@lru_cache(maxsize=64)
def _line_pattern(prefixes: tuple[str, ...]) -> re.Pattern[str]:
    return late_pattern(
        rf"(?:{alternation(prefixes)})[ \t]{{0,3}}[*_`\"]{{0,3}}[ \t]{{0,3}}[:：=]"
        rf"[ \t]{{0,3}}[*_]{{0,3}}[ \t]{{0,9}}{_NEXT_LINE}{_VALUE}",
        re.IGNORECASE,
    )


@lru_cache(maxsize=64)
def _line_words(prefixes: tuple[str, ...]) -> tuple[str, ...]:
    lower = {prefix.lower() for prefix in prefixes}
    # "final answer" ends in "answer": one search finds both
    return tuple(w for w in lower if not any(w.endswith(" " + v) for v in lower))


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


def sentence_end(text: str, start: int, stop: int) -> int:
    """Where the first sentence of a stretch of text ends."""
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
        found.append(_announced_without_colon(text, lower))
    if "other_language" in rules and prefixes is PREFIXES:
        found.append(_other_language(text, lower))
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
    return _outermost([f for f in found if f])


def _outermost(found: list[Extraction]) -> Extraction | None:
    """The last of the answers; words inside a box are part of what is in the box."""
    box = next((f for f in found if f.rule == "boxed"), None)
    if box is not None:
        start, stop = box.span
        found = [f for f in found if f is box or not start <= f.span[0] < stop]
    return max(found, key=lambda f: f.span, default=None)


def _announced_without_colon(text: str, lower: str) -> Extraction | None:
    match = last_after(_ANSWER_WORDS, _ANSWER_IS, text, lower)
    return match and _first_sentence(text, match, "answer_is")


def _first_sentence(text: str, match: re.Match[str], rule: str) -> Extraction | None:
    start, stop = match.span("value")
    return _extraction(text, start, sentence_end(text, start, stop), rule)


_OTHER_IS = late_pattern(
    rf"(?:{alternation(ANSWER)}){FILLERS}{{1,6}}[ \t]{{0,2}}[:：]?[ \t]{{0,3}}{_VALUE}",
    re.IGNORECASE,
)
_OTHER_WORDS = _line_words(ANSWER)
_OTHER_LATIN = tuple(word for word in _OTHER_WORDS if word.isascii())


def _other_language(text: str, lower: str) -> Extraction | None:
    """An answer line, or ``the answer is ...``, in one of the other languages known here."""
    words = _OTHER_LATIN if text.isascii() else _OTHER_WORDS
    if (line := last_after(words, _line_pattern(ANSWER), text, lower)) is not None:
        return _extraction(text, *line.span("value"), "other_language")
    said = last_after(words, _OTHER_IS, text, lower)
    return said and _first_sentence(text, said, "other_language")


def whole_text(text: str) -> Extraction | None:
    """The whole response as the answer."""
    value = text.strip()
    if not value:
        return None
    start = text.find(value)
    return Extraction(value=value, rule="whole", span=(start, start + len(value)))


def announced(
    text: str, rules: Collection[str], prefixes: tuple[str, ...] = PREFIXES
) -> Extraction | None:
    """What the rules asked for find: an announcement, else (where asked for) the whole text."""
    found = final_answer(text, prefixes, rules=rules)
    return whole_text(text) if found is None and "whole" in rules else found


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
