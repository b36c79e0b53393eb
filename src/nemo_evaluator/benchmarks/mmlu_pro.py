"""MMLU-Pro: fourteen fields, up to ten options (Wang et al. 2024, arXiv 2406.01574).

Prompt: simple-evals' multiple-choice instruction with as many letters as there are options.
Metric: accuracy, by field.
"""

from __future__ import annotations

from random import Random
from typing import Any

from ..environments.define import benchmark, scorer
from ..scoring.input import ScorerInput
from ..scoring.multichoice import multichoice_regex
from .mmlu import INSTRUCTION, multiple_choice


def prepare(row: dict[str, Any], idx: int, rng: Random) -> dict[str, Any]:
    """Options in the dataset's order; placeholders for absent ones are not shown."""
    choices = [option for option in row["options"] if option and option != "N/A"]
    answer = choices.index(row["options"][int(row["answer_index"])])
    row = {key: value for key, value in row.items() if key not in ("cot_content", "options")}
    return multiple_choice(row, choices, answer)


@benchmark(
    name="mmlu_pro",
    dataset="hf://TIGER-Lab/MMLU-Pro?split=test",
    prompt=INSTRUCTION,
    prepare_row=prepare,
    category_field="category",
    inline=True,
)
@scorer
def mmlu_pro(sample: ScorerInput) -> dict[str, Any]:
    """The stated letter, in the reading order of the authors' script."""
    return multichoice_regex(
        sample,
        options=len(sample.metadata["choices"]),
        order="first",
        asked=("answer_line",),
    )
