"""What a scorer is given."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ..types import Json


@dataclass(frozen=True, slots=True)
class ScorerInput:
    """One answer to be scored."""

    response: str
    """The answer, with the model's reasoning already removed."""
    target: Json
    metadata: Mapping[str, Json] = field(default_factory=dict)
    """The dataset row without its target."""
    config: Mapping[str, Json] = field(default_factory=dict)
    """The benchmark's ``extra``."""
    sandbox: Any = None
