"""What is left to do, and how a problem's texts are kept."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from nemo_evaluator.engine.backlog import journal_form
from nemo_evaluator.results.journal import ProblemSeeded, decode, encode
from nemo_evaluator.types import Problem

TEXT = st.text(min_size=0, max_size=120)


@given(question=TEXT, note=TEXT, filler=TEXT)
def test_a_problem_comes_back_from_the_journal_as_it_was(
    question: str, note: str, filler: str
) -> None:
    problem = Problem(
        idx=3,
        prompt=f"{filler}{question}{filler}",
        target="t",
        metadata={"question": question, "note": note, "n": 1},
    )
    event = decode(encode(journal_form(problem)))
    assert isinstance(event, ProblemSeeded)
    assert event.problem() == problem


def test_metadata_that_stands_in_the_prompt_is_not_stored_twice() -> None:
    question = "How many rolls are left when the bakery closes? " * 20
    problem = Problem(idx=0, prompt=f"Think. {question}", metadata={"question": question})
    line = encode(journal_form(problem))
    assert line.count(b"bakery") == 20
