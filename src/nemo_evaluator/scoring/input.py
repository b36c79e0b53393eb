"""What a scorer is given: the response, the target and what surrounds them.

``target`` is text, as a dataset's file would show it; ``target_raw`` is the value itself. The two
never disagree: who replaces ``target`` replaces both.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ..asked import Answer
from ..types import Json

_AS_TARGET: Any = object()


@dataclass(frozen=True, slots=True)
class ScorerInput:
    """One answer to grade.

    ``metadata`` is the dataset row, ``config`` the benchmark's ``extra``: values of the user's own,
    whose types only the scorer knows.
    """

    response: str
    target: Any = None
    """What is expected, as text (``5`` is ``"5"``)."""
    metadata: Mapping[str, Any] = field(default_factory=dict)
    config: Mapping[str, Any] = field(default_factory=dict)
    sandbox: Any = None
    judge: Any = None
    """Asks the benchmark's judge (``Judge`` of the environments' contract); None where none is
    configured. Only an ``async`` scorer can ask."""
    answers: Sequence[Answer] = ()
    """One for each of the problem's ``requests``, where it has any."""
    target_raw: Any = _AS_TARGET
    """What is expected, of the type it has in the row: a number, a list of answers."""

    def __post_init__(self) -> None:
        raw = self.target_raw
        if raw is not self.target and (raw is _AS_TARGET or target_text(raw) != self.target):
            object.__setattr__(self, "target_raw", self.target)


def target_text(target: Json) -> str:
    """A target as scorers see it: text stays, anything else is ``str()`` of it.

    >>> target_text(5), target_text("B"), target_text(["a", "b"]), target_text(None)
    ('5', 'B', "['a', 'b']", '')
    """
    if isinstance(target, str):
        return target
    return "" if target is None else str(target)
