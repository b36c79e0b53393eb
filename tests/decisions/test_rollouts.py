"""What of a results file counts as a verdict, in comparisons and in every other reader alike."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from published import write_results

from nemo_evaluator import compare_results, compare_runs
from nemo_evaluator.decisions.rollouts import read_rollouts, rollouts_of
from nemo_evaluator.results.result_row import read_rows

UNJUDGED: list[dict[str, Any]] = [
    {"outcome": "infra_error", "reward": 0.0},
    {"outcome": "infra_error", "reward": 1.0},
    {"outcome": "unscored", "reward": 1.0},
    {"outcome": "budget_stop", "reward": 0.0},
    {"outcome": "scored", "reward": None},
    {"outcome": "scored", "reward": 1.0, "scoring_details": {"error_category": "infra_error"}},
    {"reward": 0.0, "scoring_details": {"error_category": "infra_error"}},
    {"reward": 0.0, "scoring_details": {"error_category": "system", "method": "system_error"}},
    {"reward": 0.0, "scoring_details": {"method": "solve_failed", "error": "HTTP 401"}},
    {"reward": 0.0, "scoring_details": {"judge": {"error": "TimeoutError", "total": None}}},
    {"reward": 0.0, "scoring_details": {"judge": {"score": 0, "parse_error": "no score"}}},
]
JUDGED: list[dict[str, Any]] = [
    {"outcome": "scored", "reward": 0.5},
    {"outcome": "model_error", "reward": 0.0, "scoring_details": {"error_category": "bad_request"}},
    {"reward": 0.0, "scoring_details": {"error_category": "refusal"}},
    {"reward": 0.6, "scoring_details": {"judge": {"score": 3, "normalized": 0.6}}},
    {"reward": 0.0, "scoring_details": {"judge": "not asked"}},
    {"reward": 1.0},
]


def write(folder: Path, rows: list[dict[str, Any]], name: str = "results.jsonl") -> Path:
    folder.mkdir(exist_ok=True)
    lines = [{"problem_idx": i, "repeat": 0, **row} for i, row in enumerate(rows)]
    (folder / name).write_text("".join(json.dumps(line) + "\n" for line in lines))
    return folder


@pytest.mark.parametrize("row", UNJUDGED)
def test_a_missing_reward_is_none(tmp_path: Path, row: dict[str, Any]) -> None:
    folder = write(tmp_path / "b", [row])
    found = read_rollouts(folder)
    assert found is not None and len(found) == 1 and np.isnan(found.rewards[0])
    assert np.isnan(rollouts_of([{"problem_idx": 0, **row}]).rewards[0])
    assert [r.reward for r in read_rows(folder)] == [None]


@pytest.mark.parametrize("row", JUDGED)
def test_a_verdict_counts_whatever_else_is_told(tmp_path: Path, row: dict[str, Any]) -> None:
    folder = write(tmp_path / "b", [row])
    found = read_rollouts(folder)
    assert found is not None and found.rewards.tolist() == [row["reward"]]
    assert [r.reward for r in read_rows(folder)] == [row["reward"]]


def test_an_outage_is_no_drop() -> None:
    """Half of the candidate's rows carry a 0 of an endpoint that was down."""
    right = [{"problem_idx": i, "outcome": "scored", "reward": 1.0} for i in range(40)]
    down = [
        {**row, "outcome": "infra_error", "reward": 0.0} if row["problem_idx"] % 2 else row
        for row in right
    ]
    report = compare_results(right, down)
    assert report["difference"]["delta"] == 0.0
    assert report["flip_report"]["summary"]["n_paired"] == 20


def test_rows_without_a_verdict_are_read_from_their_own_file_and_from_among_the_others(
    tmp_path: Path,
) -> None:
    rows = [{"problem_idx": i, "outcome": "scored", "reward": 1.0} for i in range(4)]
    open_ = [
        {"problem_idx": i, "outcome": "infra_error", "reward": None, "prompt": str(i)}
        for i in (1, 5)
    ]
    old = write(tmp_path / "old", [*rows, open_[1]])
    new = write(tmp_path / "new", rows)
    write(new, open_, "unscored.jsonl")
    for folder in (old, new):
        found = read_rollouts(folder)
        assert found is not None and found.problems.tolist() == [0, 1, 2, 3, 5]
        # A verdict wins over an older line of the same rollout without one.
        assert found.rewards.tolist()[:4] == [1.0] * 4 and np.isnan(found.rewards[4])
        assert found.row(4)["prompt"] == "5" and found.row(1)["problem_idx"] == 1
        assert [row.problem_idx for row in read_rows(folder)][-1] == 5


@pytest.mark.parametrize("reward", ["1e308", "-1e308", "1" + "0" * 400])
def test_a_reward_that_cannot_be_averaged_is_no_verdict(tmp_path: Path, reward: str) -> None:
    """Its square would overflow: such a row is missing, and the rest can be compared."""
    rows = {i: [1.0] for i in range(40)}
    one, other = (write_results(tmp_path / side, rows) for side in ("one", "other"))
    path = other / "results.jsonl"
    path.write_text(path.read_text().replace('"reward": 1.0', f'"reward": {reward}', 10))
    assert compare_runs(one, other)["verdict"] == "INCONCLUSIVE"
    found = read_rollouts(other)
    assert found is not None and found.ignored == {"a reward that is not a number": 10}
