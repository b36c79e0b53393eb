"""Right answers are accepted, wrong ones never, by the scorers that will see them."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nemo_evaluator.scoring.input import ScorerInput
from nemo_evaluator.scoring.multichoice import multichoice_regex
from nemo_evaluator.scoring.numeric import numeric_match
from nemo_evaluator.scoring.primitives import (
    answer_line,
    drop_match,
    fuzzy_match,
    math_match,
    trivia_match,
)
from nemo_evaluator.services.simulated.answers import guess, options, right_answer, wrong_answer
from nemo_evaluator.services.simulated.prose import SENTENCES, filler
from nemo_evaluator.types import Json

CHOICES = "Which?\n\nA) one\nB) two\nC) three\nD) four\n"
NUMBERS = st.integers(0, 2**64 - 1)


def said(target: Json, prompt: str, number: int, *, right: bool) -> str:
    answer = right_answer(target, prompt)
    assert answer is not None
    if not right:
        answer = wrong_answer(target, answer, prompt, number)
    return f"{filler(number, 120)}\n\nAnswer: {answer}"


def sample(response: str, target: Json) -> ScorerInput:
    return ScorerInput(response=response, target=target)


@given(st.integers(-(10**6), 10**6) | st.decimals(-1000, 1000, places=2), NUMBERS)
def test_right_and_wrong_numbers_are_graded_so(value: object, number: int) -> None:
    target = str(value)
    for right in (True, False):
        verdict = numeric_match(sample(said(target, "How many?", number, right=right), target))
        assert verdict["correct"] is right
        assert verdict["rule"] == "answer_line"


@given(st.sampled_from("ABCDEFGHIJ"), NUMBERS)
def test_right_and_wrong_letters_are_graded_so(letter: str, number: int) -> None:
    for right in (True, False):
        response = said(letter, "", number, right=right)
        verdict = multichoice_regex(sample(response, letter))
        assert verdict["correct"] is right and verdict["extracted"] is not None


@given(st.integers(0, 3), NUMBERS)
def test_an_index_is_a_letter_where_the_prompt_has_options(index: int, number: int) -> None:
    for right in (True, False):
        verdict = multichoice_regex(sample(said(index, CHOICES, number, right=right), index))
        assert verdict["correct"] is right and verdict["extracted"] in "ABCD"


@settings(deadline=None)  # a worker process may have to start
@given(
    st.sampled_from([r"\frac{1}{2}", r"x^2+1", r"(3, \frac{\pi}{2})", r"3\sqrt{13}", r"[-2,7]"]),
    NUMBERS,
)
def test_right_and_wrong_formulas_are_graded_so(target: str, number: int) -> None:
    for right in (True, False):
        verdict = math_match(sample(said(target, "", number, right=right), target))
        assert verdict["correct"] is right


@given(
    st.sampled_from(["Paris", "the Eiffel Tower", "St. John's", "U.S.", "No", "true", "Müller"]),
    NUMBERS,
)
def test_short_texts(target: str, number: int) -> None:
    for right in (True, False):
        response = sample(said(target, "", number, right=right), target)
        for scorer in (answer_line, fuzzy_match, trivia_match):
            assert scorer(response)["correct"] is right, scorer.__name__


@pytest.mark.parametrize(
    "target",
    [["3", "three"], [["Bears"], ["the Bears"]], ["42-yard"], ["May", "in May"], ["1,234"]],
)
def test_answers_of_several_annotators(target: Json) -> None:
    for number in range(200):
        for right in (True, False):
            verdict = drop_match(sample(said(target, "", number, right=right), target))
            assert verdict["correct"] is right
            assert right or verdict["f1"] == 0


@pytest.mark.parametrize(
    ("target", "expected"),
    [
        (72, "72"),
        (3.5, "3.5"),
        (True, "True"),
        ("48 / 2 = 24\n#### 72", "72"),
        ({"value": "Paris", "aliases": ["Lutetia"]}, "Paris"),
        ({"other": [["a", "b"]]}, "a, b"),
        ([["Bears", "Lions"], ["Bears"]], "Bears, Lions"),
        ("two\nlines", "two lines"),
        (None, None),
        ([], None),
        ("", None),
        ({}, None),
    ],
)
def test_what_a_target_says(target: Json, expected: str | None) -> None:
    assert right_answer(target, "") == expected


@given(st.lists(st.integers(0, 60).map(str), min_size=1, max_size=20, unique=True), NUMBERS)
def test_a_wrong_number_is_none_of_the_accepted_ones(aliases: list[str], number: int) -> None:
    assert wrong_answer(aliases, aliases[0], "", number) not in aliases


def test_options_are_those_the_prompt_ends_with() -> None:
    shots = "Q\nA) x\nB) y\nC) z\nAnswer: B\n\n"
    assert options(shots + CHOICES) == "ABCD"
    assert options(CHOICES + shots) == "ABC"
    assert options("(A) x\n(B) y") == "AB"
    assert options("What is 2+2? A. Nobody knows") == ""


def test_a_guess_is_one_of_the_options_or_a_number() -> None:
    assert {guess(CHOICES, n) for n in range(100)} == set("ABCD")
    assert guess("How many?", 41) == "42"


@given(NUMBERS, st.integers(-20, 5000))
def test_filler_is_whole_sentences_near_the_length(number: int, chars: int) -> None:
    text = filler(number, chars)
    assert text.endswith(".") and not any(c.isdigit() for c in text)
    assert text.startswith(SENTENCES)
    longest = max(map(len, SENTENCES)) + 1
    assert abs(len(text) - max(chars, 0)) <= longest
