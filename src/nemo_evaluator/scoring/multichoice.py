"""The multiple-choice scorer: the label a response chooses against the one, or the set, wanted."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from ..types import Extraction, Json
from .choices import Order, choice, choices
from .extract import SHORT, clean, final_answer, whole_text
from .folding import folded, readable
from .grade import Grade, asked_rules, grade, nothing, strict_grade
from .input import ScorerInput
from .reasoning import Visible, visible
from .targets import choice_target, impossible, no_value, only, option_labels, option_texts
from .text import normalize


def multichoice_regex(
    sample: ScorerInput,
    pattern: str | None = None,
    options: str | int | None = None,
    *,
    order: Order = "last",
    lenient: bool = True,
    asked: Collection[str] | None = None,
) -> Grade:
    """The label chosen last equals the target.

    ``options`` (labels or their number) defaults to ``config["options"]``, then to
    ``metadata["choices"]`` or ``["options"]``, then ``ABCD`` (widened to hold the target). The
    target is a label, an index counted from 0, or several labels that must all be named. A
    ``pattern`` replaces the built-in rules; its first group is a label or any text, compared with
    the target as text. An option's text counts as its label where the response names no label and
    the texts are known. ``order`` and ``lenient`` as in :func:`choices.choice`.
    """
    if pattern is not None:
        return _by_pattern(sample, pattern, options)
    seen = readable(sample.response)
    given = _given_options(sample, options)
    labels = option_labels(given, sample.target_raw)
    wanted = choice_target(sample.target_raw, labels, given=given is not None)
    if wanted.problem is not None:
        return impossible(wanted.problem)
    if len(wanted.labels) > 1:
        return _all_of(sample, seen, labels, wanted.labels, asked)
    found = choice(seen.text, labels, order=order, lenient=lenient)
    if found is None and lenient:
        found = _by_text(seen.text, option_texts(given, labels))
    if found is None:
        return nothing(seen)
    rules = asked_rules(sample, asked)
    strict = strict_grade(
        found,
        found.value == wanted.one,
        rules,
        lambda: choice(seen.text, labels, order=order, lenient=False, rules=rules),
        lambda value: value == wanted.one,
    )
    return grade(seen, found, found.value == wanted.one, asked=rules, strict_correct=strict)


def _by_text(text: str, options: Mapping[str, str]) -> Extraction | None:
    """The label of the one option whose text (alone, or after its label) is announced or given."""
    said = final_answer(text) or whole_text(text)
    if said is None or not options or len(said.value) > max(map(len, options.values())) + SHORT:
        return None
    value = normalize(clean(said.value))
    named = [
        label
        for label, option in options.items()
        if value in (normalize(option), normalize(f"{label} {option}"))
    ]
    if len(named) != 1:
        return None
    return Extraction(value=named[0], rule="option_text", span=said.span)


def _all_of(
    sample: ScorerInput,
    seen: Visible,
    labels: str,
    wanted: frozenset[str],
    asked: Collection[str] | None,
) -> Grade:
    found = choices(seen.text, labels)
    if found is None:
        return nothing(seen)
    correct = frozenset(found.value.split(", ")) == wanted
    return grade(seen, found, correct, asked=asked_rules(sample, asked))


def _by_pattern(sample: ScorerInput, pattern: str, options: str | int | None) -> Grade:
    """A user's pattern sees the text as the model wrote it."""
    seen = visible(sample.response)
    if (problem := no_value(sample.target_raw)) is not None:
        return impossible(problem)
    labels = option_labels(_given_options(sample, options), sample.target_raw)
    found = choice(seen.text, labels, pattern)
    if found is None:
        return nothing(seen)
    value = folded(found.value)
    label = choice_target(sample.target_raw, labels).one
    correct = value == label or _folded_text(value) == _folded_text(only(sample.target_raw))
    return grade(seen, found, correct, asked={"pattern"})


def _folded_text(value: Json) -> str:
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return " ".join(str(value).strip("()[]*. \n\t").casefold().split())


def _given_options(sample: ScorerInput, options: str | int | None) -> Json:
    """The options as they are given: labels, their number, their texts; None if they are not."""
    if (known := options or sample.config.get("options")) is not None:
        return known
    for key in ("choices", "options"):
        listed = sample.metadata.get(key)
        if isinstance(listed, list | tuple | Mapping):
            return dict(listed) if isinstance(listed, Mapping) else list(listed)
    return None
