"""The scorers a benchmark is made of: one call grades one response.

Each takes a ``ScorerInput``, strips reasoning itself and returns a dict: ``correct``,
``extracted``, ``rule``, ``span`` (offsets in the response), ``strict`` (whether the answer was
announced), and ``failure`` when nothing could be extracted. An empty answer is never correct.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ..types import Extraction, Json
from . import numbers
from .choices import Order, choice
from .drop import best_em_and_f1
from .extract import PREFIXES, STRICT, clean, final_answer, last_match, last_number, number
from .extract import answer_line as find_answer_line
from .input import ScorerInput
from .reasoning import Visible, visible
from .refusals import why_nothing
from .text import em_over_aliases, f1_over_aliases, normalize, normalize_trivia, same_text

if TYPE_CHECKING:
    from .mathematics import MathVerdict

Verdict = dict[str, Any]
MATH_SECONDS = 5.0


def nothing(seen: Visible) -> Verdict:
    """The verdict when no answer could be extracted, with the reason."""
    return {
        "correct": False,
        "extracted": None,
        "rule": None,
        "span": None,
        "failure": why_nothing(seen).value,
    }


def verdict(seen: Visible, found: Extraction, correct: bool, **details: Json) -> Verdict:
    """The verdict on an extracted answer."""
    return {
        "correct": correct,
        "extracted": found.value,
        "rule": found.rule,
        "span": list(seen.raw_span(found.span)),
        "strict": found.rule in STRICT,
        **details,
    }


def whole_text(text: str) -> Extraction | None:
    """The whole response as the answer."""
    value = text.strip()
    if not value:
        return None
    start = text.find(value)
    return Extraction(value=value, rule="whole", span=(start, start + len(value)))


def aliases_of(sample: ScorerInput) -> list[str]:
    """Every accepted answer: the target (or list of them) and ``metadata["correct_answers"]``."""
    more = sample.metadata.get("correct_answers") or ()
    more = [more] if isinstance(more, str) else list(more)
    target = sample.target if isinstance(sample.target, list | tuple) else [sample.target]
    return [str(alias) for alias in [*target, *more] if alias is not None and str(alias).strip()]


def exact_match(sample: ScorerInput) -> Verdict:
    """The whole visible response equals the target after normalisation."""
    seen = visible(sample.response)
    found = whole_text(seen.text)
    if found is None:
        return nothing(seen)
    target = sample.target if isinstance(sample.target, list | tuple) else [sample.target]
    return verdict(seen, found, any(same_text(found.value, str(t)) for t in target))


def fuzzy_match(sample: ScorerInput) -> Verdict:
    """The response or the answer it announces equals the target or an alias.

    Equality of whole normalised strings, never substrings. Where nothing is announced, a last
    sentence that ends ``... is <alias>`` counts too, unless that clause denies it.
    """
    seen = visible(sample.response)
    whole = whole_text(seen.text)
    if whole is None:
        return nothing(seen)
    wanted = {normalize(alias) for alias in aliases_of(sample)} - {""}
    found = final_answer(seen.text)
    if normalize(whole.value) in wanted:
        return verdict(seen, whole, True)
    if found is not None:
        return verdict(seen, found, normalize(found.value) in wanted)
    if (said := _stated(seen.text, wanted)) is not None:
        return verdict(seen, said, True)
    return verdict(seen, whole, False)


SENTENCE = 400
"""Characters of a last sentence that are looked at."""
_COPULAS = frozenset(["is", "was", "are", "were", "be", "called", "named"])
_DENIALS = frozenset(
    [
        "not",
        "no",
        "never",
        "neither",
        "nor",
        "isnt",
        "wasnt",
        "arent",
        "werent",
        "cannot",
        "cant",
        "dont",
        "doesnt",
    ]
)


def _stated(text: str, wanted: set[str]) -> Extraction | None:
    """The alias a last clause ends on: ``The capital of France is Paris.``"""
    stop = len(text.rstrip(" \n.!*_\"'"))
    earliest = max(0, stop - SENTENCE)
    start = (
        max(text.rfind(mark, earliest, stop) for mark in (". ", "\n", "; ", ", ", "? ", "! ")) + 1
        or earliest
    )
    clause = text[start:stop]
    words = normalize(clause).split()
    for at, word in enumerate(words):
        if word in _COPULAS and " ".join(words[at + 1 :]) in wanted:
            if _DENIALS.isdisjoint(words[:at]):
                value = clause.strip()
                begin = text.find(value, start)
                return Extraction(value=value, rule="stated", span=(begin, begin + len(value)))
            return None
    return None


def multichoice_regex(
    sample: ScorerInput,
    pattern: str | None = None,
    options: str | int | None = None,
    *,
    order: Order = "last",
    lenient: bool = True,
) -> Verdict:
    """The letter chosen last equals the target letter.

    ``options`` (letters or their number) defaults to ``config["options"]``, then to the length of
    ``metadata["choices"]`` or ``["options"]``, then ``ABCD`` (widened to hold the target). A
    ``pattern`` replaces the built-in rules; its first group is the letter. An integer target is an
    index. ``order`` and ``lenient`` as in :func:`choices.choice`.
    """
    seen = visible(sample.response)
    target = _letter(sample.target)
    found = choice(
        seen.text, _options(sample, options, target), pattern, order=order, lenient=lenient
    )
    if found is None:
        return nothing(seen)
    return verdict(seen, found, found.value == target)


def _letter(target: Json) -> str:
    if isinstance(target, int) and not isinstance(target, bool):
        return chr(ord("A") + target)
    return str(target or "").strip().strip("()[].").upper()


def _options(sample: ScorerInput, options: str | int | None, target: str) -> str | int:
    given = options or sample.config.get("options")
    for key in ("choices", "options"):
        if given is None and isinstance(listed := sample.metadata.get(key), Sequence):
            given = None if isinstance(listed, str) else len(listed)
    if given is None:
        letter = target if len(target) == 1 and target.isalpha() else "D"
        given = max(4, ord(letter) - ord("A") + 1)
    if isinstance(given, list | tuple):
        given = len(given)
    return given if isinstance(given, int) else str(given)


def answer_line(sample: ScorerInput, pattern: str | None = None) -> Verdict:
    """The last ``Answer: ...`` line (or match of ``pattern``) equals the target or an alias.

    Equal after normalisation, or as numbers; use ``math_match`` for mathematics.
    """
    seen = visible(sample.response)
    found = find_answer_line(seen.text, pattern)
    if found is None:
        return nothing(seen)
    wanted = aliases_of(sample)
    correct = any(_same_answer(found.value, alias) for alias in wanted)
    return verdict(seen, found, correct)


def _same_answer(value: str, target: str) -> bool:
    mine, gold = numbers.parse(value, units=False), numbers.parse(target, units=False)
    if mine is not None and gold is not None:
        return numbers.same(mine, gold)
    return same_text(value, target)


def numeric_match(
    sample: ScorerInput,
    *,
    locale: str | None = None,
    prefixes: tuple[str, ...] = PREFIXES,
    tolerance: float = 0,
    lenient: bool = True,
) -> Verdict:
    """The number a response ends on equals the target exactly (or within ``tolerance``).

    Announced answers first (``Answer:``, ``the answer is``, ``####``, boxed, ``A:``), then, if
    ``lenient``, the last number. ``config`` may give ``tolerance`` and ``locale`` (of the response:
    the target is read the English way); ``prefixes`` are announcements in other languages.
    """
    seen = visible(sample.response)
    locale = locale or sample.config.get("locale")
    found = number(seen.text, prefixes, lenient=lenient)
    mine = None if found is None else numbers.parse(found.value, locale)
    if found is None or mine is None:
        return nothing(seen)
    gold = numbers.parse(sample.target)
    if gold is None and isinstance(sample.target, str):
        gold = numbers.parse(sample.target.rpartition("####")[2])
    tolerance = tolerance or float(sample.config.get("tolerance") or 0)
    correct = gold is not None and numbers.same(mine, gold, tolerance)
    if locale and gold is not None and not correct:
        # models write 1,000 in German too: an integer may be read the English way
        english = numbers.parse(found.value)
        whole = gold.value == int(gold.value)
        correct = whole and english is not None and numbers.same(english, gold, tolerance)
    return verdict(seen, found, correct)


def trivia_match(sample: ScorerInput, prefixes: tuple[str, ...] = PREFIXES) -> Verdict:
    """Short answers by the official TriviaQA metric: ``em`` and ``f1`` over all aliases.

    The answer is what the response announces, else the whole visible text.
    """
    seen = visible(sample.response)
    found = final_answer(seen.text, prefixes) or whole_text(seen.text)
    if found is None:
        return nothing(seen)
    value, wanted = clean(found.value), aliases_of(sample)
    em = em_over_aliases(value, wanted, normalize_trivia)
    f1 = 1.0 if em else f1_over_aliases(value, wanted, normalize_trivia)
    return verdict(seen, found, em, em=float(em), f1=f1)


_BETWEEN_SPANS = re.compile(r"[,;]|\band\b")


def drop_match(sample: ScorerInput, prefixes: tuple[str, ...] = PREFIXES) -> Verdict:
    """The official DROP metric on the final answer: ``em`` and ``f1``; ``correct`` is ``em``.

    The target is a list of accepted answers; each is a string or, with several spans, a list.
    Against several spans the answer is also read as a list: split at commas, semicolons, ``and``.
    """
    seen = visible(sample.response)
    found = final_answer(seen.text, prefixes) or whole_text(seen.text)
    if found is None:
        return nothing(seen)
    target = sample.target if isinstance(sample.target, list | tuple) else [sample.target]
    golds = [g if isinstance(g, list | tuple) else str(g) for g in target]
    value = clean(found.value)
    em, f1 = best_em_and_f1(value, golds)
    several = [gold for gold in golds if not isinstance(gold, str) and len(gold) > 1]
    if several and len(spans := [part for part in _BETWEEN_SPANS.split(value) if part.strip()]) > 1:
        as_list = best_em_and_f1(spans, several)
        em, f1 = max(em, as_list[0]), max(f1, as_list[1])
    return verdict(seen, found, em == 1.0, em=em, f1=f1)


def find_math(text: str) -> Extraction | None:
    """The mathematical answer: announced, a short response as a whole, or (lenient) the last
    formula, then the last number."""
    if (said := final_answer(text)) is not None:
        return said
    whole = whole_text(text)
    if whole is not None and len(whole.value) <= SHORT and "\n" not in whole.value:
        return whole
    if (formula := last_match(_FORMULA, text)) is not None:
        group = formula.lastindex or 0
        return Extraction(
            value=formula[group].strip(), rule="last_formula", span=formula.span(group)
        )
    return last_number(text)


SHORT = 120
_FORMULA = re.compile(
    r"\$\$([^$]{1,400})\$\$|\$([^$\n]{1,400})\$|\\\(([^\n]{1,400}?)\\\)|\\\[([^$]{1,400}?)\\\]"
)


def math_match(sample: ScorerInput) -> Verdict:
    """The final answer equals the target as mathematics; ``decided_by`` says who judged.

    Common forms cost microseconds; hard ones wait for a worker process (at most
    ``config["timeout"]`` seconds, 5 by default). In a coroutine use :func:`math_match_async`.
    """
    from .mathematics import math_equal

    seen = visible(sample.response)
    found = find_math(seen.text)
    if found is None:
        return nothing(seen)
    return _math_verdict(seen, found, math_equal(found.value, str(sample.target), _timeout(sample)))


async def math_match_async(sample: ScorerInput) -> Verdict:
    """As :func:`math_match`, without blocking the event loop."""
    from .mathematics import math_equal_async

    seen = visible(sample.response)
    found = find_math(seen.text)
    if found is None:
        return nothing(seen)
    judged = await math_equal_async(found.value, str(sample.target), _timeout(sample))
    return _math_verdict(seen, found, judged)


def _timeout(sample: ScorerInput) -> float:
    return float(sample.config.get("timeout") or MATH_SECONDS)


def _math_verdict(seen: Visible, found: Extraction, judged: MathVerdict) -> Verdict:
    details = {"timed_out": True} if judged.decided_by == "timeout" else {}
    return verdict(seen, found, judged.equal, decided_by=judged.decided_by, **details)


Scorer = Callable[..., Verdict]
PRIMITIVES: Mapping[str, Scorer] = {
    "answer_line": answer_line,
    "drop_match": drop_match,
    "exact_match": exact_match,
    "fuzzy_match": fuzzy_match,
    "math_match": math_match,
    "mcq_extract": multichoice_regex,
    "multichoice_regex": multichoice_regex,
    "numeric_match": numeric_match,
    "trivia_match": trivia_match,
}
"""Scorers by their name in ``scoring.metrics``; ``mcq_extract`` is ``multichoice_regex``."""


def list_scorers() -> list[tuple[str, str]]:
    """Name and one-line description of each scorer."""
    return [(name, (f.__doc__ or "").partition("\n")[0]) for name, f in sorted(PRIMITIVES.items())]
