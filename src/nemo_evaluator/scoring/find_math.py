"""Where the mathematical answer stands in a response."""

from __future__ import annotations

from ..types import Extraction
from . import forms, numbers
from .extract import EMPTY_BOX, clean, final_answer, last_match, last_number, whole_text
from .late import late_pattern
from .refusals import is_refusal


def find_math(text: str) -> Extraction | None:
    """The mathematical answer: announced, a short response as a whole, or (lenient) the last
    formula, then the last number. A sentence is not an answer as a whole if there is a formula or
    number in it."""
    if (said := final_answer(text)) is not None:
        return _without_reason(text, said)
    whole = _short_whole(text)
    if whole is not None and _PROSE.search(whole.value) is None:
        return whole
    formula = last_match(_FORMULA, text)
    if formula is not None and EMPTY_BOX.fullmatch(clean(formula[0])):
        return None
    if formula is None:
        return _number(text) or (None if is_refusal(text) else whole)
    if (number := _concluded(text, formula.end())) is not None:
        return number
    group = formula.lastindex or 0
    return Extraction(value=formula[group].strip(), rule="last_formula", span=formula.span(group))


def announced_math(text: str, rules: frozenset[str]) -> Extraction | None:
    """What the rules asked for find, by them alone."""
    found = final_answer(text, rules=rules)
    if found is not None or "whole" not in rules:
        return found
    whole = _short_whole(text)
    return whole if whole is not None and _PROSE.search(whole.value) is None else None


_OPENED = late_pattern(r"(?:\${1,2}|\\\()\Z")
_DOLLAR = late_pattern(r"(?<!\\)\$")
_REASON = late_pattern(r",?\s+(?:because|since|as|which|where|due to|given that)\s")


def _without_reason(text: str, said: Extraction) -> Extraction:
    """What is announced, without the clause that gives reasons: ``$5$, since 2 + 3 = 5``."""
    start, stop = said.span
    match = _REASON.search(text, start, stop) if said.rule in _SENTENCES else None
    opened = _OPENED.search(text, max(0, start - 2), start)
    begin = opened.start() if opened else start
    if match is None or len(_DOLLAR.findall(text, begin, match.start())) % 2:
        return said
    value = clean(text[begin : match.start()])
    at = text.find(value, start, stop)
    if not value or at < 0 or value.count("{") != value.count("}"):
        return said
    return Extraction(value=value, rule=said.rule, span=(at, at + len(value)))


_SENTENCES = ("answer_is", "answer_line", "other_language")


def _number(text: str) -> Extraction | None:
    """The number a text without formulas ends on."""
    read = forms.last(text)
    if read is None or not isinstance(read.value, numbers.Number):
        return last_number(text)
    start, stop = read.span
    value = text[start:stop].strip()
    start = text.index(value, start)
    return Extraction(value=value, rule="last_number", span=(start, start + len(value)))


def _concluded(text: str, after: int) -> Extraction | None:
    """The number of a sentence that concludes, if it stands after the last formula."""
    match = last_match(_CONCLUSION, text[after:])
    number = None if match is None else last_number(match[0])
    if match is None or number is None:
        return None
    start, stop = (after + match.start() + at for at in number.span)
    return Extraction(value=number.value, rule="last_number", span=(start, stop))


def _short_whole(text: str) -> Extraction | None:
    whole = whole_text(text)
    if whole is None or len(whole.value) > SHORT or "\n" in whole.value:
        return None
    return None if EMPTY_BOX.search(whole.value) else whole


SHORT = 120
_PROSE = late_pattern(r"(?<![\\{\w])[A-Za-z]{2,}[ \t]+[A-Za-z]{2,}")
# A last sentence that concludes: its number is the answer even after a formula.
_CONCLUSION = late_pattern(r"\b(?:Therefore|Thus|Hence|So|In total)\b[^.\n$\\]{1,300}")
_FORMULA = late_pattern(
    r"\$\$([^$]{1,400})\$\$|\$((?:[^$\n\\]|\\.){1,400})\$|\\\(([^\n]{1,400}?)\\\)|\\\[([^$]{1,400}?)\\\]"
)
