from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nemo_evaluator.scoring.choices import choice

CHOSEN = [
    ("Answer: A is tempting. Final Answer: B", "B"),
    ("**Answer:** (B)", "B"),
    ("**B**", "B"),
    ("(B)", "B"),
    ("\\boxed{B}", "B"),
    ("\\boxed{\\text{B}}", "B"),
    ("The answer is (B).", "B"),
    ("B.", "B"),
    ("b", "B"),
    ("Answer: B", "B"),
    ("Answer:\n\n**B**", "B"),
    ("the answer is b)", "B"),
    ("So our selection is option C. #### C ", "C"),
    ("The correct option is: D", "D"),
    ("I would go with B", "B"),
    ("Clearly (B) is the correct answer here", "B"),
    ("After some thought:\nB) Paris", "B"),
    ("**B) Paris**", "B"),
    ("The best answer that captures all of these is (C).", "C"),
    ("Answer: $\\text{B}$", "B"),
    ("The answer is A because of x", "A"),
    ("The answer is A. Wait, no. The answer is C.", "C"),
    ("<think>Answer</think><answer>D</answer>", "D"),
    ("A: no\nB: no\nAnswer: C) yes", "C"),
]


@pytest.mark.parametrize(("text", "letter"), CHOSEN)
def test_the_letter_chosen(text: str, letter: str) -> None:
    found = choice(text)
    assert found is not None
    assert found.value == letter
    assert text[slice(*found.span)].upper() == letter


NOT_CHOSEN = [
    "",
    "Answer: Because it is so",
    "Answer: E",
    "The answer is I think unclear",
    "The answer is a good one",
    "A) no\nB) maybe\nC) yes",
    "I cannot answer that.",
    "Answer: A person who sells",
]


@pytest.mark.parametrize("text", NOT_CHOSEN)
def test_no_choice(text: str) -> None:
    assert choice(text) is None


def test_options_bound_what_is_an_answer() -> None:
    assert choice("Answer: F") is None
    found = choice("Answer: F", options=10)
    assert found is not None
    assert found.value == "F"
    assert choice("Answer: C", options="AB") is None


def test_a_letter_outside_the_options_is_not_replaced_by_an_earlier_one() -> None:
    assert choice("Answer: B. No. Answer: Z") is None


def test_first_order_ignores_further_questions_but_not_the_line_asked_for() -> None:
    run_on = "The answer is (G).\n\nNow all the answers:\nThe answer is (H)."
    found = choice(run_on, options=10, order="first")
    assert found is not None
    assert found.value == "G"
    asked = choice("I thought the answer is (A), but\nAnswer: B", order="first")
    assert asked is not None
    assert asked.value == "B"


def test_strict_only() -> None:
    assert choice("**B**, I guess", lenient=False) is None
    found = choice("**B**, I guess")
    assert found is not None
    assert found.rule == "bold"


def test_a_pattern_replaces_the_rules() -> None:
    found = choice("pick=(c) pick=(d)", pattern=r"pick=\((\w)\)")
    assert found is not None
    assert (found.value, found.rule) == ("D", "pattern")
    assert choice("Answer: B", pattern=r"pick=(\w)") is None


@given(
    st.sampled_from("ABCD"),
    st.sampled_from(["{}", "({})", "**{}**", "{})", "{}.", "$\\boxed{{{}}}$"]),
)
def test_formatting_does_not_change_a_choice(letter: str, form: str) -> None:
    found = choice("Some thought, A or B.\nAnswer: " + form.format(letter))
    assert found is not None
    assert found.value == letter


@given(st.text(max_size=200))
def test_only_options_are_ever_chosen(text: str) -> None:
    found = choice(text, options="ABC")
    assert found is None or found.value in ("A", "B", "C")
