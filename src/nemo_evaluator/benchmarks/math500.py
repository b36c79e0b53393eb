"""MATH-500: 500 competition problems (Hendrycks et al. 2021; the split of Lightman et al. 2023).

Prompt: the MATH instruction of openai/simple-evals. Metric: equality of mathematics (1/2 is 0.5, a
set has no order), decided by our normaliser or, in doubt, by math-verify. By subject and level.
"""

from __future__ import annotations

from random import Random
from typing import Any

from ..environments.define import benchmark, scorer
from ..scoring.input import ScorerInput
from ..scoring.primitives import math_match_async

INSTRUCTION = (
    "Solve the following math problem step by step. The last line of your response should be of "
    "the form Answer: $ANSWER (without quotes) where $ANSWER is the answer to the problem.\n\n"
    "{problem}\n\n"
    'Remember to put your answer on its own line after "Answer:", and you do not need to use a '
    "\\boxed command."
)


def prepare(row: dict[str, Any], idx: int, rng: Random) -> dict[str, Any]:
    """The reference answer as target; its solution is not kept."""
    return {
        "problem": row["problem"],
        "target": row["answer"],
        "subject": row["subject"],
        "breakdowns": {"level": f"Level {row['level']}"},
        "unique_id": row.get("unique_id"),
    }


@benchmark(
    name="math500",
    dataset="hf://HuggingFaceH4/MATH-500?split=test",
    prompt=INSTRUCTION,
    prepare_row=prepare,
    category_field="subject",
)
@scorer
async def math500(sample: ScorerInput) -> dict[str, Any]:
    """The last stated or boxed answer."""
    return await math_match_async(sample, asked=("answer_line",))
