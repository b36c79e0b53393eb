"""Reading a model's text is linear: four times the text costs about four times the CPU time.

CPU time, not wall-clock time, and a ratio, not a limit: a slow or busy machine changes neither.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import pytest

from nemo_evaluator.scoring import primitives as p
from nemo_evaluator.scoring.folding import readable
from nemo_evaluator.scoring.input import ScorerInput
from nemo_evaluator.scoring.multichoice import multichoice_regex
from nemo_evaluator.scoring.numeric import numeric_match
from nemo_evaluator.scoring.patterns import includes
from nemo_evaluator.scoring.structured import json_match

PIECES = [
    "(", "[", "{", "1", "1,", "1,11", "1 111 ", "1.", "-1", "1-", "1:", "5 ft 3 in ", "½", "−",
    "A ", "A and ", "(A) ", "A\n", "**A** ", "'", "Answer: ", "Answer: Because ", "答案是", "选",
    "Respuesta ", "the answer is ", "not 5. ", "x = 5 or ", "5 apples and ", "minus ", "one ",
    "two hundred and ", "<think>", "</think>", "`<think>`", "```\n<think>x\n", "[THINK]",
    "<|channel|>analysis<|message|>", "<|end|>", "\u200b", "e\u0301", "\\frac{1}{", "#", "+", "=",
    "C++", "10^", "$1$ ", "\n", " ", "3万", "5 million ",
]  # fmt: skip
READERS: list[Callable[[str], Any]] = [
    readable,
    lambda text: numeric_match(ScorerInput(text, "5")),
    lambda text: multichoice_regex(ScorerInput(text, "B")),
    lambda text: multichoice_regex(ScorerInput(text, "A, B")),
    lambda text: p.exact_match(ScorerInput(text, "B")),
    lambda text: p.fuzzy_match(ScorerInput(text, "B")),
    lambda text: p.answer_line(ScorerInput(text, "B")),
    lambda text: includes(ScorerInput(text, "B")),
    lambda text: json_match(ScorerInput(text, {})),
]
SMALL = 6_000
QUICK = 0.02
"""Seconds below which a ratio is noise."""


def seconds(reader: Callable[[str], Any], text: str) -> float:
    best = float("inf")
    for _ in range(2):
        start = time.process_time()
        reader(text)
        best = min(best, time.process_time() - start)
        if best < QUICK:
            break
    return best


@pytest.mark.parametrize("piece", PIECES)
def test_four_times_the_text_costs_about_four_times_the_time(piece: str) -> None:
    for ending in ("", "5B"):
        small = piece * (SMALL // len(piece)) + ending
        large = piece * (4 * SMALL // len(piece)) + ending
        for reader in READERS:
            spent = seconds(reader, large)
            if spent > QUICK:
                assert spent < 9 * seconds(reader, small) + QUICK, (piece, ending)
