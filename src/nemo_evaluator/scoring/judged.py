"""What a scorer and a judge say to each other: what a verdict may be, and the wish for one.

Data only. ``needs_judge`` is for scorers that cannot decide themselves; whoever runs the scorer has
the judge decide (``environments/judged.py``).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from ..types import Json
from .input import ScorerInput

KEY = "needs_judge"
"""The key of a scorer's verdict that holds its wish."""


@dataclass(frozen=True, slots=True)
class Scale:
    """A verdict that is a number."""

    highest: float
    lowest: float = 0.0
    field: str = "score"
    """Its name in the judge's reply."""


@dataclass(frozen=True, slots=True)
class Labels:
    """A verdict that is one of some words."""

    labels: tuple[str, ...]
    aliases: Mapping[str, str] = field(default_factory=dict)
    """Other ways to write a label, in lower case → the label."""
    field: str = "verdict"


Form = Scale | Labels


class Ruling(NamedTuple):
    """A readable verdict of a judge."""

    value: float | str
    """Within the scale, or one of the labels."""
    explanation: str = ""
    rule: str = ""
    """How it was read: ``json``, ``line`` or ``whole``."""


class Graded(NamedTuple):
    """An answer as a metric grades it."""

    value: float
    """0 to 1."""
    details: dict[str, Json]


@dataclass(frozen=True, slots=True)
class JudgeRequest:
    """A wish for a judgement. What is None is as the judge is configured."""

    rubric: str | None = None
    max_score: float | None = None
    reference_free: bool | None = None
    threshold: float | None = None
    """Share of the scale from which an answer counts as right; None: it is neither."""


def needs_judge(
    sample: ScorerInput | None = None,
    *,
    rubric: str | None = None,
    max_score: float | None = None,
    reference_free: bool | None = None,
    threshold: float | None = None,
    **details: Json,
) -> dict[str, object]:
    """What a scorer returns to have the configured judge grade the response.

    The judge sees the problem, the response and, unless ``reference_free``, the target. The reward
    is the grade as a share of the scale. ``rubric`` and ``max_score`` win over the configured
    ones; with a ``threshold`` (a share) the answer is right or wrong too. ``details`` are kept
    beside the verdict. Declare ``requirements=["judge"]`` so that a run without a judge is refused
    before it starts.

    Example: ``return needs_judge(sample, rubric="Is the tone friendly?", threshold=0.6)``.
    """
    if max_score is not None and not 0 < max_score < float("inf"):
        raise ValueError(f"max_score must be above 0, not {max_score!r}")
    if threshold is not None and not 0 < threshold <= 1:
        raise ValueError(f"threshold is a share above 0 and at most 1, not {threshold!r}")
    request = JudgeRequest(rubric, max_score, reference_free, threshold)
    return {KEY: request, **details}
