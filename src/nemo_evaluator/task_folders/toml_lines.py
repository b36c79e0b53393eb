"""Where in a TOML text a key stands, for error messages. The text is valid TOML."""

from __future__ import annotations

import re
from collections.abc import Sequence

_HEADER = re.compile(r"\s*(\[\[?)\s*([^\[\]#]+?)\s*\]\]?\s*(?:#.*)?")
_KEY = re.compile(r"\s*([\w.\"'-]+)\s*=")


def line_of(text: str, path: Sequence[str | int]) -> int:
    """The line (from 1) of the key, of its table where it is not there, else 1.

    >>> line_of("version = '1'\\n[agent]\\ntimeout_sec = -1\\n", ["agent", "timeout_sec"])
    3
    >>> line_of("[[steps]]\\nname = 'a'\\n[[steps]]\\nname = 'b'\\n", ["steps", 1, "name"])
    4
    """
    best, line = 0, 1
    table: list[str | int] = []
    counts: dict[str, int] = {}
    for number, content in enumerate(text.splitlines(), 1):
        if header := _HEADER.fullmatch(content):
            table = _table(header[2], counts, repeated=header[1] == "[[")
            here = table
        elif key := _KEY.match(content):
            here = [*table, *_names(key[1])]
        else:
            continue
        shared = _shared(here, path)
        if shared > best and shared == len(here):
            best, line = shared, number
    return line


def _table(name: str, counts: dict[str, int], *, repeated: bool) -> list[str | int]:
    """The path of a table: arrays of tables are numbered as they come."""
    names = _names(name)
    if repeated:
        counts[name] = counts.get(name, -1) + 1
    path: list[str | int] = []
    for depth, part in enumerate(names, 1):
        path.append(part)
        if (index := counts.get(".".join(names[:depth]))) is not None:
            path.append(index)
    return path


def _names(dotted: str) -> list[str]:
    return [part.strip(" \"'") for part in dotted.split(".")]


def _shared(one: Sequence[str | int], other: Sequence[str | int]) -> int:
    """How many parts two paths have in common from their start."""
    count = 0
    for a, b in zip(one, other, strict=False):
        if a != b:
            break
        count += 1
    return count
