"""``sample``: 120 mixed problems of our own, for trying things out without a network.

Numbers, multiple choice and short answers in eight categories. Easy on purpose: a score on it says
that everything works, not how good a model is.
"""

from __future__ import annotations

from typing import Any

from ..environments.define import benchmark, scorer
from ..scoring.input import ScorerInput
from ..scoring.multichoice import multichoice_regex
from ..scoring.numeric import numeric_match
from ..scoring.primitives import fuzzy_match

PROMPT = "{question}\n\nEnd your response with a line of the form 'Answer: ...'{form}."
ASKED = ("answer_line",)


@benchmark(
    name="sample",
    dataset="data/sample.jsonl",
    prompt=PROMPT,
    category_field="category",
    inline=True,
)
@scorer
def sample(sample: ScorerInput) -> dict[str, Any]:
    """By kind of problem."""
    kind = sample.metadata["kind"]
    if kind == "number":
        return numeric_match(sample, asked=ASKED)
    if kind == "choice":
        return multichoice_regex(sample, options=4, asked=ASKED)
    return fuzzy_match(sample, asked=ASKED)
