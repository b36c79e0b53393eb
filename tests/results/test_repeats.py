"""What the repeats of a problem agree on."""

from __future__ import annotations

import numpy as np
import pytest

from nemo_evaluator.results.repeats import Agreement, agreement


def of(rows: list[list[float]], *, graded: bool = False, repeats: int | None = None) -> Agreement:
    problems = np.array([i for i, row in enumerate(rows) for _ in row], dtype=np.int64)
    rewards = np.array([x for row in rows for x in row])
    right = None if graded else (rewards > 0).astype(float)
    found = agreement(problems, rewards, right, repeats or max(map(len, rows)))
    assert found is not None
    return found


def test_right_wrong_and_in_between() -> None:
    found = of([[1, 1], [1, 0], [0, 0]])
    assert (found.problems, found.same, found.always_right, found.always_wrong) == (3, 2, 1, 1)
    assert found.right_counts == (1, 1, 1) and found.unsteady == (1,)
    assert found.within_std == pytest.approx(np.sqrt(0.5 / 3), abs=1e-6)


def test_problems_with_one_scored_repeat_say_nothing() -> None:
    found = of([[1, 1, 1], [1], [1, 0]], repeats=3)
    assert (found.problems, found.same, found.always_right) == (2, 1, 1)
    assert found.right_counts == (0, 0, 0, 1), "only problems with all repeats"
    assert agreement(np.array([0, 1]), np.array([1.0, 0.0]), None, 2) is None


def test_graded_rewards_are_not_right_or_wrong() -> None:
    found = of([[0.5, 0.5], [0.2, 0.9], [0.3, 0.4]], graded=True)
    assert found.always_right is None and found.right_counts == ()
    assert found.same == 1 and found.unsteady == (1, 2), "the most unsteady first"
