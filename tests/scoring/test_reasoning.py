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
    ("<|channel>thought\n12<channel|>C", "C", False),
    ("<|channel|>analysis<|message|>A", "", True),
    (
        "<|channel|>analysis<|message|>A<|end|><|start|>assistant<|channel|>final<|message|>C",
        "C",
        False,
    ),
    ("A<|end|><|start|>assistant<|channel|>final<|message|>C<|return|>", "C", False),
    (
        "<|channel|>commentary to=functions.f <|constrain|>json<|message|>{}<|call|>"
        "<|start|>assistant<|channel|>final<|message|>C",
        "C",
        False,
    ),
    ("analysisWe try A.assistantfinalC", "C", False),
    ("analysisWe try A.", "", True),
    ("analysis of A", "analysis of A", False),
    ("[THINK]A[/THINK]C", "C", False),
    ("[THINK]A", "", True),
    ("A[/THINK]C", "C", False),
    ("◁think▷A◁/think▷C", "C", False),
    ("◁think▷A", "", True),
    ("<seed:think>A</seed:think>C", "C", False),
    ('<think duration="3">A</think>C', "C", False),
    ("<|START_THINKING|>A<|END_THINKING|><|START_RESPONSE|>C<|END_RESPONSE|>", "C", False),
    ("<|begin_of_thought|>A<|end_of_thought|>C", "C", False),
    ("<|inner_prefix|>A<|inner_suffix|>C", "C", False),
    ("Here is my thought process: A. Here is my response: C", " C", False),
    ("Here is my thought process: A.", "", True),
    ("C<|im_end|>", "C", False),
    ("C</s>\n", "C", False),
    ("<s>C</s>", "<s>C</s>", False),
    ("<unused94>thought\nA<unused95>C", "C", False),
    ("<unused94>thought\nA", "", True),
    ("<|think|>A<|/think|>C", "C", False),
    ("<longcat_think>A</longcat_think>C", "C", False),
    ("<antThinking>A</antThinking>C", "C", False),
    ("<scratchpad>A</scratchpad>C", "C", False),
    ("C. (I did not use </think>.)", "C. (I did not use </think>.)", False),
    ("so A\n</think>.5 it is", ".5 it is", False),
    ("The <|channel|> token is special: C", "The <|channel|> token is special: C", False),
    ("use `<think>` here: C", "use `<think>` here: C", False),
    ("use the <think> tag: C", "use the <think> tag: C", False),
    ('use "<think>": C', 'use "<think>": C', False),
    ("between <think> and </think>: C", "between <think> and </think>: C", False),
    ("```\n# <think> x\n```\nC", "```\n# <think> x\n```\nC", False),
    ("```\n<think>A</think>\nC\n```", "```\n\nC\n```", False),
    ("<think>x</think>```py\n# <think>\n```\nC", "```py\n# <think>\n```\nC", False),
    ("<think>I say `</think>` now</think>C", "C", False),
    ("<think>```\n</think>C", "C", False),
    ("Okay <think> let me see", "", True),
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


_MARKS = (
    "<think>", "</think>", "`<think>`", "[THINK]", "[/THINK]", "◁think▷", "◁/think▷", "```\n",
    "<|channel|>analysis<|message|>", "<|channel|>final<|message|>", "<|end|>", "<channel|>",
    "Here is my thought process:", "Here is my response:", "x", " ", "\n", "</s>",
)  # fmt: skip


@given(st.lists(st.sampled_from(_MARKS), max_size=12))
def test_any_mixture_of_marks_maps_back_and_hides_once(marks: list[str]) -> None:
    response = "".join(marks)
    seen = visible(response)
    assert not (seen.unclosed and seen.text)
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
