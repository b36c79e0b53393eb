"""MMLU: 57 subjects, four options (Hendrycks et al. 2021, arXiv 2009.03300).

Prompt: the multiple-choice instruction of openai/simple-evals. Metric: accuracy, by subject.
"""

from __future__ import annotations

from collections.abc import Mapping
from difflib import get_close_matches
from random import Random
from typing import Any

from ..environments.define import benchmark, scorer
from ..environments.rows import Dataset, load
from ..errors import ConfigError
from ..scoring.input import ScorerInput
from ..scoring.multichoice import multichoice_regex

DATASET = "hf://cais/mmlu?config=all&split=test"
INSTRUCTION = (
    "Answer the following multiple choice question. The last line of your response should be of "
    "the following format: 'Answer: $LETTER' (without quotes) where LETTER is one of {letters}. "
    "Think step by step before answering.\n\n{question}\n\n{options}"
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


def params(subjects: list[str] | str | None = None) -> Mapping[str, Any]:
    """``subjects``: one or several, named as in the dataset (``college_physics``); all unless
    given."""
    if not subjects:
        return {}
    chosen = [subjects] if isinstance(subjects, str) else sorted(subjects)
    return {"dataset": lambda: rows_of(chosen)}


def rows_of(subjects: list[str]) -> Dataset:
    """The test rows of some subjects. Raises ConfigError for one that does not exist."""
    data = load(DATASET)
    known = {row["subject"] for row in data.rows}
    if unknown := [subject for subject in subjects if subject not in known]:
        close = get_close_matches(unknown[0], known, n=3, cutoff=0.5)
        hint = f"did you mean {' or '.join(close)}?" if close else ", ".join(sorted(known))
        raise ConfigError(f"unknown subject {unknown[0]!r}", where="mmlu", hint=hint)
    rows = [row for row in data.rows if row["subject"] in subjects]
    return Dataset(rows=rows, name=data.name, revision=data.revision, digest=data.digest)


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
    return multichoice_regex(
        sample, options=len(sample.metadata["choices"]), asked=("answer_line",)
    )
