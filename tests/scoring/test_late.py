"""Patterns that are compiled at their first use behave as compiled ones; all of them compile."""

from __future__ import annotations

import importlib
import pkgutil
import re

from nemo_evaluator import scoring
from nemo_evaluator.scoring.late import METHODS, LatePattern, late_pattern


def test_a_late_pattern_is_the_pattern() -> None:
    late, compiled = late_pattern(r"(?P<a>b+)c", re.IGNORECASE), re.compile(r"(?P<a>b+)c", re.I)
    assert late.sub("x", "aBBc") == compiled.sub("x", "aBBc") == "ax"
    assert late.search is late.search, "compiled once"
    assert (late.pattern, late.flags, late.groupindex) == (r"(?P<a>b+)c", compiled.flags, {"a": 1})
    assert set(METHODS) == {m for m in dir(compiled) if not m.startswith("_")} - {
        "flags", "groupindex", "groups", "pattern", "scanner",
    }  # fmt: skip


def patterns(thing: object, depth: int = 3) -> list[LatePattern]:
    """The late patterns in a value of a module."""
    if isinstance(thing, LatePattern):
        return [thing]
    parts = list(thing.values()) if isinstance(thing, dict) else thing
    if depth and isinstance(parts, list | tuple):
        return [found for part in parts for found in patterns(part, depth - 1)]
    return []


def test_every_pattern_of_scoring_compiles() -> None:
    found = 0
    for module in pkgutil.iter_modules(scoring.__path__, f"{scoring.__name__}."):
        for value in vars(importlib.import_module(module.name)).values():
            for pattern in patterns(value):
                pattern.search("")
                found += 1
    assert found > 100
