"""`-O key.path[0]=value`: one field of the document set from the command line.

The value is read as YAML writes it on one line: a number, ``true``, ``null`` (the field's default),
quoted text, ``[a, b]``, ``{a: 1}``, or else the text itself.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from ..errors import ConfigError
from .tree import KeyPath, Node, from_plain, plain, set_at
from .yaml_file import parse_yaml, scalar

_SEGMENT = re.compile(r"""\.?([^.\[\]"']+)|\[(\d+)\]|\.?\[?"([^"]+)"\]?|\.?\[?'([^']+)'\]?""")
FORM = "write key.path[0]=value"


def apply_overrides(root: Node, overrides: Sequence[str], flag: str = "-O") -> Node:
    """The tree with every override set, in order. ``flag``: as errors name where they were given.
    Raises ConfigError."""
    for text in overrides:
        try:
            path, value = parse_override(text)
            root = set_at(root, path, from_plain(value, flag))
        except LookupError as error:
            key = text.partition("=")[0]
            raise ConfigError(str(error.args[0]), where=f"{flag} {key}") from None
        except ConfigError as error:
            where = f"{flag}{(error.where or '').removeprefix('-O')}"
            raise ConfigError(error.what, where=where, hint=error.hint) from None
    return root


def parse_override(text: str) -> tuple[KeyPath, Any]:
    """Path and value of one override. Raises ConfigError."""
    key, equals, value = text.partition("=")
    if not equals or not key.strip():
        raise ConfigError(f"Invalid override format {key!r}", where="-O", hint=FORM)
    path = parse_key(key.strip())
    try:
        return path, parse_value(value)
    except ConfigError as error:
        hint = "close the bracket or quote, or quote the whole value"
        raise ConfigError(error.what, where=f"-O {key}", hint=hint) from None


def parse_key(key: str) -> KeyPath:
    """``a.b[0].c``, ``a.b.0.c`` and ``a["b.c"]`` as their parts. Raises ConfigError."""
    parts: list[str | int] = []
    position = 0
    while position < len(key):
        match = _SEGMENT.match(key, position)
        if match is None or (position == 0 and key[0] == "."):
            raise ConfigError(f"Invalid override key {key!r}", where="-O", hint=FORM)
        name = match[1] or match[3] or match[4]
        parts.append(int(match[2]) if match[2] is not None else name)
        position = match.end()
    return tuple(parts)


def parse_value(text: str) -> object:
    """The value of an override. Raises ConfigError for a list or quotes that do not close."""
    stripped = text.strip()
    if not stripped:
        return ""
    if stripped[0] not in "[{\"'":
        return scalar(stripped)
    return plain(parse_yaml(stripped, "-O"))
