"""What pydantic finds wrong, in the words of a user: the path as written, what, how to fix."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import replace
from functools import partial
from types import NoneType
from typing import Annotated, Any, get_args, get_origin

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from ..errors import suggest
from .base import NAME, NO_VARIABLE, PLUGIN
from .mistakes import Mistake
from .scrubber import KNOWN, scrubber_of
from .secrecy import hidden_urls, redact, secret_field
from .tree import KeyPath


def explain(
    error: ValidationError, secrets: Collection[str], root: type[BaseModel]
) -> Iterator[Mistake]:
    """Every problem of a document, which is a ``root``. Neither these secrets nor others that the
    process knows are repeated."""
    clean = scrubber_of(frozenset(secrets))

    def shown(text: str) -> str:
        return KNOWN(clean(hidden_urls(redact(text, secrets))))

    for problem in _problems(error, secrets, root):
        hint = problem.hint and shown(problem.hint)
        yield replace(problem, what=shown(problem.what), hint=hint)


def _problems(
    error: ValidationError, secrets: Collection[str], root: type[BaseModel]
) -> Iterator[Mistake]:
    seen: list[KeyPath] = []
    # Deepest first: of the members of a union, the one that fits best says what is wrong.
    for detail in sorted(error.errors(include_url=False), key=lambda d: -len(d["loc"])):
        if detail["type"] == "cross_check":
            yield from detail["ctx"]["problems"]
            continue
        path, record, in_union = _walk(detail["loc"], root)
        if in_union and any(other[: len(path)] == path for other in seen):
            continue
        seen.append(path)
        if detail["type"] == PLUGIN:
            found: list[Mistake] = detail["ctx"]["problems"]
            yield from (replace(problem, path=(*path, *problem.path)) for problem in found)
            continue
        got = _got_text(detail.get("input"), path, secrets)
        what, hint = _words(detail, path, record, got)
        yield Mistake(path, what, hint)


def _got_text(value: object, path: KeyPath, secrets: Collection[str]) -> str:
    """`` (got 5)`` where that helps and tells no secret."""
    names = [str(part) for part in path[-2:]]
    if not isinstance(value, str | int | float | bool) or not names:
        return ""
    if secret_field(names[-1], names[0]) or any(secret in str(value) for secret in secrets):
        return ""
    text = repr(value).lower() if isinstance(value, bool) else repr(value)
    return f" (got {text})" if len(text) <= 80 else ""


def _words(
    detail: ErrorDetails, path: KeyPath, record: type[BaseModel] | None, got: str
) -> tuple[str, str | None]:
    kind, ctx = detail["type"], detail.get("ctx", {})
    if kind == "missing":
        return "is required", None
    if kind == "extra_forbidden":
        return "unknown field", suggest(str(path[-1]), record.model_fields if record else ())
    if kind == "union_tag_not_found":
        return "must be a mapping that includes a 'type' field", None
    if kind == "union_tag_invalid":
        known = {tag.strip(" '") for tag in ctx["expected_tags"].split(",")} - {NAME, PLUGIN}
        tag = str(ctx["tag"])
        return f"there is no type {tag!r}", suggest(tag, known)
    if kind == "value_error":
        return str(ctx["error"]), None
    if kind == "string_type" and got:
        return f"must be text{got}", "put it in quotes"
    if kind == "string_pattern_mismatch":
        # Who writes a key where its variable belongs must not find it in a log.
        return NO_VARIABLE, None
    if kind in _PHRASES:
        return _PHRASES[kind](ctx) + got, None
    message = detail["msg"].removeprefix("Input ")
    return message[0].lower() + message[1:] + got, None


def _fixed(text: str, _ctx: Mapping[str, object]) -> str:
    return text


def _entries(ctx: Mapping[str, object]) -> str:
    least = ctx["min_length"]
    return f"needs at least {least} {'entry' if least == 1 else 'entries'}"


_PHRASES: dict[str, Callable[[Mapping[str, Any]], str]] = {
    "greater_than": lambda ctx: f"must be greater than {ctx['gt']:g}",
    "greater_than_equal": lambda ctx: f"must be at least {ctx['ge']:g}",
    "less_than": lambda ctx: f"must be less than {ctx['lt']:g}",
    "less_than_equal": lambda ctx: f"must be at most {ctx['le']:g}",
    "enum": lambda ctx: f"must be one of {ctx['expected'].replace(' or ', ', ')}",
    "literal_error": lambda ctx: f"must be one of {ctx['expected'].replace(' or ', ', ')}",
    "too_short": _entries,
    "string_too_short": partial(_fixed, "must not be empty"),
    "string_type": partial(_fixed, "must be text"),
    "finite_number": partial(_fixed, "must be a finite number"),
    **dict.fromkeys(
        ("int_type", "int_parsing", "int_from_float"), partial(_fixed, "must be a whole number")
    ),
    **dict.fromkeys(("float_type", "float_parsing"), partial(_fixed, "must be a number")),
    **dict.fromkeys(("bool_type", "bool_parsing"), partial(_fixed, "must be true or false")),
    **dict.fromkeys(
        ("dict_type", "model_type", "model_attributes_type"), partial(_fixed, "must be a mapping")
    ),
    **dict.fromkeys(("list_type", "tuple_type"), partial(_fixed, "must be a list")),
}


def _walk(
    loc: tuple[int | str, ...], root: type[BaseModel]
) -> tuple[KeyPath, type[BaseModel] | None, bool]:
    """The path as written (pydantic's names of union members left out), the record it is in, and
    whether it is one of several readings of a union without tags."""
    in_union = False
    path: list[int | str] = []
    options: list[Any] = [root]
    record: type[BaseModel] | None = None
    for part in loc:
        chosen = [option for option in options if _label(option) == part]
        if len(options) > 1 and chosen:
            options = chosen
            in_union = in_union or not _is_record(chosen[0])
            continue
        if part == "[key]":
            continue
        path.append(part)
        record = next((option for option in options if _is_record(option)), None)
        options = _members_at(options, part)
    return tuple(path), record, in_union


def _members_at(options: list[Any], part: int | str) -> list[Any]:
    found = []
    for option in options:
        if _is_record(option):
            field = option.model_fields.get(str(part))
            found += _members(field.annotation) if field else []
        elif get_origin(option) in (dict, list):
            found += _members(get_args(option)[-1])
    return found


def _members(annotation: object) -> list[object]:
    """The types a value may have, unions and annotations taken apart."""
    origin = get_origin(annotation)
    if origin is Annotated:
        return _members(get_args(annotation)[0])
    if origin in (dict, list, tuple) or not get_args(annotation) or isinstance(annotation, type):
        return [annotation]
    return [m for a in get_args(annotation) if a is not NoneType for m in _members(a)]


def _label(option: Any) -> str | None:
    """What pydantic calls a member of a union in a location."""
    if _is_record(option):
        field = option.model_fields.get("type")
        known = get_args(field.annotation) if field else ()
        return str(known[0]) if known else PLUGIN if field else None
    return option.__name__ if isinstance(option, type) and not get_args(option) else str(option)


def _is_record(option: object) -> bool:
    return isinstance(option, type) and not get_args(option) and issubclass(option, BaseModel)
