"""The states of shards as one."""

from __future__ import annotations

import pytest

from nemo_evaluator.executors.combined import combined
from nemo_evaluator.results.progress_file import BenchmarkState, ScoreSoFar


def state(done: int, value: float, **more: object) -> BenchmarkState:
    score = ScoreSoFar(measure="pass@1", value=value, lower=value - 0.1, upper=value + 0.1)
    return BenchmarkState(name="sums", total=100, done=done, score=score, **more)  # type: ignore[arg-type]


def test_counts_add_up_and_scores_weigh_as_their_verdicts() -> None:
    parts = [
        {"sums": state(60, 0.5, failed={"timeout": 1}, rollouts_per_s=2.0, in_flight=3, limit=8)},
        {"sums": state(20, 0.9, failed={"timeout": 2}, rollouts_per_s=1.0, in_flight=1, limit=8)},
    ]
    found = combined(parts, 2)["sums"]
    assert (found.done, found.total, found.failed, found.in_flight) == (80, 200, {"timeout": 3}, 4)
    assert found.rollouts_per_s == 3.0 and found.limit == 16
    assert found.score is not None and found.score.value == pytest.approx(0.6)
    assert found.score.value - found.score.lower == pytest.approx(0.1 * (0.75**2 + 0.25**2) ** 0.5)
    assert found.line.startswith("sums 80/200 (40.0 %) pass@1 0.600 [0.521, 0.679] in 2 shards")


def test_it_says_how_many_shards_have_begun_and_has_no_end_before() -> None:
    found = combined([{"sums": state(100, 0.5, finished=True, eta_s=5.0)}], 4)["sums"]
    assert not found.finished and found.eta_s is None
    assert "in 1 of 4 shards" in found.line
    assert combined([], 4) == {}
