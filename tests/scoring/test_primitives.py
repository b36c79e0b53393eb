from __future__ import annotations

import time
from typing import Any

import pytest

from nemo_evaluator.environments.grades import to_score
from nemo_evaluator.kinds import SCORERS
from nemo_evaluator.scoring import primitives as p
from nemo_evaluator.scoring.input import ScorerInput
from nemo_evaluator.scoring.multichoice import multichoice_regex
from nemo_evaluator.scoring.numeric import numeric_match
from nemo_evaluator.scoring.targets import ImpossibleTarget, noticing
from nemo_evaluator.types import Failure

NUMERIC = [
    ("The answer is 10", "100", False),
    ("The answer is 100", "100", True),
    ("-7", "−7", True),
    ("It is 75%", "0.75", True),
    ("72 km/h", 72, True),
    ("first 5, then 7, so 12 apples in total", "12", True),
    ("1,234", 1234, True),
    ("so it is 1/3", "0.333", False),
    ("A: 3", "3", True),
    ("#### 3", "3", True),
    ("#### 3", "working\n#### 3", True),
    ("<think>4</think>5", "5", True),
]


@pytest.mark.parametrize(("response", "target", "correct"), NUMERIC)
def test_numeric_match(response: str, target: Any, correct: bool) -> None:
    assert numeric_match(ScorerInput(response, target))["correct"] is correct


def test_locale_and_tolerance_come_from_the_config() -> None:
    for said, target in (("1.234,5", "1234.5"), ("1.234", "1,234"), ("1,234", 1234)):
        german = ScorerInput(f"Antwort: {said}", target, config={"locale": "de"})
        assert numeric_match(german)["correct"]
    decimal = ScorerInput("Antwort: 1.234", "1.234", config={"locale": "de"})
    assert not numeric_match(decimal)["correct"]
    assert numeric_match(ScorerInput("0.333", "1/3", config={"tolerance": 0.001}))["correct"]


FUZZY = [
    ("the", "Theseus", False),
    ("It is not Paris, it is London", "Paris", False),
    ("It is not Paris, it is London", "London", True),
    ("The capital isn't Paris, it's London.", "London", True),
    ("The capital isn't Paris, it's London.", "Paris", False),
    ("The capital of France is Paris.", "Paris", True),
    ("The capital of France is not Paris.", "Paris", False),
    ("Paris", "paris!", True),
    ("Answer: Paris", "Paris", True),
    ("Parisian", "Paris", False),
    ("", "Paris", False),
    ("London or Paris", "Paris", False),
]


@pytest.mark.parametrize(("response", "target", "correct"), FUZZY)
def test_fuzzy_match(response: str, target: str, correct: bool) -> None:
    assert p.fuzzy_match(ScorerInput(response, target))["correct"] is correct


def test_aliases_count() -> None:
    sample = ScorerInput("The Big Apple", "New York", {"correct_answers": ["NYC", "Big Apple"]})
    assert p.fuzzy_match(sample)["correct"]
    assert not p.exact_match(sample)["correct"]
    assert p.trivia_match(sample) | {"span": None} == {
        "correct": True,
        "extracted": "The Big Apple",
        "rule": "whole",
        "span": None,
        "strict": True,
        "strict_correct": True,
        "em": 1.0,
        "f1": 1.0,
    }


def test_exact_match_is_of_the_whole_response() -> None:
    assert p.exact_match(ScorerInput("the Paris.", "Paris"))["correct"]
    assert not p.exact_match(ScorerInput("It is Paris", "Paris"))["correct"]
    assert not p.exact_match(ScorerInput("a", "the"))["correct"]


@pytest.mark.parametrize(
    ("response", "target", "metadata", "correct"),
    [
        ("Answer: A is tempting. Final Answer: B", "B", {}, True),
        ("<think>... Answer: A</think> Answer: C", "C", {}, True),
        ("Answer: C", 2, {"choices": ["w", "x", "y", "z"]}, True),
        ("Answer: F", "F", {"options": list("abcdefghij")}, True),
        ("Answer: F", "(F)", {}, True),
    ],
)
def test_a_letter_is_compared_with_the_target(
    response: str, target: Any, metadata: dict[str, Any], correct: bool
) -> None:
    verdict = multichoice_regex(ScorerInput(response, target, metadata))
    assert verdict["correct"] is correct


def test_answer_line_reads_the_last_line_without_its_markup() -> None:
    assert p.answer_line(ScorerInput("Answer: 3\n**Answer:** 42", "42"))["correct"]
    assert not p.answer_line(ScorerInput("Answer: 42\nAnswer: 3", "42"))["correct"]
    assert p.answer_line(ScorerInput("R=7", "7"), r"R=(\d)")["rule"] == "pattern"


def test_math_match() -> None:
    assert p.math_match(ScorerInput(r"so \boxed{\frac12}", "0.5"))["correct"]
    verdict = p.math_match(ScorerInput("Hence\n\\(x=3\\) follows\nas wished", "3"))
    assert (verdict["correct"], verdict["rule"], verdict["strict"]) == (True, "last_formula", False)


async def test_math_match_async_agrees() -> None:
    sample = ScorerInput("Answer: $(x+1)^2$", "x^2+2x+1")
    assert await p.math_match_async(sample) == p.math_match(sample)


def test_drop_match() -> None:
    sample = ScorerInput("They scored twice.\nAnswer: 14 points", ["14", "fourteen"])
    verdict = p.drop_match(sample)
    assert (verdict["correct"], verdict["em"], verdict["f1"]) == (False, 0.0, 0.67)


def test_drop_answers_with_several_spans() -> None:
    target = [["Smith", "Jones"], "Brown"]
    for response in ("Answer: Jones and Smith", "Answer: Smith, Jones", "Answer: Brown"):
        assert p.drop_match(ScorerInput(response, target))["correct"]
    assert p.drop_match(ScorerInput("Answer: Smith", target))["f1"] == 0.5


@pytest.mark.parametrize("target", [None, [], {}, True, "abc", float("nan")])
def test_a_target_that_is_no_number_equals_no_number(target: Any) -> None:
    assert numeric_match(ScorerInput("Answer: 1", target))["correct"] is False


CONFIG = {"pattern": r".*", "schema": {}}
IFEVAL = {"instruction_id_list": ["punctuation:no_comma"], "kwargs": [{}]}


@pytest.mark.parametrize("name", sorted(p.PRIMITIVES))
@pytest.mark.parametrize("response", ["", "  \n", "<think>Answer: 3", "<think>x</think>"])
@pytest.mark.parametrize("target", ["", "3", "A", "the", None, []])
def test_no_answer_is_never_correct(name: str, response: str, target: Any) -> None:
    verdict = p.PRIMITIVES[name](ScorerInput(response, target, IFEVAL, CONFIG))
    if verdict["failure"] == Failure.TARGET:
        assert (verdict["correct"], verdict["extracted"]) == (False, None)
        return
    score = to_score(verdict)
    assert (score.reward, bool(score.correct), score.extracted) == (0.0, False, None)
    assert not score.details.get("strict_correct")
    expected = Failure.TRUNCATED if response == "<think>Answer: 3" else Failure.EMPTY
    assert score.failure == expected


@pytest.mark.parametrize("name", sorted(set(p.PRIMITIVES) - {"ifeval", "json_schema"}))
@pytest.mark.parametrize("response", [".", "!?", "the", "Answer:", "\\boxed{}", "$$", "{}"])
@pytest.mark.parametrize("target", ["", "  ", [], [""]])
def test_no_target_is_never_met(name: str, response: str, target: Any) -> None:
    if name == "json_match" and target == []:
        return  # an empty list is JSON, and a target
    verdict = p.PRIMITIVES[name](ScorerInput(response, target, config=CONFIG))
    if verdict.get("failure") == Failure.TARGET:
        with pytest.raises(ImpossibleTarget):
            to_score(verdict)
        return
    score = to_score(verdict)
    assert (score.reward, bool(score.correct)) == (0.0, False)


IMPOSSIBLE = [
    ("multichoice_regex", target) for target in ("9", 2.5, -1, ["none"], None, "", True, "BB", 99)
] + [("numeric_match", target) for target in ("a dozen or so", ["x"], None, "", float("nan"), {})]
IMPOSSIBLE += [(n, t) for n in ("exact_match", "math_match") for t in (None, float("nan"), "", [])]


@pytest.mark.parametrize(("name", "target"), IMPOSSIBLE)
@pytest.mark.parametrize("response", ["Answer: A", "Answer: 12", "nan", "None", ""])
def test_a_target_that_no_answer_can_meet_is_said(name: str, target: Any, response: str) -> None:
    with noticing() as found:
        verdict = p.PRIMITIVES[name](ScorerInput(response, target))
    assert (verdict["correct"], verdict["failure"]) == (False, "impossible_target")
    assert found == [verdict["reason"]]


@pytest.mark.parametrize("target", ["A", "(b)", 0, 3, "d."])
def test_letters_and_indices_are_targets(target: Any) -> None:
    verdict = multichoice_regex(ScorerInput("Answer: A", target))
    assert verdict.get("failure") is None and verdict["extracted"] == "A"


@pytest.mark.parametrize(
    ("response", "failure"),
    [
        ("I cannot answer that.", "refusal"),
        ("I'm sorry, but I can't help with it.", "refusal"),
        ("Hmm, who knows", "format_error"),
    ],
)
def test_why_nothing_was_extracted(response: str, failure: str) -> None:
    for scorer, target in (
        (numeric_match, "3"),
        (multichoice_regex, "C"),
    ):
        verdict = scorer(ScorerInput(response, target))
        assert (verdict["extracted"], verdict["failure"]) == (None, failure)


def test_spans_point_into_the_raw_response() -> None:
    response = "<think>Answer: 3</think>So\nAnswer: 12 apples"
    verdict = numeric_match(ScorerInput(response, "12"))
    assert response[slice(*verdict["span"])] == "12"


def test_the_registry_describes_every_scorer() -> None:
    listed = dict(SCORERS.listed())
    assert listed["mcq_extract"] == listed["multichoice_regex"]
    assert all(listed.values())


_HOSTILE = [
    "a", "1", "1,", "answer ", "the answer is ", "Answer: ", "(", "{", "\\boxed{", "<think>",
    "</think>", "#", "* ", "\n", "$a", "option for ", "**A", "(A) x\n", "\\frac{1}{2}", "A is the ",
]  # fmt: skip


@pytest.mark.parametrize("piece", _HOSTILE)
def test_a_megabyte_of_anything_is_graded_in_linear_time(piece: str) -> None:
    response = piece * (500_000 // len(piece)) + "\nAnswer: 3"
    start = time.process_time()
    for scorer in (
        numeric_match,
        multichoice_regex,
        p.math_match,
        p.fuzzy_match,
        p.drop_match,
    ):
        scorer(ScorerInput(response, "3"))
    assert time.process_time() - start < 8


def test_a_usual_answer_costs_microseconds() -> None:
    sample = ScorerInput("We add the numbers step by step. " * 30 + "\nThe answer is 12.", "12")
    letter = ScorerInput("We look at each option in turn. " * 30 + "\nAnswer: C", "C")
    for scorer, given in (
        (numeric_match, sample),
        (multichoice_regex, letter),
    ):
        assert scorer(given)["correct"]
        assert min(_seconds(scorer, given) for _ in range(5)) < 150e-6


def _seconds(scorer: p.Scorer, sample: ScorerInput) -> float:
    start = time.process_time()
    for _ in range(200):
        scorer(sample)
    return (time.process_time() - start) / 200
