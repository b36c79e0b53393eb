"""What must hold of any comparison, whatever the results."""

from __future__ import annotations

import random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nemo_evaluator import compare_results

REWARDS = st.one_of(
    st.sampled_from([0.0, 1.0]), st.floats(0, 1, allow_nan=False), st.none(), st.just(float("nan"))
)
ROWS = st.dictionaries(
    st.tuples(st.integers(0, 30), st.integers(0, 2)),
    REWARDS,
    min_size=0,
    max_size=60,
)
Side = dict[tuple[int, int], float | None]


def rows(side: Side) -> list[dict[str, Any]]:
    return [{"problem_idx": p, "repeat": r, "reward": reward} for (p, r), reward in side.items()]


def compared(one: Side, other: Side, **options: Any) -> dict[str, Any]:
    return compare_results(rows(one), rows(other), **options)


@given(ROWS)
def test_a_run_against_itself_is_no_worse(side: Side) -> None:
    report = compared(side, side)
    assert report["verdict"] in ("PASS", "INCONCLUSIVE")
    if "difference" in report:
        assert report["difference"]["delta"] == 0.0
        assert report["flip_report"]["regressions"] == []


@given(ROWS, ROWS)
def test_swapping_the_sides_turns_the_difference(one: Side, other: Side) -> None:
    there, back = compared(one, other), compared(other, one)
    assert ("difference" in there) == ("difference" in back)
    if "difference" not in there:
        return
    a, b = there["difference"], back["difference"]
    assert a["delta"] == pytest.approx(-b["delta"], abs=1e-12)
    for low, high in (("ci_lower", "ci_upper"), ("ci_upper", "ci_lower")):
        assert (a[low] is None) == (b[high] is None)
        if a[low] is not None:
            assert a[low] == pytest.approx(-b[high], abs=1e-6)
    ours, theirs = there["flip_report"]["summary"], back["flip_report"]["summary"]
    assert ours["n_regressions"] == theirs["n_improvements"]


@given(ROWS, ROWS, st.randoms(use_true_random=False))
def test_the_order_of_lines_does_not_matter(
    one: Side, other: Side, shuffled: random.Random
) -> None:
    mixed = list(one.items())
    shuffled.shuffle(mixed)
    assert compared(one, other) == compared(dict(mixed), other)


@given(ROWS, ROWS)
def test_what_has_no_verdict_moves_nothing_but_the_ends(one: Side, other: Side) -> None:
    scored = {key: reward for key, reward in other.items() if reward is not None}
    a, b = (compared(one, side, rules="published") for side in (other, scored))
    assert a.get("difference") == b.get("difference")
    a, b = compared(one, other), compared(one, scored)
    assert a.get("mcnemar") == b.get("mcnemar")
    if "difference" in a:
        assert a["difference"]["delta"] == b["difference"]["delta"]


@given(ROWS, ROWS)
def test_a_looser_limit_never_blocks_more(one: Side, other: Side) -> None:
    strict = compared(one, other, min_effect=0.01)["verdict"]
    loose = compared(one, other, min_effect=0.2)["verdict"]
    assert not (loose == "BLOCK" and strict != "BLOCK")
    assert not (strict == "PASS" and loose != "PASS")


@given(ROWS, ROWS)
def test_the_difference_is_that_of_the_means(one: Side, other: Side) -> None:
    report = compared(one, other)
    if "difference" in report:
        found = report["difference"]
        assert found["delta"] == pytest.approx(found["candidate"] - found["baseline"], abs=1e-9)
        if found["ci_lower"] is not None:
            assert found["ci_lower"] <= found["delta"] <= found["ci_upper"]
