"""What a scorer is given: the response, the target and what surrounds them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ..types import Json


@dataclass(frozen=True, slots=True)
class ScorerInput:
    """One answer to grade.

    ``metadata`` is the dataset row without the target, ``config`` the benchmark's ``extra``.
    """

    response: str
    target: Json = None
    metadata: Mapping[str, Json] = field(default_factory=dict)
    config: Mapping[str, Json] = field(default_factory=dict)
    sandbox: Any = None
    judge: Any = None
    """Asks the benchmark's judge (``Judge`` of the environments' contract); None where none is
    configured. Only an ``async`` scorer can ask."""
