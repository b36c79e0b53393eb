"""The vocabulary: what is written reads back, and one form is made of another in one place."""

from __future__ import annotations

import math

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nemo_evaluator.measured import LARGEST, Ratio, metric_of, metrics_in
from nemo_evaluator.types import OF_A_GENERATION, Generation, Score, Solution, Usage

GENERATION = Generation(
    text="7",
    reasoning="because",
    finish_reason="stop",
    usage=Usage(prompt_tokens=3, completion_tokens=1),
    model="m",
    latency_ms=1.5,
    ttft_ms=0.5,
    tries=2,
    cost_usd=0.25,
    simulated=True,
    cached=True,
)


def test_a_solution_is_made_of_its_generation_and_tells_it_again() -> None:
    solution = Solution.of(GENERATION)
    assert solution.response == "7" and solution.generation == GENERATION
    assert set(OF_A_GENERATION) >= {"usage", "finish_reason", "cached", "cost_usd"}
    other = Solution.of(GENERATION, response="8", calls=3)
    assert (other.response, other.calls, other.generation.text) == ("8", 3, "8")


def test_a_solution_is_journaled_as_it_always_was() -> None:
    written = msgspec.json.encode(Solution.of(GENERATION))
    assert written == (
        b'{"response":"7","reasoning":"because","finish_reason":"stop",'
        b'"usage":{"prompt_tokens":3,"completion_tokens":1},"model":"m","latency_ms":1.5,'
        b'"ttft_ms":0.5,"tries":2,"cost_usd":0.25,"simulated":true,"cached":true}'
    )


@given(
    st.dictionaries(
        st.text(),
        st.floats(-LARGEST, LARGEST)
        | st.tuples(st.integers(0, 9), st.integers(1, 9)).map(lambda pair: Ratio(*pair)),
    )
)
def test_metrics_read_back(metrics: dict[str, float | Ratio]) -> None:
    score = Score(reward=1.0, metrics=metrics)
    assert msgspec.json.decode(msgspec.json.encode(score), type=Score) == score
    assert metrics_in(metrics) == metrics


@pytest.mark.parametrize(
    "value",
    ["0.5", None, math.nan, math.inf, [1], [1, 2, 3], [1, None], ["1", "2"], {}, [1, math.nan]],
)
def test_what_is_no_metric(value: object) -> None:
    assert metric_of(value) is None
    assert metrics_in({"a": value, "b": 1}) == {"b": 1.0}
