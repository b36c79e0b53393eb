"""The event of a journal that holds what an environment made of all its rows."""

from __future__ import annotations

from collections.abc import Mapping

from ..measured import Measure
from ..types import Record


class Aggregated(Record, frozen=True, kw_only=True, tag_field="event", tag="aggregated"):
    """The measures of a benchmark."""

    at: float
    """Unix time in seconds."""
    of: str
    """Which verdicts they are made of (``digest_of``)."""
    measures: tuple[Measure, ...]
    absent: Mapping[str, str] = {}
    """Why a measure has no value, by its key."""
