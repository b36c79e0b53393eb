"""A benchmark of your own: three capitals."""

from nemo_evaluator import ScorerInput, benchmark, exact_match, scorer


@benchmark(
    name="capitals",
    dataset=lambda: [
        {"country": "France", "target": "Paris"},
        {"country": "Japan", "target": "Tokyo"},
        {"country": "Kenya", "target": "Nairobi"},
    ],
    prompt="What is the capital of {country}? Answer with the city only.",
)
@scorer
def capitals(sample: ScorerInput) -> dict:
    """Right if the answer is the city."""
    return exact_match(sample)
