"""A problem of several turns, with a scorer of its own that gives part of the points."""

from typing import Any

from nemo_evaluator import ScorerInput, SeedResult, benchmark, scorer

ROWS = [
    {"items": ["flour", "eggs", "milk"], "dropped": "milk"},
    {"items": ["rope", "tent", "lamp"], "dropped": "tent"},
]


def talk(row: dict[str, Any], idx: int) -> SeedResult:
    """A list, a change of mind, and the question what is left."""
    said = [
        ("user", f"My list: {', '.join(row['items'])}."),
        ("assistant", "Noted."),
        ("user", f"Take {row['dropped']} off. What is left? Name the things, nothing else."),
    ]
    return SeedResult(
        messages=[{"role": role, "content": text} for role, text in said],
        expected_answer=[item for item in row["items"] if item != row["dropped"]],
        metadata={"dropped": row["dropped"]},
    )


@benchmark(name="shopping", dataset=ROWS, seed_fn=talk)
@scorer
def shopping(sample: ScorerInput) -> dict[str, Any]:
    """The share of the items named; nothing if the dropped one is named."""
    said = sample.response.lower()
    named = [item for item in sample.target if item in said]
    forgot = sample.metadata["dropped"] in said
    return {
        "reward": 0.0 if forgot else len(named) / len(sample.target),
        "extracted": named or None,
        "named_dropped": forgot,
    }
