"""MMLU: 57 subjects, four options (Hendrycks et al. 2021, arXiv 2009.03300).

Prompt: the multiple-choice instruction of openai/simple-evals. Metric: accuracy, by subject.
"""

from __future__ import annotations

from collections.abc import Mapping
from random import Random
from typing import Any

from ..environments.define import benchmark, scorer
from ..environments.rows import Dataset, load
from ..scoring.input import ScorerInput
from ..scoring.primitives import multichoice_regex

DATASET = "hf://cais/mmlu?config=all&split=test"
INSTRUCTION = (
    "Answer the following multiple choice question. The last line of your response should be of "
    "the following format: 'Answer: $LETTER' (without quotes) where LETTER is one of {letters}. Think "
    "step by step before answering.\n\n{question}\n\n{options}"
)
LETTERS = "ABCDEFGHIJ"


def multiple_choice(row: dict[str, Any], choices: list[str], answer: int) -> dict[str, Any]:
    """The row with its options lettered; options that do not exist are not shown."""
    lettered = "\n".join(
        f"{letter}) {text}" for letter, text in zip(LETTERS, choices, strict=False)
    )
    return {
        **row,
        "options": lettered,
        "letters": LETTERS[: len(choices)],
        "choices": choices,
        "target": LETTERS[answer],
    }


def prepare(row: dict[str, Any], idx: int, rng: Random) -> dict[str, Any]:
    """Options in the dataset's order."""
    return multiple_choice(row, list(row["choices"]), int(row["answer"]))


def params(subjects: list[str] | None = None) -> Mapping[str, Any]:
    """``subjects``: only these (names as in the dataset, like ``college_physics``)."""
    if not subjects:
        return {}

    def chosen() -> Dataset:
        data = load(DATASET)
        rows = [row for row in data.rows if row["subject"] in subjects]
        return Dataset(rows=rows, name=data.name, revision=data.revision, digest=data.digest)

    return {"dataset": chosen, "extra": {"subjects": sorted(subjects)}}


@benchmark(
    name="mmlu",
    dataset=DATASET,
    prompt=INSTRUCTION,
    prepare_row=prepare,
    category_field="subject",
    params=params,
    inline=True,
)
@scorer
def mmlu(sample: ScorerInput) -> dict[str, Any]:
    """The last stated letter."""
    return multichoice_regex(sample, options=len(sample.metadata["choices"]))
