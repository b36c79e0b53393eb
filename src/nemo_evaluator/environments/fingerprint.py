"""Short digests of code and texts, for telling whether two runs asked and graded the same way.

A function's digest covers the function itself: not its decorators, which name datasets and paths,
and not the lines around a lambda.
"""

from __future__ import annotations

import ast
import inspect
import textwrap
from typing import Any

from ..files.digests import digest as digest


def code_digest(name: str, *parts: object) -> str:
    """``name:code-…``: the name of a function or class with a digest of its source. Digests that
    are not marked so were made by an older rule, which took the decorators in."""
    return f"{name}:code-{digest(*parts)}"


def source_of(code: Any) -> str | None:
    """The source of a function or class without its decorators; its qualified name where there is
    no source."""
    if code is None:
        return None
    try:
        source = textwrap.dedent(inspect.getsource(code))
    except (OSError, TypeError):
        return getattr(code, "__qualname__", type(code).__qualname__)
    return _lambda(source) if getattr(code, "__name__", "") == "<lambda>" else _undecorated(source)


def _undecorated(source: str) -> str:
    try:
        statement = ast.parse(source).body[0]
    except (SyntaxError, IndexError):
        return source
    return "".join(source.splitlines(keepends=True)[statement.lineno - 1 :])


def _lambda(source: str) -> str:
    """The text of the only lambda of a source, which may be a fragment of a call; all of the
    source where there are several, or it cannot be parsed."""
    for text in (source, f"_({source.strip()})", f"_({source.strip()}"):
        try:
            tree = ast.parse(text)
        except SyntaxError:
            continue
        found = [node for node in ast.walk(tree) if isinstance(node, ast.Lambda)]
        if len(found) == 1:
            return ast.get_source_segment(text, found[0]) or source
    return source
