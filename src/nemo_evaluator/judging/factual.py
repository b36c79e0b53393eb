"""A judge's verdict on an answer to a question of fact: correct, incorrect, or no attempt.

The three-way rule is SimpleQA's (Wei et al. 2024, arXiv 2411.04368), in our own words.
"""

from __future__ import annotations

from typing import Any

from ..scoring.judged import Labels
from ..types import Failure
from .prompts import tagged

GRADES = {"A": "correct", "B": "incorrect", "C": "not_attempted"}
FORM = Labels(
    tuple(GRADES),
    {**{name: letter for letter, name in GRADES.items()}, "not attempted": "C"},
    field="grade",
)
GRADER = """\
Decide how an answer to a factual question fares against the known answer.

A (correct): the answer states everything of importance that the known answer holds, and nothing \
in it contradicts the known answer.
B (incorrect): something the answer states contradicts the known answer, be it hedged, be it \
beside the right one.
C (not attempted): what matters of the known answer is missing, and nothing contradicts it: the \
answer declines, says that it does not know, asks back, or stays vague.

Only the meaning counts: case, order, spelling slips in a name that is clearly meant, and the \
language of the answer do not matter. Doubt beside a full and right answer does not make it wrong. \
A number must be right to the last digit that the known answer gives; rounding it is fine, a wider \
range or "about" with another value is not. What the question already says need not be repeated, \
and what it does not ask for may be missing.
"""


def question(problem: str, target: object, response: str) -> str:
    """What the judge is asked."""
    shown = [tagged("question", problem), tagged("known_answer", str(target))]
    return "\n\n".join([GRADER, *shown, tagged("answer", response)])


def verdict(grade: str | None) -> dict[str, Any]:
    """The score of a grade; None stands for an empty answer, which attempts nothing."""
    name = GRADES[grade or "C"]
    correct, attempted = grade == "A", grade in ("A", "B")
    found: dict[str, Any] = {
        "correct": correct,
        "extracted": name if grade else None,
        "metrics": {
            **{each: float(each == name) for each in GRADES.values()},
            "accuracy_given_attempted": [float(correct), float(attempted)],
            "f_score": [2.0 * correct, 1.0 + attempted],
        },
    }
    return found if grade else {**found, "failure": Failure.EMPTY.value}
