"""Times that files tell as text, of any version and of other tools: ISO 8601, with or without a
zone and fractions of a second. They are put in order as times, never as text."""

from __future__ import annotations

import datetime
import math


def when(text: str | None) -> datetime.datetime | None:
    """A time of ISO 8601, which is UTC where it does not say; None for anything else."""
    try:
        found = datetime.datetime.fromisoformat(text) if text else None
    except ValueError:
        return None
    return found.replace(tzinfo=found.tzinfo or datetime.UTC) if found is not None else None


def order(text: str | None) -> float:
    """What such times are sorted by; a text that tells none comes first.

    >>> order("2030-01-01T00:00:00+00:00") < order("2030-01-01T00:00:00.001Z")
    True
    >>> order("2030-01-01T00:30:00+01:00") < order("2030-01-01T00:00:00")
    True
    >>> order("soon") == order(None) < order("1970-01-01")
    True
    """
    found = when(text)
    return -math.inf if found is None else found.timestamp()
