"""What is known of a drop: intervals that keep their width, in either direction, whatever is
missing; and metrics counted as the run counts them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nemo_evaluator import ConfigError, compare_results
from nemo_evaluator.decisions.damage import LEVEL, Damage, Sides
from nemo_evaluator.decisions.metrics import metric_named, values_of
from nemo_evaluator.decisions.missing import damage_of
from nemo_evaluator.decisions.pairing import pair
from nemo_evaluator.decisions.rollouts import rollouts_of
from nemo_evaluator.decisions.sources import Source
from nemo_evaluator.results.read_bundle import published


def row(problem: int, reward: float | None, repeat: int = 0, **fields: Any) -> dict[str, Any]:
    outcome = "scored" if reward is not None else "infra_error"
    return {
        "problem_idx": problem, "repeat": repeat, "reward": reward, "outcome": outcome, **fields,
    }  # fmt: skip


def source(rows: list[dict[str, Any]], **benchmark: Any) -> Source:
    bundle = {"benchmark": {"name": "b", **benchmark}, "config": {}}
    told = published(bundle, where="run") if benchmark else None
    return Source("b", Path("run"), told, given=rollouts_of(rows))


def damage(
    one: list[dict[str, Any]], other: list[dict[str, Any]], name: str = "mean_reward"
) -> Any:
    a, b = source(one), source(other)
    assert a.rollouts is not None and b.rollouts is not None
    metric = metric_named(name)
    return damage_of(a, b, pair(a.rollouts, b.rollouts, metric), metric)


verdicts = st.lists(st.tuples(st.booleans(), st.booleans()), min_size=2, max_size=60)


@given(verdicts, st.booleans())
def test_the_direction_only_turns_the_sign(pairs: list[tuple[bool, bool]], higher: bool) -> None:
    one, other = (np.array([float(p[i]) for p in pairs]) for i in (0, 1))
    up, down = (Damage(Sides(a, b), higher) for a, b in ((one, other), (other, one)))
    a, b = up.bounds(), down.bounds()
    assert a.damage == pytest.approx(-b.damage)
    assert (a.lower, a.upper) == pytest.approx((-b.upper, -b.lower), abs=1e-9)
    assert a.lower <= a.damage <= a.upper


@pytest.mark.parametrize(("n", "limit"), [(10, 0.01), (50, 0.02), (100, 0.05), (150, 0.02)])
def test_no_flip_is_no_proof(n: int, limit: float) -> None:
    """With these many problems a drop as large as the limit shows no flip in 1.8 % of runs, or
    more: nobody may call that shown."""
    tied = Damage(Sides(np.ones(n), np.ones(n)))
    chance_of_no_flip = (1 - limit) ** n
    assert (tied.bounds().upper <= limit) == (chance_of_no_flip <= LEVEL)


@given(verdicts, st.floats(0, 0.5))
def test_p_values_and_intervals_are_one(pairs: list[tuple[bool, bool]], limit: float) -> None:
    one, other = (np.array([float(p[i]) for p in pairs]) for i in (0, 1))
    found = Damage(Sides(one, other))
    bounds = found.bounds()
    assert (found.p_within(limit) <= LEVEL * 1.001) == (bounds.upper <= limit + 1e-12) or (
        abs(bounds.upper - limit) < 1e-3
    )
    assert (found.p_beyond(limit) <= LEVEL * 1.001) == (bounds.lower > limit) or (
        abs(bounds.lower - limit) < 1e-3
    )


def test_a_share_of_the_baseline_allows_as_much() -> None:
    one, other = np.repeat([1.0, 0.0], [600, 400]), np.repeat([1.0, 0.0], [540, 460])
    found = Damage(Sides(one, other))
    assert found.bounds(share=0.1).damage == pytest.approx(0.0)
    assert found.bounds(share=0.3).upper < 0 < found.bounds(share=0.02).lower
    worse = Damage(Sides(other, one), higher_is_better=False)
    assert worse.bounds(share=60 / 540).damage == pytest.approx(0.0)


def test_answers_that_timed_out_can_hide_a_drop() -> None:
    """Ten wrong answers of the candidate are missing: what is left shows no drop, the rest may."""
    one = [row(i, 1.0) for i in range(100)]
    other = [row(i, 1.0 if i < 90 else None) for i in range(100)]
    found = damage(one, other)
    assert found.bounds().damage == 0.0 and found.bounds().upper > 0.1
    assert found.bounds().lower <= 0.0
    complete = damage(one, [row(i, 1.0) for i in range(100)])
    assert complete.worst is None and complete.bounds().upper < 0.05


def test_half_of_the_repeats_missing_is_half_missing() -> None:
    one = [row(i, 1.0, r) for i in range(50) for r in range(2)]
    other = [row(i, 1.0 if r else None, r) for i in range(50) for r in range(2)]
    found = damage(one, other)
    assert found.worst is not None and found.worst.candidate.mean() == pytest.approx(0.5)


def test_what_was_planned_and_never_reached_is_missing() -> None:
    rows = [row(i, 1.0) for i in range(60)]
    planned = source(rows, coverage={"planned": 100}, repeats=1)
    whole = source(rows)
    assert planned.rollouts is not None and whole.rollouts is not None
    metric = metric_named("mean_reward")
    found = damage_of(whole, planned, pair(whole.rollouts, planned.rollouts), metric)
    assert found.worst is not None and len(found.worst.candidate) == 100
    assert found.bounds().upper > 0.4


def test_a_metric_without_bounds_has_no_worst_case() -> None:
    one = [row(i, 1.0, latency_ms=100.0) for i in range(30)]
    other = [row(i, 1.0 if i else None, latency_ms=120.0) for i in range(30)]
    found = damage(one, other, "latency_ms")
    assert found.worst is None and found.bounds().damage == pytest.approx(20.0)


def test_right_is_what_the_run_calls_right() -> None:
    """A judge's grade of 0.4 is above 0, and wrong."""
    details = {"correct": False}
    told = [row(i, 0.4, scoring_details=details) for i in range(5)]
    assert values_of(rollouts_of(told), metric_named("pass@1")).tolist() == [0.0] * 5
    untold = [row(i, 0.4) for i in range(5)]
    assert values_of(rollouts_of(untold), metric_named("pass@1")).tolist() == [1.0] * 5


@pytest.mark.parametrize(
    ("name", "expected"),
    [("pass@1", 0.5), ("pass@2", 5 / 6), ("pass^2", 1 / 6), ("pass@4", 1.0)],
)
def test_pass_at_k_of_a_problem(name: str, expected: float) -> None:
    rows = [row(i, float(r < 2), r) for i in range(3) for r in range(4)]
    one = rollouts_of(rows)
    assert pair(one, one, metric_named(name)).baseline.tolist() == pytest.approx([expected] * 3)


@pytest.mark.parametrize(
    ("name", "fields", "expected"),
    [
        ("latency_ms", {"latency_ms": 12.5}, 12.5),
        ("cost_usd", {"cost_usd": 0.25}, 0.25),
        ("tokens", {"tokens": 7}, 7.0),
        ("truncation_rate", {"truncated": True}, 1.0),
        ("no_answer_rate", {"scoring_details": {"failure": "format_error"}}, 1.0),
        ("strict", {"scoring_details": {"strict_correct": True}}, 1.0),
        ("toxicity", {"scoring_details": {"metrics": {"toxicity": 0.2}}}, 0.2),
        ("scorer:f1", {"scorer_rewards": {"scorer:f1": 0.6}}, 0.6),
    ],
)
def test_every_number_of_a_row_can_be_compared(
    name: str, fields: dict[str, Any], expected: float
) -> None:
    assert values_of(rollouts_of([row(0, 1.0, **fields)]), metric_named(name)).tolist() == [
        expected
    ]


def test_a_ratio_of_sums_is_compared_as_the_run_counts_it() -> None:
    """10 of 40 claims supported, then 5 of 40: 0.25 and 0.125, not a mean of shares."""
    parts = [(4, 4), (3, 6), (2, 10), (1, 20), (0, 0)] * 10
    sides = []
    for share in (1.0, 0.5):
        told = [
            row(i, 1.0, scoring_details={"metrics": {"supported": [share * a, b]}})
            for i, (a, b) in enumerate(parts)
        ]
        sides.append(rollouts_of(told))
    found = pair(*sides, metric_named("supported"))
    assert found.n == len(parts)
    assert (found.baseline.mean(), found.candidate.mean()) == pytest.approx((0.25, 0.125))
    damage = Damage(Sides(found.baseline, found.candidate)).bounds()
    assert damage.damage == pytest.approx(0.125) and 0 < damage.lower < 0.125 < damage.upper


def test_an_unknown_metric_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"'vibes' is not in the rows.*latency_ms"):
        values_of(rollouts_of([row(0, 1.0)]), metric_named("vibes"))


def test_rounding_is_no_difference() -> None:
    one = [row(i, 0.3) for i in range(20)]
    other = [row(i, 0.1 + 0.2) for i in range(20)]
    pairs = pair(rollouts_of(one), rollouts_of(other))
    assert not pairs.differences.any()


def test_a_ratio_without_a_denominator_is_said_to_have_none() -> None:
    rows = [
        {"problem_idx": i, "reward": 1.0, "scoring_details": {"metrics": {"f1": [0, 0]}}}
        for i in range(20)
    ]
    with pytest.raises(ConfigError, match="'f1' is a ratio whose denominators are 0 in all rows"):
        compare_results(rows, rows, metric="f1")


def test_a_category_without_a_change_is_known_no_better_for_being_counted_more() -> None:
    """Four problems that are a third of a macro metric: that none changed says little."""
    weights = np.concatenate([np.full(192, 200 / 3 / 192), np.full(8, 200 / 3 / 4)])
    macro = Damage(Sides(weights, weights, weights=weights)).bounds()
    assert macro.damage == 0.0 and macro.upper > 0.2 and macro.lower < -0.2
    ones = np.ones(200)
    assert Damage(Sides(ones, ones, weights=ones)).bounds() == Damage(Sides(ones, ones)).bounds()
