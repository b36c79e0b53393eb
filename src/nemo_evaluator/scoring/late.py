"""Regular expressions that are compiled at their first use.

Scoring knows some two hundred of them and a benchmark needs a few: compiling all took a fifth of
the time in which a run starts. From the first use on a pattern costs what a compiled one costs.
"""

from __future__ import annotations

import re
from typing import cast

METHODS = ("search", "match", "fullmatch", "sub", "subn", "finditer", "findall", "split")


class LatePattern:
    """Behaves as the ``re.Pattern`` that it becomes."""

    __slots__ = ("_flags", "_text", *METHODS)

    def __init__(self, text: str, flags: int) -> None:
        self._text, self._flags = text, flags

    def __getattr__(self, name: str) -> object:
        """Called for what is not set: before the first use nothing is."""
        compiled = re.compile(self._text, self._flags)
        for method in METHODS:
            setattr(self, method, getattr(compiled, method))
        return getattr(compiled, name)


def late_pattern(text: str, flags: int = 0) -> re.Pattern[str]:
    """``re.compile``, later. Not for patterns of users, whose mistakes must be told at once."""
    return cast("re.Pattern[str]", LatePattern(text, flags))
