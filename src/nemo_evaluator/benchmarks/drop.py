"""DROP: discrete reasoning over paragraphs (Dua et al. 2019, arXiv 1903.00161), 3-shot.

Examples from the training split show passage, question and answer. Metrics: the authors' exact
match (``pass@1``) and F1 (``mean_reward``), the best over the accepted answers. Questions on one
passage are one cluster.
"""

from __future__ import annotations

from random import Random
from typing import Any

from ..environments.define import benchmark, scorer
from ..scoring.input import ScorerInput
from ..scoring.primitives import drop_match


def prepare(row: dict[str, Any], idx: int, rng: Random) -> dict[str, Any]:
    """All accepted answers as target. In the training split, which has one annotator, several
    spans are one answer."""
    answers = list(row["answers_spans"]["spans"])
    return {
        "passage": row["passage"],
        "question": row["question"],
        "target": answers,
        "example_answer": ", ".join(answers),
        "section_id": row["section_id"],
        "query_id": row["query_id"],
    }


@benchmark(
    name="drop",
    dataset="hf://ucinlp/drop?split=validation",
    prompt=(
        "# Your task\n\nPassage: {passage}\nQuestion: {question}\n\n"
        'Think step by step, then write a line of the form "Answer: $ANSWER" at the end of your '
        "response."
    ),
    prepare_row=prepare,
    num_fewshot=3,
    fewshot_dataset="hf://ucinlp/drop?split=train",
    fewshot_format=(
        "# Example\n\nPassage: {passage}\nQuestion: {question}\nAnswer: {example_answer}"
    ),
    cluster_field="section_id",
    inline=True,
)
@scorer
def drop(sample: ScorerInput) -> dict[str, Any]:
    """Official exact match and F1; the reward is F1, as in simple-evals."""
    verdict = drop_match(sample, asked=("answer_line",))
    f1 = verdict.get("f1", 0.0)
    return {**verdict, "reward": f1, "metrics": {"f1": f1}}
