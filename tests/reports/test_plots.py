"""Axes with round numbers, and plots that are well-formed whatever is on them."""

from __future__ import annotations

import math
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st
from markupsafe import Markup

from nemo_evaluator.reports import svg

NUMBERS = st.floats(-1e6, 1e6)


def parsed(drawn: Markup) -> ElementTree.Element:
    return ElementTree.fromstring(str(drawn))


@given(st.lists(NUMBERS, min_size=1, max_size=10))
def test_an_axis_has_room_for_all(numbers: list[float]) -> None:
    axis = svg.axis_around(numbers)
    assert axis.low <= min(numbers) and max(numbers) <= axis.high and axis.low < axis.high
    ticks = axis.ticks()
    assert 2 <= len(ticks) <= 8 and ticks == sorted(set(ticks))
    assert all(0 <= axis.at(x) <= 100 for x in numbers)


def test_round_ticks() -> None:
    assert svg.axis_around([0.13, 0.88], within=(0, 1)).ticks() == [0, 0.2, 0.4, 0.6, 0.8, 1.0]
    assert svg.Axis(1, 1000, log=True).ticks() == [1, 10, 100, 1000]
    assert svg.Axis(40, 700, log=True).ticks() == [50, 100, 200, 500]
    assert svg.Axis(1, 100, log=True).at(10) == pytest.approx(50)


def test_what_is_beyond_the_axis_ends_at_its_edge() -> None:
    axis = svg.Axis(0, 1)
    assert axis.at(-3) == 0 and axis.at(math.inf) == 100
    drawn = str(svg.interval(axis, 0.5, -math.inf, math.inf))
    assert 'x1="0.00%" x2="100.00%"' in drawn


@given(
    NUMBERS,
    NUMBERS,
    NUMBERS,
    st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Cs"])),
)
def test_intervals_are_well_formed(value: float, low: float, high: float, about: str) -> None:
    axis = svg.axis_around([value, low, high])
    drawn = svg.interval(axis, value, low, high, tone="bad", limit=low, about=about or "x")
    assert parsed(drawn).get("aria-label") == (about or "x")
    assert len(parsed(drawn).findall("circle")) == 1
    assert (
        len(parsed(svg.interval(axis, value, None, None)).findall("line[@class='bar plain']")) == 0
    )


@given(st.lists(st.integers(0, 10**6), min_size=1, max_size=30), st.booleans())
def test_histograms_are_well_formed(counts: list[int], log: bool) -> None:
    edges = (
        [10.0 ** (i / 10) for i in range(len(counts) + 1)] if log else list(range(len(counts) + 1))
    )
    drawn = parsed(svg.histogram(edges, counts, marks=[("p50", edges[0])], log=log, about="a & b"))
    bars = drawn.findall("rect")
    assert len(bars) == sum(count > 0 for count in counts)
    assert all(float(bar.get("height", "0")) <= 120 for bar in bars)


def test_counts_side_by_side() -> None:
    drawn = parsed(svg.columns([("0", 10), ("1", 0), ("2", 5)]))
    heights = [float(bar.get("height", "0")) for bar in drawn.findall("rect")]
    assert heights[0] == 2 * heights[2] and heights[1] == 0
    assert [text.text for text in drawn.findall("text")] == ["10", "0", "0", "1", "5", "2"]


def test_shares_fill_the_bar() -> None:
    drawn = parsed(svg.shares([(0.25, "good"), (0.75, "bad")]))
    assert [bar.get("width") for bar in drawn.findall("rect")] == ["25.000%", "75.000%"]


@pytest.mark.parametrize(
    ("x", "text"), [(0.2, "0.2"), (1500, "1,500"), (12_000, "12k"), (2_500_000, "2.5M")]
)
def test_numbers_on_an_axis(x: float, text: str) -> None:
    assert svg.number(x) == text
