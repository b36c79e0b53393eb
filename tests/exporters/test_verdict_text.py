"""Why a verdict is what it is, in words."""

from __future__ import annotations

from typing import Any

import pytest

from nemo_evaluator.exporters.verdict_text import explanation
from nemo_evaluator.results.result_row import ResultRow
from nemo_evaluator.types import Outcome


@pytest.mark.parametrize(
    ("details", "told"),
    [
        ({"explanation": "so it is", "method": "m"}, "so it is"),
        ({"judge": {"reason": "it fits"}, "method": "m"}, "it fits"),
        ({"method": "m"}, "method: m\nanswer: 4\nexpected: 5"),
        (
            {
                "method": "m",
                "judge:clear": {"value": 0.2, "explanation": "hard to read"},
                "judge:better": {"value": 0.5, "explanation": None},
            },
            "method: m\nanswer: 4\nexpected: 5\nclear: hard to read\nbetter: 0.5",
        ),
    ],
)
def test_what_the_judges_say_is_told(details: dict[str, Any], told: str) -> None:
    row = ResultRow(
        problem_idx=0,
        repeat=0,
        outcome=Outcome.SCORED,
        reward=0.2,
        prompt="2 + 3?",
        model_response="It is 4.",
        extracted_answer="4",
        expected_answer="5",
        scoring_details=details,
        metadata={},
        tokens=None,
        latency_ms=None,
        finish_reason=None,
        truncated=False,
    )
    assert explanation(row) == told
