"""What a judged score is corrected by, and what comes of it."""

from __future__ import annotations

from pathlib import Path

from ..errors import ConfigError
from ..files.reading import UNREADABLE, first_line, read_json
from ..stats.intervals import Interval
from ..stats.judge_error import MIN_LABELLED
from ..types import Record
from .calibration import Calibration

RESULT = "calibration.json"
"""File that `nel judge calibrate -o` writes."""


class Corrected(Record, frozen=True, kw_only=True, omit_defaults=False):
    """The score of one benchmark, as judged and as people would see it."""

    benchmark: str
    model: str
    metric: str
    raw: Interval
    corrected: Interval
    """Prediction-powered: raw, plus people's excess over the judge on the labelled rows."""
    rogan_gladen: Interval | None
    """By the judge's sensitivity and specificity; None where grades are no verdicts."""
    labelled: int
    judge: str
    """Model that was calibrated."""
    notes: tuple[str, ...]


def read_calibration(path: Path) -> Calibration:
    """The file, or the one in the folder, with enough labelled rows. Raises ConfigError."""
    path = path / RESULT if path.is_dir() else path
    try:
        found = read_json(path, Calibration)
    except (*UNREADABLE, OSError) as error:
        hint = "name the file or folder that nel judge calibrate -o wrote"
        raise ConfigError(
            f"is no calibration: {first_line(error)}", where=str(path), hint=hint
        ) from None
    if len(found.judged) < MIN_LABELLED:
        raise ConfigError(
            f"holds {len(found.judged)} labelled rows to correct by, {MIN_LABELLED} are needed",
            where=str(path),
            hint="repeat nel judge calibrate on rows with grades, or true and false, as labels",
        )
    return found
