"""Targets that no answer can meet are found, by the scorers and before them."""

from __future__ import annotations

import math
from typing import Any

import pytest

import nemo_evaluator
from nemo_evaluator.environments.verdicts import to_score
from nemo_evaluator.scoring import targets
from nemo_evaluator.scoring.input import ScorerInput
from nemo_evaluator.types import Failure

BAD: list[tuple[str, Any]] = [
    *(("numeric_match", bad) for bad in ("soon", "", None, True, math.nan, [], ["5", "6"], {})),
    *(("multichoice_regex", bad) for bad in ("Z9", None, True, -1, 99, [], math.nan, "1.5")),
    *(
        (name, bad)
        for name in ("exact_match", "fuzzy_match", "answer_line", "trivia_match", "drop_match")
        for bad in (None, math.nan, "  ", [])
    ),
    ("includes", None),
    ("math_match", None),
]
GOOD: list[tuple[str, Any]] = [
    *(("numeric_match", good) for good in ("5", 5, 5.0, ["5"], "five", "#### 5", "$5", "5 apples")),
    *(("multichoice_regex", good) for good in ("A", "(a)", 0, 0.0, "0", ["A"], "A.")),
    ("exact_match", "Answer: A 5"),
    ("exact_match", ["x", "Answer: A 5"]),
]


@pytest.mark.parametrize(("scorer", "target"), BAD)
def test_an_unanswerable_target_is_said_before_and_in_the_verdict(scorer: str, target: Any) -> None:
    assert targets.unanswerable(scorer, target)
    verdict = getattr(nemo_evaluator, scorer)(ScorerInput("Answer: 5", target))
    assert (verdict["correct"], verdict["failure"]) == (False, "bad_target")
    assert to_score(verdict).failure is Failure.BAD_TARGET


@pytest.mark.parametrize(("scorer", "target"), GOOD)
def test_a_target_that_can_be_met_is_met(scorer: str, target: Any) -> None:
    assert targets.unanswerable(scorer, target) is None
    said = "Answer: A" if scorer == "multichoice_regex" else "Answer: A 5"
    said = "Answer: 5" if scorer == "numeric_match" else said
    assert getattr(nemo_evaluator, scorer)(ScorerInput(said, target))["correct"] is True


def test_none_and_nan_equal_no_text() -> None:
    for word, target in (("None", None), ("nan", math.nan), ("null", None)):
        assert nemo_evaluator.exact_match(ScorerInput(word, target))["correct"] is False


def test_an_answer_that_is_empty_is_empty_whatever_the_target() -> None:
    verdict = nemo_evaluator.numeric_match(ScorerInput("", "soon"))
    assert verdict["failure"] == "empty"


def test_scorers_of_others_are_not_judged() -> None:
    assert targets.unanswerable("my_scorer", None) is None


def test_options_decide_what_a_label_is() -> None:
    assert targets.unanswerable("multichoice_regex", "E", 4)
    assert targets.unanswerable("multichoice_regex", "E", 5) is None
    assert targets.unanswerable("multichoice_regex", 4, ["a", "b", "c", "d"])
    assert targets.unanswerable("multichoice_regex", "2", "1234") is None
