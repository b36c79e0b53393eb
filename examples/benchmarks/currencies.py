"""Short answers from a CSV file, with a second accepted spelling, by region."""

from random import Random
from typing import Any

from nemo_evaluator import ScorerInput, benchmark, fuzzy_match, scorer


def accepted(row: dict[str, Any], idx: int, rng: Random) -> dict[str, Any]:
    """Tell the scorer which other answers are right."""
    return {**row, "correct_answers": [row["also"]]}


@benchmark(
    name="currencies",
    dataset="currencies.csv",
    prompt="What is the currency of {country} called? End with a line 'Answer: ...'.",
    target_field="currency",
    prepare_row=accepted,
    category_field="region",
)
@scorer
def currencies(sample: ScorerInput) -> dict[str, Any]:
    """Right if the answer is one of the accepted."""
    return fuzzy_match(sample)
