"""Targets that no answer can meet are found, by the scorers and before them."""

from __future__ import annotations

import math
from typing import Any

import pytest

import nemo_evaluator
from nemo_evaluator.environments.grades import to_score
from nemo_evaluator.scoring import targets
from nemo_evaluator.scoring.input import ScorerInput

BAD: list[tuple[str, Any]] = [
    *(("numeric_match", bad) for bad in ("soon", "", None, True, math.nan, [], ["5", "6"], {})),
    *(
        ("multichoice_regex", bad)
        for bad in ("Z9", "BAD", "1", None, True, -1, 99, [], math.nan, "1.5")
    ),
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
    *(("multichoice_regex", good) for good in ("A", "(a)", 0, 0.0, ["A"], "A.")),
    ("exact_match", "Answer: A 5"),
    ("exact_match", ["x", "Answer: A 5"]),
]


@pytest.mark.parametrize(("scorer", "target"), BAD)
def test_an_impossible_target_is_said(scorer: str, target: Any) -> None:
    with targets.noticing() as found:
        verdict = getattr(nemo_evaluator, scorer)(ScorerInput("Answer: 5", target))
    assert (verdict["correct"], verdict["failure"]) == (False, "impossible_target")
    assert found == [verdict["reason"]]
    with pytest.raises(targets.ImpossibleTarget):
        to_score(verdict)


@pytest.mark.parametrize(("scorer", "target"), GOOD)
def test_a_target_that_can_be_met_is_met(scorer: str, target: Any) -> None:
    said = "Answer: A" if scorer == "multichoice_regex" else "Answer: A 5"
    said = "Answer: 5" if scorer == "numeric_match" else said
    assert getattr(nemo_evaluator, scorer)(ScorerInput(said, target))["correct"] is True


def test_none_and_nan_equal_no_text() -> None:
    for word, target in (("None", None), ("nan", math.nan), ("null", None)):
        assert nemo_evaluator.exact_match(ScorerInput(word, target))["correct"] is False


def test_options_decide_what_a_label_is() -> None:
    assert targets.choice_target("E", targets.option_labels(4)).problem
    assert targets.choice_target("E", targets.option_labels(5)).one == "E"
    assert targets.choice_target(4, targets.option_labels(["a", "b", "c", "d"])).problem
    assert targets.choice_target("2", targets.option_labels("1234")).one == "2"
