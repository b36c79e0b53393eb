"""From a judge's reply to its verdict, strictly.

Invariant: what is not plainly one number within the scale, or one of the labels, is no verdict. A
reply with two verdicts, a fraction of another scale, half a JSON object or a cut-off last line is
unreadable; nothing is rounded, clamped or guessed.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator
from typing import Any

from ..scoring.judged import Form, Labels, Ruling, Scale
from ..scoring.reasoning import visible

MAX_CHARS = 100_000
"""A longer reply is no verdict."""
MAX_OBJECTS = 200
EXPLANATION_CHARS = 2000
NAMES = ("score", "rating", "grade", "verdict", "label")
"""What a last line may call its verdict, besides the field's own name."""

_NUMBER = r"[0-9]{1,12}(?:\.[0-9]{1,12})?"
_PLAIN = re.compile(rf"({_NUMBER})(?:\s*(?:/|out of)\s*({_NUMBER}))?")
_MARKS = " \t*_`\"'"


def read(text: str, form: Form, *, truncated: bool = False) -> Ruling | None:
    """The verdict of a reply, or None if it cannot be read.

    ``truncated``: the reply was cut off, so only a whole JSON object counts.

    >>> read('{"reasoning": "fine", "score": 4}', Scale(5)).value
    4.0
    >>> read("Good.\\nScore: 4/5", Scale(5)).value, read("Score: 8/10", Scale(5))
    (4.0, None)
    """
    if len(text) > MAX_CHARS:
        return None
    shown = text.strip()
    objects = list(_objects(shown))
    if [(start, end) for _, start, end in objects] != [(0, len(shown))]:
        # Only if the reply is not a single JSON object: inside one, a tag would be quoted text.
        shown = visible(text).text.strip()
        objects = list(_objects(shown))
    found = [item for item, _, _ in objects if form.field in item]
    if not found and f'"{form.field}"' not in shown:
        return None if truncated else _from_lines(shown, form)
    rest = shown
    for _, start, end in reversed(objects):
        rest = rest[:start] + rest[end:]
    if f'"{form.field}"' in rest:
        return None  # half an object, or one that names its verdict twice
    ruling = _from_objects(found, form)
    values = {_text_value(value, form) for _, value in _verdict_lines(rest, form)}
    return None if ruling is None or values - {ruling.value} else ruling


def schema(form: Form) -> dict[str, Any]:
    """The JSON schema of a verdict: the reasons first, so that they come before the verdict."""
    value: dict[str, Any]
    if isinstance(form, Scale):
        value = {"type": "number", "minimum": form.lowest, "maximum": form.highest}
    else:
        value = {"type": "string", "enum": list(form.labels)}
    return {
        "type": "object",
        "properties": {"reasoning": {"type": "string"}, form.field: value},
        "required": ["reasoning", form.field],
        "additionalProperties": False,
    }


def instruction(form: Form) -> str:
    """How to reply, for the end of a prompt."""
    return (
        "Reply with one JSON object and nothing else: "
        f'{{"reasoning": "<your reasons, in short>", "{form.field}": <{allowed(form)}>}}'
    )


def repair(form: Form, number: int) -> str:
    """What is said to a judge whose reply could not be read; ``number`` counts from 1."""
    again = "" if number == 1 else f" (reminder {number})"
    return (
        f"Your reply holds no readable verdict{again}. Do not judge anew; state your verdict as "
        f"one JSON object and nothing else, with {form.field!r} being {allowed(form)}: "
        f'{{"reasoning": "<in short>", "{form.field}": ...}}'
    )


def allowed(form: Form) -> str:
    """What a verdict may be, in words."""
    if isinstance(form, Labels):
        return "one of " + ", ".join(json.dumps(label) for label in form.labels)
    return f"a number from {form.lowest:g} to {form.highest:g}"


def _from_objects(found: list[dict[str, object]], form: Form) -> Ruling | None:
    values = [_value(item[form.field], form) for item in found]
    if not values or None in values or len(set(values)) != 1:
        return None
    assert values[0] is not None
    why = found[-1].get("reasoning") or found[-1].get("explanation") or ""
    return Ruling(values[0], str(why)[:EXPLANATION_CHARS], "json")


def _from_lines(text: str, form: Form) -> Ruling | None:
    """The last line, where it says a verdict and no other line says another; or the whole reply."""
    lines = [line for line in text.splitlines() if line.strip()]
    if not lines:
        return None
    if len(lines) == 1 and (whole := _text_value(lines[0], form)) is not None:
        return Ruling(whole, "", "whole")
    verdicts = _verdict_lines(text, form)
    if not verdicts or verdicts[-1][0] != lines[-1]:
        return None
    values = {_text_value(value, form) for _, value in verdicts}
    if len(values) != 1 or (value := values.pop()) is None:
        return None
    return Ruling(value, "\n".join(lines[:-1])[:EXPLANATION_CHARS], "line")


def _verdict_lines(text: str, form: Form) -> list[tuple[str, str]]:
    """Lines that say a verdict by name, and what they say."""
    names = "|".join(sorted({re.escape(form.field), *NAMES}))
    named = re.compile(rf"[\s*_`#>-]*(?:final\s+|overall\s+)?(?:{names})[*_`]*\s*[:=](.*)", re.I)
    return [(line, match[1]) for line in text.splitlines() if (match := named.fullmatch(line))]


def _value(value: object, form: Form) -> float | str | None:
    if isinstance(value, str):
        return _text_value(value, form)
    if isinstance(form, Labels):
        return _label("yes" if value else "no", form) if isinstance(value, bool) else None
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return _within(value, form)


def _text_value(text: str, form: Form) -> float | str | None:
    """A bare number or label, with no more around it than emphasis, quotes and a full stop."""
    bare = text.strip(_MARKS).removesuffix(".").strip(_MARKS)
    if isinstance(form, Labels):
        return _label(bare, form)
    match = _PLAIN.fullmatch(bare)
    if match is None or (match[2] is not None and float(match[2]) != form.highest):
        return None
    return _within(float(match[1]), form)


def _label(text: str, form: Labels) -> str | None:
    folded = text.casefold()
    for label in form.labels:
        if label.casefold() == folded:
            return label
    return form.aliases.get(folded)


def _within(value: float, form: Scale) -> float | None:
    try:
        number = float(value)
    except OverflowError:
        return None
    inside = math.isfinite(number) and form.lowest <= number <= form.highest
    return number if inside else None


def _objects(text: str) -> Iterator[tuple[dict[str, object], int, int]]:
    """The JSON objects of a text, outermost ones, with their offsets."""
    decoder = json.JSONDecoder(object_pairs_hook=_without_duplicates, parse_constant=_no_constant)
    at = text.find("{")
    for _ in range(MAX_OBJECTS):
        if at < 0:
            return
        try:
            item, end = decoder.raw_decode(text, at)
        except (ValueError, RecursionError):
            end = at + 1
        else:
            yield item, at, end
        at = text.find("{", end)


def _without_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, object]:
    """Read an object without duplicate names: of two scores, neither is known to be meant."""
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a name appears twice")
    return found


def _no_constant(name: str) -> object:
    raise ValueError(f"{name} is not JSON")
