"""Rollouts on places, in jobs that end."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nemo_evaluator.executors.forecast import schedule
from nemo_evaluator.executors.forecast.schedule import Part, finish, opens_at, together

durations = st.lists(st.floats(0.01, 100), min_size=1, max_size=60).map(np.array)


def test_places_take_the_next_rollout_as_soon_as_one_is_free() -> None:
    assert finish(np.array([5.0, 1.0, 1.0, 1.0]), 2) == 5.0
    assert finish(np.array([1.0, 1.0, 1.0, 5.0]), 2) == 6.0


def test_a_rollout_that_does_not_fit_is_done_in_the_next_job() -> None:
    assert finish(np.array([6.0, 6.0]), 1, limit=10.0) == 16.0
    assert finish(np.array([11.0]), 1, limit=10.0) == math.inf


def test_the_limiter_opens_places_one_after_the_other() -> None:
    assert opens_at(0) == 0.0
    assert finish(np.ones(16), 16) == 1.0 + opens_at(15)


@given(durations, st.integers(1, 8))
def test_no_schedule_beats_the_work_or_the_longest(taken: np.ndarray, places: int) -> None:
    found = finish(taken, places)
    ideal = max(taken.sum() / places, taken.max())
    assert ideal - 1e-9 <= found <= taken.sum() / places + taken.max() + 1e-9


@given(durations, st.integers(1, 8), st.floats(101, 1000))
def test_jobs_that_end_lose_at_most_one_rollout_of_each_place(
    taken: np.ndarray, places: int, limit: float
) -> None:
    free, cut = finish(taken, places), finish(taken, places, limit)
    assert cut >= free - 1e-9
    jobs = math.ceil(cut / limit)
    assert cut <= free + (jobs - 1) * 2 * taken.max() + 1e-6


@pytest.mark.parametrize("limit", [math.inf, 300.0])
def test_very_many_rollouts_are_summed_up(monkeypatch: pytest.MonkeyPatch, limit: float) -> None:
    taken = np.random.default_rng(1).lognormal(0, 1, 12_000)
    monkeypatch.setattr(schedule, "EXACT", 100_000)
    exact = finish(taken, 10, limit)
    monkeypatch.setattr(schedule, "EXACT", 2_000)
    assert finish(taken, 10, limit) == pytest.approx(exact, rel=0.02)


def test_what_is_not_listed_counts() -> None:
    taken = np.random.default_rng(2).lognormal(0, 1, 12_000)
    listed = Part(taken[:10_000], 10, 12_000)
    assert together([listed]) == pytest.approx(together([Part(taken, 10)]), rel=0.05)


def test_a_benchmark_keeps_its_own_limit_beside_others() -> None:
    narrow, wide = Part(np.ones(10), 1), Part(np.ones(10), 8)
    assert together([narrow, wide]) == 10.0
    assert together([]) == 0.0
