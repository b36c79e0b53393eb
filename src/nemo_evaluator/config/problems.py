"""Validation errors as a user reads them: file:line, path, what is wrong, how to mend it."""

from __future__ import annotations

from collections.abc import Mapping
from difflib import get_close_matches
from typing import Any

from pydantic import BaseModel, ValidationError

from ..errors import ConfigError
from .root import EvalConfig
from .yaml_file import KeyPath


def as_config_error(error: ValidationError, data: Any, marks: Mapping[KeyPath, str]) -> ConfigError:
    """All problems of one document in one error, a line each."""
    lines = []
    for problem in error.errors():
        path = _written_path(problem["loc"], data)
        where = locate(path, marks)
        prefix = f"{where}: " if where else ""
        dotted = format_path(path)
        lines.append(f"{prefix}{dotted + ': ' if dotted else ''}{_explain(problem, path, data)}")
    head = "" if len(lines) == 1 else f"{len(lines)} problems in the configuration:\n"
    return ConfigError(head + "\n".join(lines))


def locate(path: KeyPath, marks: Mapping[KeyPath, str]) -> str:
    """``file:line`` of a path, or of the nearest part above it that was written."""
    for length in range(len(path), -1, -1):
        if path[:length] in marks:
            return marks[path[:length]]
    return ""


def format_path(path: KeyPath) -> str:
    """``benchmarks[0].solver.type``"""
    text = ""
    for part in path:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else str(part)
    return text


def _written_path(loc: tuple[int | str, ...], data: Any) -> KeyPath:
    """The location without the union tags pydantic puts in between."""
    path: list[int | str] = []
    value = data
    for position, part in enumerate(loc):
        last = position == len(loc) - 1
        if isinstance(value, dict) and part in value:
            value = value[part]
        elif isinstance(value, list) and isinstance(part, int) and part < len(value):
            value = value[part]
        elif not last:
            continue
        elif isinstance(value, dict) and value.get("type") == part:
            continue
        path.append(part)
    return tuple(path)


def _explain(problem: Any, path: KeyPath, data: Any) -> str:
    kind, message = problem["type"], problem["msg"]
    if kind == "extra_forbidden":
        return _unknown_field(problem["loc"], str(path[-1]))
    if kind == "missing":
        return "is required"
    if kind == "union_tag_not_found":
        return "must include a 'type' field"
    if kind == "union_tag_invalid":
        tags = [tag.strip(" '") for tag in problem["ctx"]["expected_tags"].split(",")]
        tag = str(problem["ctx"]["tag"])
        return f"there is no type {tag!r}{_suggest(tag, tags)}; types: {', '.join(tags)}"
    if kind == "value_error":
        return str(message).removeprefix("Value error, ")
    got = problem.get("input")
    shown = f" (got {got!r})" if isinstance(got, str | int | float | bool) else ""
    return f"{message[0].lower()}{message[1:]}{shown}"


def _unknown_field(loc: tuple[int | str, ...], name: str) -> str:
    names = _field_names(loc)
    return f"unknown field{_suggest(name, names)}; fields: {', '.join(sorted(names))}"


def _suggest(name: str, names: list[str]) -> str:
    close = get_close_matches(name, names, n=1, cutoff=0.6)
    return f" (did you mean {close[0]!r}?)" if close else ""


def _field_names(loc: tuple[int | str, ...]) -> list[str]:
    """Fields of the record that a location is in."""
    model: Any = EvalConfig
    annotation: Any = None
    for part in loc[:-1]:
        if isinstance(model, type) and issubclass(model, BaseModel) and part in model.model_fields:
            annotation = model.model_fields[str(part)].annotation
        models = _models(annotation)
        tagged = [m for m in models if _tag(m) == part]
        model = tagged[0] if tagged else models[0] if len(models) == 1 else model
        if tagged:
            annotation = None
    fields = model.model_fields if isinstance(model, type) and issubclass(model, BaseModel) else {}
    return list(fields)


def _models(annotation: Any) -> list[Any]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    found = []
    for argument in getattr(annotation, "__args__", ()):
        found += _models(argument)
    return found


def _tag(model: Any) -> str | None:
    field = model.model_fields.get("type")
    arguments = getattr(field.annotation, "__args__", ()) if field else ()
    return arguments[0] if arguments else None
