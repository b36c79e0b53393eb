"""What a scorer may return, and what never becomes a reward."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from nemo_evaluator.environments.grades import in_view_of, to_score
from nemo_evaluator.measured import Ratio
from nemo_evaluator.scoring.reasoning import visible
from nemo_evaluator.types import Failure, Score, Solution


@pytest.mark.parametrize(
    ("verdict", "reward", "correct"),
    [
        (True, 1.0, True),
        (False, 0.0, False),
        (0.25, 0.25, None),
        (-2, -2.0, None),
        ({"correct": True}, 1.0, True),
        ({"correct": 0}, 0.0, False),
        ({"reward": 0.5}, 0.5, None),
        ({"reward": 0.5, "correct": False}, 0.5, False),
        (np.bool_(True), 1.0, True),
        (np.float32(0.5), 0.5, None),
        ({"correct": np.bool_(False), "reward": np.int64(3)}, 3.0, False),
    ],
)
def test_what_a_scorer_returns_becomes_a_score(
    verdict: Any, reward: float, correct: bool | None
) -> None:
    score = to_score(verdict)
    assert (score.reward, score.correct) == (reward, correct)
    assert type(score.reward) is float


def test_the_rest_of_a_dict_is_details() -> None:
    score = to_score(
        {"correct": False, "extracted": None, "failure": "format_error", "rule": None, "why": "x"}
    )
    assert score.details == {"rule": None, "why": "x"}
    assert (score.extracted, score.failure) == (None, Failure.FORMAT)


@pytest.mark.parametrize(
    "nonsense",
    [
        None,
        "1",
        [1],
        {},
        {"score": 1},
        {"reward": "1"},
        {"reward": None},
        {"reward": math.nan},
        {"reward": math.inf},
        math.nan,
        1e308,
        -(10**400),
        {"correct": "yes"},
        {"correct": 0.7},
        {"correct": math.nan},
        {"correct": True, "failure": "no such failure"},
    ],
)
def test_nonsense_raises(nonsense: Any) -> None:
    with pytest.raises((TypeError, ValueError)):
        to_score(nonsense)


def test_spans_point_into_the_raw_response() -> None:
    raw = "<think>the answer is 5</think>So the answer is 7."
    shown = visible(raw)
    start = shown.text.index("7")
    score = Score(reward=1.0, extracted="7", details={"span": [start, start + 1]})
    begin, stop = in_view_of(shown, Solution(response=raw), score).details["span"]
    assert raw[begin:stop] == "7"


def test_a_span_of_nothing_stays() -> None:
    raw = "<think>5</think>"
    score = Score(reward=0.0, details={"span": None})
    assert in_view_of(visible(raw), Solution(response=raw), score).details["span"] is None


@pytest.mark.parametrize(
    ("response", "finish", "extracted", "failure"),
    [
        ("I would say", "length", None, Failure.TRUNCATED),
        ("Answer: 4. Further", "length", "4", None),
        ("<think>never ending", "stop", None, Failure.TRUNCATED),
    ],
)
def test_a_response_cut_off_is_marked(
    response: str, finish: str, extracted: str | None, failure: Failure | None
) -> None:
    score = Score(reward=0.0, extracted=extracted)
    seen = in_view_of(visible(response), Solution(response=response, finish_reason=finish), score)
    assert seen.details == {"truncated": True}
    assert seen.failure is failure


def test_a_response_filtered_to_nothing_says_so() -> None:
    score = Score(reward=0.0, failure=Failure.EMPTY)
    solution = Solution(response=" ", finish_reason="SAFETY")
    assert in_view_of(visible(" "), solution, score).failure is Failure.CONTENT_FILTER
    found = Score(reward=1.0, extracted="4", failure=None)
    solution = Solution(response="4", finish_reason="SAFETY")
    assert in_view_of(visible("4"), solution, found) is found


def test_a_whole_response_is_not_touched() -> None:
    score = Score(reward=1.0)
    assert in_view_of(visible("4"), Solution(response="4", finish_reason="stop"), score) is score


def test_metrics_become_numbers_and_ratios() -> None:
    score = to_score({"reward": 1, "metrics": {"f1": np.float32(0.5), "hit": True, "r": [1, 2]}})
    assert score.metrics == {"f1": 0.5, "hit": 1.0, "r": Ratio(1.0, 2.0)}
    assert "metrics" not in score.details and score.published["metrics"] == score.metrics


@pytest.mark.parametrize("metrics", [{"f1": "high"}, {"f1": math.nan}, {"f1": [1, 2, 3]}, [0.5]])
def test_metrics_that_cannot_be_averaged_are_refused(metrics: Any) -> None:
    with pytest.raises(ValueError, match="metric"):
        to_score({"reward": 1, "metrics": metrics})


def test_metrics_outlive_a_truncated_answer() -> None:
    score = Score(reward=1.0, metrics={"f1": 0.5})
    seen = in_view_of(visible("a"), Solution(response="a", finish_reason="length"), score)
    assert seen.details["truncated"] and seen.metrics == {"f1": 0.5}
