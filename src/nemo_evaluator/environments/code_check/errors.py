"""Exceptions on their way across the border: the names of their classes, and their texts.

Runs inside the sandbox, on both sides. An exception that means "skipped" to what runs tests is no
exception of the program: it would pass every test.
"""

from __future__ import annotations

import sys

from .values import STDLIB, is_stdlib

VERDICTS = frozenset(["unittest", "doctest"])
"""Modules whose exceptions are a verdict to those who run tests (skipped, stop here)."""


def lineage(cls: type) -> list[str]:
    """The names of an exception class and its bases, as ``module:name``."""
    return [f"{c.__module__}:{c.__qualname__}" for c in cls.__mro__ if c is not object]


def is_error(module: str, path: str) -> bool:
    """Whether that names an exception of a loaded module of the standard library."""
    if module.partition(".")[0] not in STDLIB - VERDICTS:
        return False
    found = getattr(sys.modules.get(module), path, None)
    return isinstance(found, type) and issubclass(found, BaseException) and bool(is_stdlib(found))


def text_there(error: BaseException) -> str:
    """The text an exception had on the other side."""
    return str(error.__dict__.get("_text", error.args))


def text_of(error: BaseException) -> str:
    """The text of an exception; empty where it has none to give."""
    try:
        return str(error)[:2000]
    except Exception:
        return ""
