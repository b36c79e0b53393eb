"""Time limits as batch systems write them."""

from __future__ import annotations

import re

_WALLTIME = re.compile(r"^(?:(\d+)-)?(\d{1,2}):([0-5]\d):([0-5]\d)$")


def walltime_seconds(text: str) -> int:
    """Seconds of ``HH:MM:SS`` or ``D-HH:MM:SS``. Raises ValueError for anything else."""
    match = _WALLTIME.match(text)
    if match is None:
        raise ValueError(f"{text!r} is not HH:MM:SS or D-HH:MM:SS")
    days, hours, minutes, seconds = (int(part or 0) for part in match.groups())
    return ((days * 24 + hours) * 60 + minutes) * 60 + seconds
