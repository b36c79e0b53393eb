"""JSON in responses: finding it, and holding it to a schema.

``extract_json`` reads what a strict parser accepts, wherever it stands; it never repairs.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Any, NamedTuple

from ..errors import ConfigError
from ..types import Extraction, Json
from .grade import Grade, grade, nothing
from .input import ScorerInput
from .late import late_pattern
from .reasoning import Visible, visible

_FENCE = late_pattern(r"```[ \t]*+(?:json|JSON|Json)?[ \t]*+\n(?P<body>.*?)```", re.DOTALL)
_OPENS = late_pattern(r"[{\[]")
_NEST = late_pattern(r"[{\[\s]*")
MAX_TRIES = 2000
"""Brackets at which a value is looked for; texts with more are not JSON with words around it."""


class Found(NamedTuple):
    """A JSON value and where it was found."""

    value: Json
    extraction: Extraction


def _refuse(name: str) -> object:
    raise ValueError(f"{name} is not JSON")


_DECODER = json.JSONDecoder(parse_constant=_refuse)


def find_json(text: str) -> Found | None:
    """The JSON of a text: the whole text, else the last fenced block that is JSON, else the last
    object or array in the text. A lone number, string or word counts only as the whole text."""
    stripped = text.strip()
    start = text.find(stripped)
    if (value := _parsed(stripped)) is not None:
        return _found_json(value[0], text, start, start + len(stripped), "whole")
    for match in reversed(list(_FENCE.finditer(text))):
        if (value := _parsed(match["body"].strip())) is not None:
            return _found_json(value[0], text, *match.span("body"), "fence")
    return _embedded(text)


def _found_json(value: Json, text: str, start: int, stop: int, rule: str) -> Found:
    return Found(value, Extraction(value=text[start:stop].strip(), rule=rule, span=(start, stop)))


def _parsed(text: str) -> tuple[Json] | None:
    try:
        return (json.loads(text, parse_constant=_refuse),) if text else None
    except (ValueError, RecursionError):
        return None


def _embedded(text: str) -> Found | None:
    """The last outermost object or array."""
    found, at = None, 0
    for _ in range(MAX_TRIES):
        match = _OPENS.search(text, at)
        if match is None:
            break
        try:
            value, stop = _DECODER.raw_decode(text, match.start())
        except RecursionError:  # nor can what is nested in it be read
            nest = _NEST.match(text, match.start())
            at = nest.end() if nest else match.end()
            continue
        except ValueError:
            at = match.end()
            continue
        found = _found_json(value, text, match.start(), stop, "embedded")
        at = stop
    return found


def extract_json(text: str) -> Json:
    """The JSON value of a text, or None (as for ``null``: use :func:`find_json` to tell them
    apart).

    >>> extract_json('Sure: ```json\\n{"a": [1, 2]}\\n``` as you asked')
    {'a': [1, 2]}
    """
    found = find_json(text)
    return None if found is None else found.value


def validate_json_schema(text: str, schema: Mapping[str, Json]) -> dict[str, Json]:
    """Whether the JSON of a text follows a schema (draft 2020-12).

    Returns ``valid``, ``extracted`` (the value), ``score`` (1.0 or 0.0) and ``errors`` (at most
    five, each with its path). Raises ConfigError where the schema itself is unsound or jsonschema
    is not installed.
    """
    found = find_json(text)
    if found is None:
        return {"valid": False, "extracted": None, "score": 0.0, "errors": ["no JSON found"]}
    problems = _problems(found.value, schema)
    valid = not problems
    return {
        "valid": valid,
        "extracted": found.value,
        "score": float(valid),
        "errors": problems,
    }


def _problems(value: Json, schema: Mapping[str, Json]) -> list[str]:
    validator = _validator(json.dumps(schema, sort_keys=True))
    from referencing.exceptions import Unresolvable

    try:
        errors = sorted(validator.iter_errors(value), key=lambda error: error.json_path)
    except Unresolvable as error:
        raise ConfigError(f"unsound JSON schema: {error}", where="schema") from None
    return [f"{error.json_path}: {error.message:.200}" for error in errors[:5]]


@lru_cache(maxsize=32)
def _validator(schema: str) -> Any:
    try:
        from jsonschema import Draft202012Validator
        from jsonschema.exceptions import SchemaError
        from referencing import Registry
    except ImportError:
        raise ConfigError(
            "JSON schemas need jsonschema", hint="pip install 'nemo-evaluator[scoring]'"
        ) from None
    loaded = json.loads(schema)
    try:
        Draft202012Validator.check_schema(loaded)
    except SchemaError as error:
        raise ConfigError(f"unsound JSON schema: {error.message}", where="schema") from None
    return Draft202012Validator(loaded, registry=Registry())  # which fetches nothing


def json_match(sample: ScorerInput) -> Grade:
    """The JSON in the response equals the target (JSON, or text that is JSON)."""
    seen = visible(sample.response)
    found = find_json(seen.text)
    if found is None:
        return nothing(seen)
    target = sample.target_raw
    if isinstance(target, str):
        parsed = _parsed(target)
        target = parsed[0] if parsed else target
    correct = _same_json(found.value, target)
    return _json_verdict(seen, found, correct)


def json_schema(sample: ScorerInput) -> Grade:
    """The JSON in the response follows ``config["schema"]`` (or ``metadata["schema"]``)."""
    seen = visible(sample.response)
    schema = sample.config.get("schema", sample.metadata.get("schema"))
    if not isinstance(schema, Mapping):
        raise ConfigError("json_schema needs a schema", where="config", hint="schema: {type: ...}")
    found = find_json(seen.text)
    if found is None:
        return nothing(seen)
    errors = _problems(found.value, schema)
    return {**_json_verdict(seen, found, not errors), "errors": errors}


def _json_verdict(seen: Visible, found: Found, correct: bool) -> Grade:
    result = grade(seen, found.extraction, correct, asked=("whole", "fence"))
    return {**result, "extracted": found.value}


def _same_json(a: Json, b: Json) -> bool:
    """Equal values; ``1`` is ``1.0`` and neither is ``true``."""
    if isinstance(a, bool) or isinstance(b, bool):
        return a is b
    if isinstance(a, dict) and isinstance(b, dict):
        return a.keys() == b.keys() and all(_same_json(a[key], b[key]) for key in a)
    if isinstance(a, list) and isinstance(b, list):
        return len(a) == len(b) and all(map(_same_json, a, b))
    return bool(a == b)
