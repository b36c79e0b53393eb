"""The scorers a benchmark is made of: one call grades one response.

Each takes a ``ScorerInput``, strips reasoning itself and returns a dict: ``correct`` (lenient),
``extracted``, ``rule``, ``span`` (offsets in the response), ``strict`` (whether the format asked
for was followed), ``strict_correct`` (the grade if only that format counted), and ``failure``
when nothing could be extracted. ``asked`` names the rules that are the format asked for. An empty
answer is never correct.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import TYPE_CHECKING, cast

from ..kinds import SCORERS
from ..types import Extraction
from . import numbers
from .drop import Answer, best_em_and_f1
from .extract import (
    PREFIXES,
    announced,
    clean,
    final_answer,
    whole_text,
)
from .extract import answer_line as find_answer_line
from .find_math import announced_math, find_math
from .folding import folded, readable
from .grade import (
    Grade,
    aliases_of,
    asked_rules,
    grade,
    nothing,
    strict_grade,
    texts_of,
)
from .input import ScorerInput
from .late import late_pattern
from .reasoning import Visible, visible
from .targets import impossible, no_value
from .text import em_over_aliases, f1_over_aliases, normalize_trivia, same_text, unaccented

if TYPE_CHECKING:
    from .mathematics import MathGrade

MATH_SECONDS = 5.0
NO_ALIAS = "there is no answer to compare with"


def exact_match(sample: ScorerInput) -> Grade:
    """The whole visible response equals the target after normalisation."""
    seen = readable(sample.response)
    if (problem := no_value(sample.target_raw)) is not None:
        return impossible(problem)
    found = whole_text(seen.text)
    if found is None:
        return nothing(seen)
    return grade(seen, found, any(same_text(found.value, text) for text in texts_of(sample)))


def fuzzy_match(sample: ScorerInput, *, asked: Collection[str] | None = None) -> Grade:
    """The response or the answer it announces equals the target or an alias.

    Equality of whole normalised strings, accents of Latin letters aside, never substrings. Where
    nothing is announced, a last sentence that ends ``... is <alias>`` counts too, unless that
    clause denies it.
    """
    seen = readable(sample.response)
    wanted = {unaccented(alias) for alias in aliases_of(sample)} - {""}
    if not wanted:
        return impossible(NO_ALIAS)
    whole = whole_text(seen.text)
    if whole is None:
        return nothing(seen)
    rules = asked_rules(sample, asked)
    found = final_answer(seen.text)
    if _may_be(whole.value, wanted) and unaccented(whole.value) in wanted:
        found, correct = whole, True
    elif found is not None:
        correct = unaccented(found.value) in wanted
    elif (said := _stated(seen.text, wanted)) is not None:
        found, correct = said, True
    else:
        found, correct = whole, False
    strict = strict_grade(
        found,
        correct,
        rules,
        lambda: announced(seen.text, rules),
        lambda value: unaccented(value) in wanted,
    )
    return grade(seen, found, correct, asked=rules, strict_correct=strict)


def _may_be(text: str, wanted: set[str]) -> bool:
    """Whether a text is short enough to be one of the answers with some markup around."""
    return len(text) <= 200 + 4 * max(map(len, wanted))


SENTENCE = 400
"""Characters of a last sentence that are looked at."""
_COPULAS = frozenset(
    ["is", "was", "are", "were", "be", "called", "named", "its", "thats", "hes", "shes"]
)
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
    words = unaccented(clause).split()
    for at, word in enumerate(words):
        if word in _COPULAS and " ".join(words[at + 1 :]) in wanted:
            if _DENIALS.isdisjoint(words[:at]):
                value = clause.strip()
                begin = text.find(value, start)
                return Extraction(value=value, rule="stated", span=(begin, begin + len(value)))
            return None
    return None


def answer_line(sample: ScorerInput, pattern: str | None = None) -> Grade:
    """The last ``Answer: ...`` line (or match of ``pattern``) equals the target or an alias.

    Equal after normalisation, or as numbers; use ``math_match`` for mathematics.
    """
    # a user's pattern sees the text as the model wrote it
    seen = readable(sample.response) if pattern is None else visible(sample.response)
    if not (wanted := aliases_of(sample)):
        return impossible(NO_ALIAS)
    found = find_answer_line(seen.text, pattern)
    if found is None:
        return nothing(seen)
    correct = any(_same_answer(found.value, alias) for alias in wanted)
    return grade(seen, found, correct)


def _same_answer(value: str, target: str) -> bool:
    mine, gold = (numbers.parse(folded(text), units=False) for text in (value, target))
    if mine is not None and gold is not None:
        return numbers.same(mine, gold)
    return same_text(value, target)


def trivia_match(
    sample: ScorerInput,
    prefixes: tuple[str, ...] = PREFIXES,
    *,
    asked: Collection[str] | None = None,
) -> Grade:
    """Short answers by the official TriviaQA metric: ``em`` and ``f1`` over all aliases.

    The answer is what the response announces, else the whole visible text.
    """
    seen = readable(sample.response)
    if not (wanted := aliases_of(sample)):
        return impossible(NO_ALIAS)
    found = final_answer(seen.text, prefixes) or whole_text(seen.text)
    if found is None:
        return nothing(seen)

    def judge(value: str) -> bool:
        return em_over_aliases(clean(value), wanted, normalize_trivia)

    em = judge(found.value)
    f1 = 1.0 if em else f1_over_aliases(clean(found.value), wanted, normalize_trivia)
    rules = asked_rules(sample, asked)
    strict = strict_grade(found, em, rules, lambda: announced(seen.text, rules, prefixes), judge)
    return grade(seen, found, em, asked=rules, strict_correct=strict, em=float(em), f1=f1)


_BETWEEN_SPANS = late_pattern(r"[,;]|\band\b")


def drop_match(
    sample: ScorerInput,
    prefixes: tuple[str, ...] = PREFIXES,
    *,
    asked: Collection[str] | None = None,
) -> Grade:
    """The official DROP metric on the final answer: ``em`` and ``f1``; ``correct`` is ``em``.

    The target is a list of accepted answers; each is a string or, with several spans, a list.
    Against several spans the answer is also read as a list: split at commas, semicolons, ``and``.
    """
    seen = readable(sample.response)
    if (problem := no_value(sample.target_raw)) is not None:
        return impossible(problem)
    found = final_answer(seen.text, prefixes) or whole_text(seen.text)
    if found is None:
        return nothing(seen)
    raw = sample.target_raw
    target = raw if isinstance(raw, list | tuple) else [raw]
    golds = [g if isinstance(g, list | tuple) else str(g) for g in target]
    em, f1 = _drop_scores(found.value, golds)
    rules = asked_rules(sample, asked)
    strict = strict_grade(
        found,
        em == 1.0,
        rules,
        lambda: announced(seen.text, rules, prefixes),
        lambda value: _drop_scores(value, golds)[0] == 1.0,
    )
    return grade(seen, found, em == 1.0, asked=rules, strict_correct=strict, em=em, f1=f1)


def _drop_scores(value: str, golds: Sequence[Answer]) -> tuple[float, float]:
    value = clean(value)
    em, f1 = best_em_and_f1(value, golds)
    several = [gold for gold in golds if not isinstance(gold, str) and len(gold) > 1]
    if several and len(spans := [part for part in _BETWEEN_SPANS.split(value) if part.strip()]) > 1:
        as_list = best_em_and_f1(spans, several)
        em, f1 = max(em, as_list[0]), max(f1, as_list[1])
    return em, f1


def math_match(sample: ScorerInput, *, asked: Collection[str] | None = None) -> Grade:
    """The final answer equals the target as mathematics; ``decided_by`` says who judged.

    Common forms cost microseconds; hard ones wait for a worker process (at most
    ``config["timeout"]`` seconds, 5 by default). In a coroutine use :func:`math_match_async`.
    """
    from .mathematics import math_equal

    seen = readable(sample.response)
    if (problem := no_value(sample.target_raw)) is not None:
        return impossible(problem)
    found = find_math(seen.text)
    if found is None:
        return nothing(seen)
    target, timeout = str(sample.target_raw), _timeout(sample)
    judged = math_equal(found.value, target, timeout)
    rules = asked_rules(sample, asked)
    strict = strict_grade(
        found,
        judged.equal,
        rules,
        lambda: announced_math(seen.text, rules),
        lambda value: math_equal(value, target, timeout).equal,
    )
    return _math_verdict(seen, found, judged, rules, strict)


async def math_match_async(sample: ScorerInput, *, asked: Collection[str] | None = None) -> Grade:
    """As :func:`math_match`, without blocking the event loop."""
    from .mathematics import math_equal_async

    if len(sample.response) > LONG:
        return await asyncio.to_thread(math_match, sample, asked=asked)
    seen = readable(sample.response)
    if (problem := no_value(sample.target_raw)) is not None:
        return impossible(problem)
    found = find_math(seen.text)
    if found is None:
        return nothing(seen)
    target, timeout = str(sample.target_raw), _timeout(sample)
    judged = await math_equal_async(found.value, target, timeout)
    rules, strict = asked_rules(sample, asked), judged.equal
    if found.rule not in rules:
        other = announced_math(seen.text, rules)
        strict = other is not None and (await math_equal_async(other.value, target, timeout)).equal
    return _math_verdict(seen, found, judged, rules, strict)


def _timeout(sample: ScorerInput) -> float:
    return float(sample.config.get("timeout") or MATH_SECONDS)


def _math_verdict(
    seen: Visible, found: Extraction, judged: MathGrade, asked: frozenset[str], strict: bool
) -> Grade:
    details = {"timed_out": True} if judged.decided_by == "timeout" else {}
    return grade(
        seen,
        found,
        judged.equal,
        asked=asked,
        strict_correct=strict,
        decided_by=judged.decided_by,
        **details,
    )


LONG = 50_000
"""Characters of a response that a coroutine does not read itself."""
Scorer = Callable[..., Grade]
PRIMITIVES: Mapping[str, Scorer] = {
    name: cast(Scorer, SCORERS.load(name)) for name in SCORERS.built_in
}
"""The built-in scorers by name."""


def __getattr__(name: str) -> Scorer:
    """Every primitive is an attribute of this module, wherever it is written."""
    try:
        return PRIMITIVES[name]
    except KeyError:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}") from None


def find_scorer(name: str) -> Scorer:
    """A scorer by name: a primitive, of an installed package, or one's own. Raises ConfigError."""
    found = SCORERS.load(name)
    scorer = getattr(found, "scorer", found)  # of one that @benchmark or @scorer made
    if not callable(scorer):
        raise SCORERS.wrong(name, "it needs to be a function of a ScorerInput")
    return cast(Scorer, scorer)
