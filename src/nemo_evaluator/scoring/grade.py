"""The grade of a scorer: what was read, by which rule, where, and whether it was as asked.

``correct`` is the lenient grade and what counts. ``strict_correct`` is the grade if only the
format that was asked for counted; their difference is how much of a score is formatting. Where
nothing was read, ``failure`` says why. An empty answer is never correct.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Any

from ..errors import ConfigError
from ..types import Extraction, Json
from .extract import STRICT
from .input import ScorerInput
from .reasoning import Visible
from .refusals import why_nothing
from .targets import missing, without_answer

Grade = dict[str, Any]

ASKED = STRICT - {"hashes"}
"""Rules that count as requested by default: the answer announced in words, boxed, tagged, or
alone. ``#### 3`` is a training format, asked for by few prompts."""


def asked_rules(sample: ScorerInput, asked: Collection[str] | None) -> frozenset[str]:
    """The rules that follow the format asked for: ``asked``, else ``config["asked"]``, else
    ``ASKED``. Raises ConfigError for a rule that does not exist."""
    given = asked or sample.config.get("asked")
    if given is None:
        return ASKED
    rules = frozenset([given] if isinstance(given, str) else given)
    if unknown := rules - STRICT:
        hint = f"one of {', '.join(sorted(STRICT))}"
        raise ConfigError(f"unknown rule {min(unknown)!r}", where="asked", hint=hint)
    return rules


def strict_grade(
    found: Extraction,
    correct: bool,
    asked: Collection[str],
    again: Callable[[], Extraction | None],
    judge: Callable[[str], bool],
) -> bool:
    """The grade if only ``asked`` rules counted: that on ``found`` if it follows them, else
    ``judge``'s on what ``again`` finds with them alone."""
    if found.rule in asked:
        return correct
    other = again()
    if other is None:
        return False
    return correct if other.value == found.value else judge(other.value)


def nothing(seen: Visible) -> Grade:
    """The grade when no answer could be extracted, with the reason."""
    return without_answer(why_nothing(seen))


def grade(
    seen: Visible,
    found: Extraction,
    correct: bool,
    *,
    asked: Collection[str] = ASKED,
    strict_correct: bool | None = None,
    **details: Json,
) -> Grade:
    """The grade on an extracted answer. Without ``strict_correct`` it is ``correct`` where the
    rule is one of ``asked``."""
    strict = found.rule in asked
    return {
        "correct": correct,
        "extracted": found.value,
        "rule": found.rule,
        "span": list(seen.raw_span(found.span)),
        "strict": strict,
        "strict_correct": correct and strict if strict_correct is None else strict_correct,
        **details,
    }


def unmeasured(seen: Visible) -> Grade:
    """The grade of a measure (a reward without right or wrong) on nothing: the reward is 0."""
    return {"reward": 0.0, "extracted": None, "rule": None, "failure": why_nothing(seen).value}


def texts_of(sample: ScorerInput) -> list[str]:
    """The target, or each of a list of them, as text; null, NaN and blank ones are none."""
    raw = sample.target_raw
    target = raw if isinstance(raw, list | tuple) else [raw]
    return [str(item) for item in target if not missing(item) and str(item).strip()]


def aliases_of(sample: ScorerInput) -> list[str]:
    """Every accepted answer: the target (or list of them) and ``metadata["correct_answers"]``."""
    more = sample.metadata.get("correct_answers") or ()
    more = [more] if isinstance(more, str) else list(more)
    others = [str(alias) for alias in more if not missing(alias) and str(alias).strip()]
    return [*texts_of(sample), *others]
