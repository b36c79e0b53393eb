"""A benchmark of N made-up sums, for timing the engine: the endpoint's answer does not matter."""

from __future__ import annotations

import os

from nemo_evaluator import ScorerInput, benchmark, numeric_match, scorer

SIZE = int(os.environ.get("SYNTHETIC_SIZE", "5000"))


def rows() -> list[dict[str, object]]:
    filler = "Think about it carefully and give the final number only. " * 8
    return [{"a": i, "b": i % 97, "filler": filler, "target": i + i % 97} for i in range(SIZE)]


@benchmark(name="synthetic", dataset=rows, prompt="{filler}What is {a} plus {b}?")
@scorer
def synthetic(sample: ScorerInput) -> dict:
    return numeric_match(sample)
