"""GPQA diamond: graduate-level science, four options (Rein et al. 2023, arXiv 2311.12022).

The dataset is gated and asks not to be published: accept its conditions and set HF_TOKEN. Options
are shuffled by a generator seeded with the row's index, so a problem is the same in every run.
Prompt: simple-evals' multiple-choice instruction. Metric: accuracy, by domain.
"""

from __future__ import annotations

from random import Random
from typing import Any

from ..environments.define import benchmark, scorer
from ..scoring.input import ScorerInput
from ..scoring.multichoice import multichoice_regex
from .mmlu import INSTRUCTION, multiple_choice

WRONG = ("Incorrect Answer 1", "Incorrect Answer 2", "Incorrect Answer 3")


def prepare(row: dict[str, Any], idx: int, rng: Random) -> dict[str, Any]:
    """Options in an order fixed by the index; the target is the letter after shuffling."""
    texts = [str(row[name]).strip() for name in ("Correct Answer", *WRONG)]
    order = [0, 1, 2, 3]
    rng.shuffle(order)
    plain = {
        "question": str(row["Question"]).strip(),
        "domain": row.get("High-level domain"),
        "subdomain": row.get("Subdomain"),
    }
    return multiple_choice(plain, [texts[i] for i in order], order.index(0))


@benchmark(
    name="gpqa",
    dataset="hf://Idavidrein/gpqa?config=gpqa_diamond&split=train",
    prompt=INSTRUCTION,
    prepare_row=prepare,
    category_field="domain",
    inline=True,
)
@scorer
def gpqa(sample: ScorerInput) -> dict[str, Any]:
    """The last stated letter."""
    return multichoice_regex(sample, options=4, asked=("answer_line",))
