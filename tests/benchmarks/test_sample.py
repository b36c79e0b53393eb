"""The bundled benchmark: its facts are in order, and its prompts ask for what is read."""

from __future__ import annotations

import json
from collections import Counter
from importlib.resources import files

import pytest

from nemo_evaluator.environments.contract import VerifyTools
from nemo_evaluator.environments.registry import resolve
from nemo_evaluator.types import Solution

ROWS = [
    json.loads(line)
    for line in (files("nemo_evaluator.benchmarks") / "data" / "sample.jsonl")
    .read_text(encoding="utf-8")
    .splitlines()
]


def test_there_are_enough_different_problems() -> None:
    assert len(ROWS) == len({row["question"] for row in ROWS}) == 120
    assert min(Counter(row["category"] for row in ROWS).values()) >= 8
    assert set(Counter(row["kind"] for row in ROWS)) == {"number", "choice", "short"}


@pytest.mark.parametrize("row", [row for row in ROWS if row["kind"] == "choice"])
def test_choices_are_lettered_and_the_target_is_one(row: dict[str, str]) -> None:
    lines = [line for line in row["question"].splitlines() if line[1:3] == ") "]
    assert [line[0] for line in lines] == list("ABCD")
    assert len(set(lines)) == 4 and row["target"] in "ABCD"


@pytest.mark.parametrize("row", [row for row in ROWS if row["kind"] == "number"])
def test_numbers_are_numbers(row: dict[str, str]) -> None:
    assert float(row["target"]) == float(row["target"])


async def test_the_target_is_right_and_another_is_wrong() -> None:
    [sample] = resolve("sample", params={})
    await sample.prepare()
    for idx, row in enumerate(ROWS):
        problem = await sample.seed(idx)
        wrong = {"number": "-1234", "choice": "A" if row["target"] != "A" else "B"}.get(
            row["kind"], "nothing of the kind"
        )
        for answer, reward in ((row["target"], 1.0), (wrong, 0.0)):
            said = Solution(response=f"I think so.\nAnswer: {answer}")
            score = await sample.verify(problem, said, VerifyTools())
            assert score.reward == reward, (row, answer, score)
            assert score.extracted is not None
