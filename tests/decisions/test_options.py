"""What is out of range is refused by every door, and what numpy gives is a number."""

from __future__ import annotations

import inspect
import json
import math
from typing import Any

import numpy as np
import pytest

from nemo_evaluator import ConfigError, compare_results, compare_runs
from nemo_evaluator.cli.compare import command
from nemo_evaluator.decisions.options import CompareOptions

ROWS = [{"problem_idx": i, "reward": float(i % 2)} for i in range(120)]


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"alpha": 2}, "alpha is 2; give between 0 and 1"),
        ({"alpha": 0.0}, "alpha"),
        ({"alpha": math.nan}, "alpha"),
        ({"min_effect": -0.1}, r"max_drop \(min_effect\) is -0.1; give 0 or more"),
        ({"min_effect": math.inf}, "max_drop"),
        ({"min_effect": math.nan}, "max_drop"),
        ({"reward_threshold": math.nan}, "correct_above"),
        ({"alpha": "0.05"}, "alpha is '0.05'; give a number"),
        ({"min_effect": None}, "give a number"),
        ({"test": "student"}, "test is 'student'; give one of auto, mcnemar, sign, permutation"),
        ({"rules": "lenient"}, "no rules 'lenient'"),
        ({"metric": "bleu"}, "metric 'bleu' is not in the rows"),
        ({"metric": "macro:mean_reward"}, "a macro metric needs categories"),
    ],
)
def test_out_of_range_is_refused(options: dict[str, Any], named: str) -> None:
    with pytest.raises(ConfigError, match=named):
        compare_results(ROWS, ROWS, **options)


def test_one_default_everywhere() -> None:
    limit = CompareOptions().max_drop
    for door in (compare_runs, compare_results):
        assert inspect.signature(door).parameters["min_effect"].default == limit
    shown = {p.name: p.default for p in command.params}
    assert shown["max_drop"] == limit
    assert compare_results(ROWS, ROWS)["threshold"] == limit


@pytest.mark.parametrize("kind", [np.float32, np.float64, np.int64, np.bool_])
def test_scalars_of_numpy_are_numbers(kind: Any) -> None:
    rows = [
        {"problem_idx": np.int64(i), "repeat": np.int32(0), "reward": kind(i % 2),
         "scoring_details": {"correct": np.bool_(i % 2)}, "speed": kind(1)}
        for i in range(120)
    ]  # fmt: skip
    report = compare_results(rows, ROWS)
    assert report["coverage"]["paired"] == 120 and report["verdict"] == "PASS"
    assert report["difference"]["baseline"] == 0.5
    assert compare_results(rows, rows, metric="speed")["difference"]["baseline"] == 1.0


@pytest.mark.parametrize("kind", [np.float32, np.float64])
def test_options_may_be_scalars_of_numpy(kind: Any) -> None:
    """The report is data that can be written."""
    report = compare_results(ROWS, ROWS, min_effect=kind(0.0625), alpha=kind(0.0625))
    assert json.loads(json.dumps(dict(report)))["threshold"] == 0.0625
