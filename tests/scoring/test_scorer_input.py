"""`sample.target` is text, `sample.target_raw` the value; they never disagree."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from nemo_evaluator import ScorerInput, drop_match, exact_match, numeric_match
from nemo_evaluator.scoring.input import target_text


@pytest.mark.parametrize(
    ("raw", "text"), [(5, "5"), (2.5, "2.5"), (True, "True"), ("B", "B"), (["a"], "['a']")]
)
def test_the_text_of_a_target_is_that_of_str(raw: Any, text: str) -> None:
    sample = ScorerInput("?", target=target_text(raw), target_raw=raw)
    assert (sample.target, sample.target_raw) == (text, raw)


def test_without_a_raw_target_it_is_the_target() -> None:
    assert ScorerInput("?", 5).target_raw == 5
    assert ScorerInput("?").target_raw is None


def test_a_replaced_target_replaces_the_raw_one() -> None:
    sample = ScorerInput("12", target="7", target_raw=7)
    other = replace(sample, target="12")
    assert other.target_raw == "12"
    assert numeric_match(other)["correct"] and not numeric_match(sample)["correct"]


def test_lists_of_answers_stay_lists_for_our_scorers() -> None:
    answers = ["14", "fourteen"]
    sample = ScorerInput("fourteen", target=target_text(answers), target_raw=answers)
    assert exact_match(sample)["correct"] and drop_match(sample)["correct"]
    assert exact_match(replace(sample, response="14"))["correct"]
