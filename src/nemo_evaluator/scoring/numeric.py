"""The number a response ends on, and the scorer that compares it.

Where the answer is several numbers, a range, a bound or an expression, no number is read, unless
the target has the same form.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import NamedTuple

from ..types import Extraction
from . import context, forms, numbers
from .extract import PREFIXES, SHORT, announced, final_answer, sentence_end
from .folding import readable
from .grade import Grade, asked_rules, grade, nothing
from .input import ScorerInput
from .targets import impossible, no_number, number_target


class Found(NamedTuple):
    """Where a number or form stands, and its value; None where it cannot be read as one."""

    extraction: Extraction
    value: forms.Value | None


def numeric_match(
    sample: ScorerInput,
    *,
    locale: str | None = None,
    prefixes: tuple[str, ...] = PREFIXES,
    tolerance: float = 0,
    lenient: bool = True,
    asked: Collection[str] | None = None,
) -> Grade:
    """The number a response ends on equals the target exactly (or within ``tolerance``).

    Announced answers first (``Answer:``, ``the answer is``, ``####``, boxed, ``A:``), then, if
    ``lenient``, the last number. ``config`` may give ``tolerance`` and ``locale`` (of the response:
    the target is read the English way); ``prefixes`` are announcements in other languages.
    """
    seen = readable(sample.response)
    gold = number_target(sample.target_raw)
    if gold is None:
        return impossible(no_number(sample.target_raw) or "it is not a number")
    locale = locale or sample.config.get("locale")
    said = final_answer(seen.text, prefixes, a_line=lenient)
    found = find(seen.text, said, locale, lenient=lenient)
    if found is None or found.value is None or _of_other_form(found.value, gold):
        return nothing(seen)
    tolerance = tolerance or float(sample.config.get("tolerance") or 0)
    correct = _equal(found, gold, locale, tolerance)
    rules = asked_rules(sample, asked)
    strict = False
    if correct or found.extraction.rule not in rules:
        alone = (
            said
            if said is not None and said.rule in rules
            else announced(seen.text, rules, prefixes)
        )
        # in the format asked for, an answer stands alone: no unit, no sentence around it
        strict = alone is not None and _equals_alone(alone, gold, locale, tolerance)
    return grade(seen, found.extraction, correct, asked=rules, strict_correct=strict)


def _of_other_form(mine: forms.Value, gold: forms.Value) -> bool:
    return isinstance(mine, forms.Form) and not (
        isinstance(gold, forms.Form) and gold.kind is mine.kind
    )


def _equals_alone(
    said: Extraction, gold: forms.Value, locale: str | None, tolerance: float
) -> bool:
    value: forms.Value | None
    if isinstance(gold, numbers.Number):
        value = numbers.parse(said.value, locale) if numbers.is_bare(said.value) else None
    else:
        value = forms.whole(said.value)
    return value is not None and _equal(Found(said, value), gold, locale, tolerance)


def _equal(found: Found, gold: forms.Value, locale: str | None, tolerance: float) -> bool:
    if found.value is not None and forms.same(found.value, gold, tolerance):
        return True
    # models write 1,000 in German too: an integer may be read the English way
    if not locale or not isinstance(gold, numbers.Number) or gold.value != int(gold.value):
        return False
    english = numbers.parse(found.extraction.value)
    return english is not None and numbers.same(english, gold, tolerance)


def number(
    text: str, prefixes: tuple[str, ...] = PREFIXES, *, lenient: bool = True
) -> Extraction | None:
    """The number a response ends on: announced, else (lenient) the last one in the text.

    In an announcement such as ``5 + 7 = 12 apples`` the first number after the last ``=`` counts.

    >>> number("#### 1,200 dollars").value, number("the answer is 5 + 7 = 12 of 20").value
    ('1,200', '12')
    >>> number("the answer is 5 or 7") is None
    True
    """
    found = find(text, final_answer(text, prefixes, a_line=lenient), lenient=lenient)
    return found.extraction if found and isinstance(found.value, numbers.Number) else None


def find(
    text: str, said: Extraction | None, locale: str | None = None, *, lenient: bool = True
) -> Found | None:
    """The number in what was announced, else a number that is all there is, else (lenient) the
    last one in the text. A value of None: there is a number, but it is not the answer."""
    if said is not None and (found := _in_announcement(text, said, locale)) is not None:
        return found
    if len(text) < SHORT and (alone := text.strip()):
        value = numbers.parse(alone, locale) if numbers.is_bare(alone) else forms.spelled_out(alone)
        if value is not None:
            start = text.find(alone)
            span = (start, start + len(alone))
            return Found(Extraction(value=alone, rule="whole", span=span), value)
    reading = forms.last(text, locale) if lenient else None
    return None if reading is None else _found_number(text, reading, "last_number")


def _in_announcement(text: str, said: Extraction, locale: str | None) -> Found | None:
    if numbers.is_bare(said.value):
        return Found(said, numbers.parse(said.value, locale))
    start, stop = said.span
    stop = sentence_end(text, start, stop)
    at = context.after_equals(text, start, stop)
    if at is None:
        return Found(said, None)
    for begin in {at: None, start: None}:
        if (reading := forms.first(text, begin, stop, locale)) is not None:
            return _found_number(text, reading, said.rule)
    value = forms.spelled_out(said.value)
    return None if value is None else Found(said, value)


def _found_number(text: str, reading: forms.Reading, rule: str) -> Found:
    start, stop = reading.span
    value = text[start:stop]
    stripped = value.strip()
    start += len(value) - len(value.lstrip())
    span = (start, start + len(stripped))
    return Found(Extraction(value=stripped, rule=rule, span=span), reading.value)
