"""GSM8K: grade-school mathematics (Cobbe et al. 2021, arXiv 2110.14168).

The target is the number after ``####`` of the reference solution, commas removed. Metric: the last
stated number of the answer equals it exactly.
"""

from __future__ import annotations

from random import Random
from typing import Any

from ..environments.define import benchmark, scorer
from ..scoring.input import ScorerInput
from ..scoring.numeric import numeric_match


def prepare(row: dict[str, Any], idx: int, rng: Random) -> dict[str, Any]:
    """The number of the reference solution as target; its steps are not kept."""
    number = row["answer"].rpartition("####")[2].strip().replace(",", "")
    return {"question": row["question"], "target": number}


@benchmark(
    name="gsm8k",
    dataset="hf://openai/gsm8k?config=main&split=test",
    prompt=(
        "Solve the following problem step by step, then give the final number after the words "
        "'The answer is'.\n\n{question}"
    ),
    prepare_row=prepare,
    inline=True,
)
@scorer
def gsm8k(sample: ScorerInput) -> dict[str, Any]:
    """The last stated number, else the last number."""
    return numeric_match(sample, asked=("answer_is",))
