"""How scorers read their targets, and targets that no answer can meet.

A scorer looks at its target before it looks at the answer, and says that it is impossible by the
grade :func:`impossible`; that is never a silent 0. At plan time scorers are asked about every
row (:func:`noticing`).
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import NamedTuple

from ..types import Failure, Json
from . import forms
from .late import late_pattern

LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
_NOTICED: ContextVar[list[str] | None] = ContextVar("noticed_targets", default=None)


class ImpossibleTarget(ValueError):
    """No answer can equal the target, as the scorer reads it."""


@contextmanager
def noticing() -> Iterator[list[str]]:
    """Why targets were found impossible by the scorers called inside the block."""
    found: list[str] = []
    token = _NOTICED.set(found)
    try:
        yield found
    finally:
        _NOTICED.reset(token)


def impossible(why: str) -> dict[str, object]:
    """The grade of a scorer whose target no answer can meet."""
    if (noticed := _NOTICED.get()) is not None:
        noticed.append(why)
    return {**without_answer(Failure.TARGET), "reason": why}


def without_answer(failure: Failure) -> dict[str, object]:
    """The grade where there is nothing to compare, and why."""
    return {
        "correct": False,
        "extracted": None,
        "rule": None,
        "span": None,
        "failure": failure.value,
        "strict_correct": False,
    }


def no_value(target: Json) -> str | None:
    """Why a target is none: null, NaN, empty; None where it is one."""
    if missing(target):
        return "it is null" if target is None else "it is NaN"
    if isinstance(target, str):
        return None if target.strip() else "it is empty"
    if isinstance(target, list | tuple):
        reasons = [no_value(item) for item in target]
        return (reasons[0] if reasons else "it is an empty list") if all(reasons) else None
    return None


def missing(target: Json) -> bool:
    """Whether there is no target at all: null or NaN."""
    return target is None or (isinstance(target, float) and math.isnan(target))


def only(target: Json) -> Json:
    """The item of a list of one; anything else as it is."""
    if isinstance(target, list | tuple) and len(target) == 1:
        return only(target[0])
    return target


def number_target(target: Json) -> forms.Value | None:
    """The number (or range, list, time, ...) a target stands for; None if it is none.

    GSM8K's solutions, which end in ``#### 72``, are read too.

    >>> number_target("1,200").value, number_target("soon") is None
    (1200, True)
    """
    target = only(target)
    if isinstance(target, list | tuple | dict) or target is None:
        return None
    if isinstance(target, str) and "####" in target:
        target = target.rpartition("####")[2].strip()
    return forms.whole(target)


class Choice(NamedTuple):
    """What a multiple-choice target asks for: labels (one, or a set), or why it asks for none."""

    labels: frozenset[str]
    problem: str | None = None

    @property
    def one(self) -> str | None:
        """The label, where there is a single one."""
        return next(iter(self.labels)) if len(self.labels) == 1 else None


_SEPARATED = late_pattern(r"[\s,;/&+]+(?:and\b|und\b|y\b|et\b)?[\s,;/&+]*|\band\b", re.IGNORECASE)
_BARE = " \t\n()[]{}.:*`\"'"


def choice_target(target: Json, labels: str, *, given: bool = True) -> Choice:
    """The label or labels that a target names among the options ``labels``.

    A label itself (``"B"``, ``"(b)"``), a set of them (``"A, C"``, ``["A", "C"]``), or the index of
    an option, counted from 0 (``1``, ``1.0``). An index as text (``"1"``) counts where the options
    are ``given``: without them it is unknown whether it counts from 0 or from 1.

    >>> choice_target("(b)", "ABCD").one, choice_target("1", "ABCD").one
    ('B', 'B')
    >>> choice_target(-1, "ABCD").problem
    '-1 is none of the letters A to D'
    """
    if (why := no_value(target)) is not None:
        return Choice(frozenset(), why)
    target = only(target)
    if isinstance(target, list | tuple):
        parts = [choice_target(item, labels, given=given) for item in target]
        problem = next((part.problem for part in parts if part.problem), None)
        return Choice(frozenset().union(*(part.labels for part in parts)), problem)
    named = _labels_named(str(target).strip(_BARE), labels)
    if not named and not isinstance(target, bool | dict):
        named = _indexed(target, labels, given)
    if named:
        return Choice(named)
    shown = f"{labels[0]} to {labels[-1]}" if len(labels) > 1 else labels
    return Choice(named, f"{target!r:.60} is none of the letters {shown}")


def _labels_named(text: str, labels: str) -> frozenset[str]:
    """The labels that a text names; empty if it names anything else."""
    bare = text.upper()
    several = [part.strip(_BARE) for part in _SEPARATED.split(bare) if part and part.strip(_BARE)]
    if len(several) == 1 and text.isupper() and list(text) == sorted(set(text)):
        several = list(text)  # ACD
    known = all(len(part) == 1 and part in labels for part in several)
    return frozenset(several) if known else frozenset()


def _indexed(target: Json, labels: str, given: bool) -> frozenset[str]:
    """The label at an index; empty if it is none."""
    if isinstance(target, float) and target.is_integer():
        target = int(target)
    text = str(target).strip()
    if not isinstance(target, int | str) or (isinstance(target, str) and not given):
        return frozenset()
    if not re.fullmatch(r"\d{1,4}", text, re.ASCII) or int(text) >= len(labels):
        return frozenset()
    return frozenset(labels[int(text)])


def no_number(target: Json) -> str | None:
    """Why a target is not a number; None where one can be read from it."""
    if number_target(target) is not None:
        return None
    return no_value(target) or f"{target!r:.60} is not a number"


def option_labels(options: Json, target: Json = None) -> str:
    """The labels of options given as labels (``"1234"``), their number, or their texts. Without
    options: A to D, or up to the target's own letter.

    >>> option_labels(5), option_labels("1234"), option_labels(["x", "y"]), option_labels(None, "F")
    ('ABCDE', '1234', 'AB', 'ABCDEF')
    """
    if isinstance(options, str) and options:
        return options.upper()
    if isinstance(options, dict):  # {"text": [...], "label": ["1", "2"]}
        labels = options.get("label") or options.get("labels")
        options = labels if labels is None else "".join(map(str, labels))
        return option_labels(options, target)
    if isinstance(options, list | tuple) and options:
        return LETTERS[: len(options)]
    if isinstance(options, int) and options > 0:
        return LETTERS[:options]
    letters = [c for c in str(target or "").upper() if c in LETTERS] if _lettered(target) else []
    highest = max((LETTERS.index(letter) for letter in letters), default=3)
    if isinstance(target, int | float) and not isinstance(target, bool) and 0 <= target < 26:
        highest = max(highest, int(target))
    return LETTERS[: max(4, highest + 1)]


def option_texts(options: Json, labels: str) -> dict[str, str]:
    """The text of each option by its label; empty where texts are not known.

    >>> option_texts(["red", "blue"], "AB"), option_texts("AB", "AB")
    ({'A': 'red', 'B': 'blue'}, {})
    """
    texts: Json = options
    if isinstance(options, dict):
        texts = options.get("text") or options.get("texts") or [options.get(c) for c in labels]
    if not isinstance(texts, list | tuple) or len(texts) != len(labels):
        return {}
    return {c: str(text) for c, text in zip(labels, texts, strict=True) if not missing(text)}


def _lettered(target: Json) -> bool:
    """Whether a target is letters of options and not a word."""
    if isinstance(target, list | tuple):
        return all(_lettered(item) for item in target)
    return isinstance(target, str) and max(map(len, re.findall(r"\w+", target)), default=0) == 1
