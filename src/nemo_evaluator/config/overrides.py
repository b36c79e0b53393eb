"""`-O key.path[0]=value`: one field of the document set from the command line."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from ..errors import ConfigError
from .yaml_file import Document, parse_yaml

SEGMENT = re.compile(r"\.?([^.\[\]]+)|\[(\d+)\]")


def apply_overrides(document: Document, overrides: Sequence[str]) -> None:
    """Set every override in order, in place. Raises ConfigError."""
    for text in overrides:
        key, equals, value = text.partition("=")
        if not equals or not key:
            raise ConfigError(
                f"Invalid override format {text!r}", where="-O", hint="write key.path[0]=value"
            )
        _set(document, parse_key(key), parse_value(value), text)


def parse_key(key: str) -> list[str | int]:
    """``a.b[0].c`` or ``a.b.0.c`` as its parts."""
    parts: list[str | int] = []
    position = 0
    while position < len(key):
        match = SEGMENT.match(key, position)
        if match is None:
            raise ConfigError(f"Invalid override key {key!r}", where="-O", hint="like a.b[0].c")
        parts.append(int(match[2]) if match[2] is not None else match[1])
        position = match.end()
    return parts


def parse_value(text: str) -> Any:
    """A YAML value (number, true, null, quoted text, list, mapping); else the text itself."""
    try:
        value = parse_yaml(text, "-O").data
    except ConfigError:
        return text
    if isinstance(value, str | int | float | bool | list | dict | None):
        number = re.fullmatch(r"[+-]?\d+(\.\d*)?[eE][+-]?\d+", text.strip())
        return float(text) if number else value
    return text


def _set(document: Document, parts: list[str | int], value: Any, text: str) -> None:
    container = document.data
    path: tuple[str | int, ...] = ()
    for position, part in enumerate(parts):
        last = position == len(parts) - 1
        key = _key(container, part, text)
        path = (*path, key)
        if last:
            if isinstance(container, dict) and value is None:
                container.pop(key, None)
            elif isinstance(container, list) and key == len(container):
                container.append(value)
            else:
                container[key] = value
            document.marks[path] = f"-O {text}"
        else:
            if isinstance(container, dict) and container.get(key) is None:
                container[key] = {}
            container = container[key]


def _key(container: Any, part: str | int, text: str) -> str | int:
    if isinstance(container, list):
        if not str(part).isdigit():
            raise ConfigError(f"Cannot index list with {str(part)!r}", where=f"-O {text}")
        index = int(part)
        if index > len(container):
            raise ConfigError(
                f"index {index} is beyond the {len(container)} entries", where=f"-O {text}"
            )
        return index
    if not isinstance(container, dict):
        raise ConfigError(
            f"nothing can be set below a {type(container).__name__}", where=f"-O {text}"
        )
    return str(part)
