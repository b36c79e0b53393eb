"""Numbers as readers see them."""

from __future__ import annotations

import pytest

from nemo_evaluator.reports import figures as show
from nemo_evaluator.results.published import Measure
from nemo_evaluator.stats.intervals import wilson


def measure(value: float, half: float | None) -> Measure:
    ends = (None, None) if half is None else (value - half, value + half)
    return Measure(value=value, ci_lower=ends[0], ci_upper=ends[1])


@pytest.mark.parametrize(
    ("value", "half", "shown", "interval"),
    [
        (0.81912, 0.0385, "0.819", "[0.781, 0.858]"),
        (0.5, 0.3, "0.500", "[0.200, 0.800]"),  # shares never have fewer than three
        (0.81912, 0.0049, "0.8191", "[0.8142, 0.8240]"),
        (0.81912, 0.00001, "0.8191", "[0.8191, 0.8191]"),  # nor more than four
        (61.34567, 2.4, "61.3", "[58.9, 63.7]"),
        (61.34567, 24.0, "61", "[37, 85]"),
        (12345.678, 300.0, "12,346", "[12,046, 12,646]"),
        (4.25, 0.31, "4.25", "[3.94, 4.56]"),
        (0.75, None, "0.750", "—"),
        (1.0, 0.0, "1.000", "[1.000, 1.000]"),
    ],
)
def test_a_score_has_the_digits_its_interval_has(
    value: float, half: float | None, shown: str, interval: str
) -> None:
    found = measure(value, half)
    assert (show.value(found), show.interval(found)) == (shown, interval)


def test_120_problems_give_three_digits() -> None:
    low, high = wilson(0.8191, 120)
    found = Measure(value=0.8191, ci_lower=low, ci_upper=high, n=120)
    assert f"{show.value(found)} {show.interval(found)}" == "0.819 [0.741, 0.878]"


@pytest.mark.parametrize(
    ("n", "whole", "shown"),
    [(200, 1319, "200 of 1,319"), (1319, 1319, "1,319"), (5, None, "5"), (None, 9, "—")],
)
def test_a_part_of_a_dataset_is_named(n: int | None, whole: int | None, shown: str) -> None:
    assert show.problems(n, whole) == shown
