"""How a dataset is asked and graded: as configured, as its columns say, or by its name.

Invariant: a dataset that is known to be graded by other rules is refused, and never graded by those
that come close.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from ...errors import ConfigError
from ..row_files import Row
from .rules import Kind, yes_or_no
from .table import options

BY_NAME: Mapping[str, Kind] = {
    "OCRBench": Kind.OCR,
    "ChartQA": Kind.CHART,
    "DocVQA": Kind.DOCUMENT,
    "InfoVQA": Kind.DOCUMENT,
    "TextVQA": Kind.PEOPLE,
    "OKVQA": Kind.PEOPLE,
    "MME": Kind.YES_OR_NO,
    "HallusionBench": Kind.YES_OR_NO,
    "POPE": Kind.YES_OR_NO,
    "MMVet": Kind.JUDGED,
    "MathVista": Kind.JUDGED,
    "MathVerse": Kind.JUDGED,
    "MathVision": Kind.JUDGED,
    "DynaMath": Kind.JUDGED,
    "WeMath": Kind.JUDGED,
    "LogicVista": Kind.JUDGED,
    "HLE": Kind.JUDGED,
    "SimpleVQA": Kind.JUDGED,
}
"""A name, alone or before what is no letter or digit (``ChartQA_TEST``) → how it is graded."""
OTHER_RULES = (
    *("OCRBench_v2", "ChartQAPro", "LLaVABench", "MIA-Bench", "MMDU", "WildVision", "MM-IFEval"),
    *("COCO_VAL", "OmniDocBench", "olmOCRBench", "ScreenSpot", "ChartMimic", "Design2Code"),
    *("MMLongBench_DOC", "SLIDEVQA", "DUDE", "TableVQABench", "CharXiv", "CORE_MM"),
)
"""Beginnings of names of datasets with rules of their own, which are not known here."""


def kind_by_name(name: str) -> Kind | None:
    """How a dataset of this name is graded; None where the name does not decide it."""
    return next((kind for known, kind in BY_NAME.items() if _begins(name, known)), None)


def kind_of(name: str, rows: Sequence[Row], configured: Kind | None, where: str) -> Kind:
    """How a dataset is asked and graded. Raises ConfigError where that is not known."""
    if configured is not None:
        return configured
    if any(options(row) for row in rows):
        return Kind.CHOICE
    if any(name.startswith(other) for other in OTHER_RULES):
        raise ConfigError(
            f"{name} is graded by rules of its own that are not known here",
            where=where,
            hint=f"params: {{type: ...}} chooses one of {', '.join(Kind)}",
        )
    if (kind := kind_by_name(name)) is not None:
        return kind
    says = all(yes_or_no(str(row["answer"])) == str(row["answer"]).strip().title() for row in rows)
    return Kind.YES_OR_NO if says else Kind.EXACT


def _begins(name: str, known: str) -> bool:
    return re.match(rf"{re.escape(known)}(?![A-Za-z0-9-])", name) is not None
