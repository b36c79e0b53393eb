from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nemo_evaluator.scoring.reasoning import visible

CASES = [
    ("Answer: C", "Answer: C", False),
    ("<think>Answer: A</think> Answer: C", " Answer: C", False),
    ("<think>a</think>B<think>c</think>D", "BD", False),
    ("<think>a<think>b</think>c</think>D", "D", False),
    ("so A</think>C", "C", False),
    ("<think>the <think> tag</think>C", "C", False),
    ("Answer: C<think>sure?</think>", "Answer: C", False),
    ("<THINK>x</Think >C", "C", False),
    ("<thinking>x</thinking>C", "C", False),
    ("<think>never closed, Answer: A", "", True),
    ("Answer: A <think>hm", "", True),
    ("<think>a</think>b<think>c", "", True),
    ("<think>a <search>q</search> <answer>Rome</answer>\n", "<answer>Rome</answer>\n", False),
    ("a < b and c > d", "a < b and c > d", False),
    ("", "", False),
]


@pytest.mark.parametrize(("text", "shown", "unclosed"), CASES)
def test_what_is_visible(text: str, shown: str, unclosed: bool) -> None:
    seen = visible(text)
    assert (seen.text, seen.unclosed) == (shown, unclosed)


def test_reasoning_is_kept_aside() -> None:
    assert visible("<think>why</think>C").reasoning == "why"
    assert visible("<scratch>A</scratch>C").text == "<scratch>A</scratch>C"


@given(st.lists(st.tuples(st.text("abc <", max_size=8), st.text("xyz", max_size=8)), max_size=5))
def test_hidden_text_never_shows_and_spans_map_back(parts: list[tuple[str, str]]) -> None:
    response = "".join(f"<think>{hidden.upper()}</think>{shown}" for shown, hidden in parts)
    seen = visible(response)
    assert seen.text == "".join(shown for shown, _ in parts)
    for at in range(len(seen.text)):
        start, stop = seen.raw_span((at, at + 1))
        assert response[start:stop] == seen.text[at]


def test_plain_text_costs_next_to_nothing() -> None:
    text = "word " * 200
    best = min(_timed(text) for _ in range(5))
    assert best < 5e-6


def _timed(text: str) -> float:
    start = time.perf_counter()
    for _ in range(1000):
        visible(text)
    return (time.perf_counter() - start) / 1000
