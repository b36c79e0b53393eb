"""Which rollouts a reader asked for: wrong ones, those without an answer, those with an error."""

from __future__ import annotations

import enum
from collections.abc import Mapping

from ..types import Outcome
from .result_row import ResultRow


class Kind(enum.StrEnum):
    """How a rollout ended, from a reader's view. Each rollout is of exactly one kind."""

    RIGHT = "right"
    WRONG = "wrong"
    """Scored, and an answer was found in the response."""
    NO_ANSWER = "no_answer"
    """Scored, though no answer was found."""
    ERROR = "error"
    """No verdict, or the model refused the request."""


def kind_of(row: ResultRow) -> Kind:
    """The kind of a rollout."""
    if row.reward is None or row.outcome is Outcome.MODEL_ERROR:
        return Kind.ERROR
    if is_right(row.reward, row.scoring_details):
        return Kind.RIGHT
    return Kind.NO_ANSWER if row.no_answer else Kind.WRONG


def is_right(reward: float, details: Mapping[str, object]) -> bool:
    """Whether an answer is right, as the verifier said; where a benchmark gives parts of a point,
    any part of it."""
    correct = details.get("correct")
    return correct if isinstance(correct, bool) else reward > 0
