"""TriviaQA without context (Joshi et al. 2017, arXiv 1705.03551).

Metrics: exact match after the authors' normalisation, over all aliases, and token F1.
"""

from __future__ import annotations

from random import Random
from typing import Any

from ..environments.define import benchmark, scorer
from ..scoring.input import ScorerInput
from ..scoring.primitives import trivia_match


def prepare(row: dict[str, Any], idx: int, rng: Random) -> dict[str, Any]:
    """The value as target, its aliases as further accepted answers."""
    answer = row["answer"]
    aliases = dict.fromkeys([*(answer.get("aliases") or ()), *_normalized(answer)])
    return {
        "question": row["question"],
        "target": answer["value"],
        "correct_answers": [alias for alias in aliases if alias],
        "question_id": row.get("question_id"),
    }


def _normalized(answer: dict[str, Any]) -> list[str]:
    return [*(answer.get("normalized_aliases") or ()), answer.get("normalized_value") or ""]


@benchmark(
    name="triviaqa",
    dataset="hf://mandarjoshi/trivia_qa?config=rc.nocontext&split=validation",
    prompt=(
        "Answer the question with the name, date or thing it asks for, and nothing else.\n\n"
        "Question: {question}\nAnswer:"
    ),
    prepare_row=prepare,
    inline=True,
)
@scorer
def triviaqa(sample: ScorerInput) -> dict[str, Any]:
    """Exact match over aliases; F1 beside it."""
    verdict = trivia_match(sample, asked=("whole",))
    return {**verdict, "metrics": {"f1": verdict.get("f1", 0.0)}}
