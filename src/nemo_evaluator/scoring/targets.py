"""Targets that no answer can meet.

A scorer looks at its target before it looks at the answer, and says that it is impossible by the
verdict :func:`impossible`; that is never a silent 0. At plan time scorers are asked about every
row (:func:`noticing`).
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

from ..types import Failure, Json

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


def impossible(why: str) -> dict[str, Any]:
    """The verdict of a scorer whose target no answer can meet."""
    if (noticed := _NOTICED.get()) is not None:
        noticed.append(why)
    return {
        "correct": False,
        "extracted": None,
        "rule": None,
        "span": None,
        "failure": Failure.TARGET.value,
        "strict_correct": False,
        "reason": why,
    }


def no_value(target: Json) -> str | None:
    """Why a target is none: null, NaN, empty; None where it is one."""
    if target is None:
        return "it is null"
    if target != target:
        return "it is NaN"
    if isinstance(target, str):
        return None if target.strip() else "it is empty"
    if isinstance(target, list | tuple):
        reasons = [no_value(item) for item in target]
        return (reasons[0] if reasons else "it is an empty list") if all(reasons) else None
    return None


def no_letter(target: Json, letter: str, options: str | int) -> str | None:
    """Why ``letter``, as read from ``target``, is none of the options; None where it is one."""
    if (why := no_value(target)) is not None:
        return why
    letters = options if isinstance(options, str) else _letters(options)
    of_kind = isinstance(target, str) or type(target) is int
    if of_kind and len(letter) == 1 and letter in letters:
        return None
    shown = f"{letters[0]} to {letters[-1]}" if len(letters) > 1 else letters
    return f"{target!r:.60} is none of the letters {shown}"


def no_number(target: Json, number: object | None) -> str | None:
    """Why a target is no number; None where one was read from it."""
    if (why := no_value(target)) is not None:
        return why
    if number is None or isinstance(target, list | tuple):
        return f"{target!r:.60} is no number"
    return None


def _letters(count: int) -> str:
    return "".join(chr(ord("A") + i) for i in range(max(1, count)))
