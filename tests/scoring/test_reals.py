"""Sets of reals are compared as sets, however they are written."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nemo_evaluator.scoring.latex import normal
from nemo_evaluator.scoring.reals import Reals, decide_sets, read_set

ENDS = st.lists(st.integers(-20, 20), min_size=2, max_size=6, unique=True).map(sorted)
FLAGS = st.lists(st.booleans(), min_size=6, max_size=6)
PROBES = [n / 2 for n in range(-45, 46)]


def interval(low: int, high: int, closed: bool) -> str:
    return f"[{low},{high}]" if closed else f"({low},{high})"


def inequality(low: int, high: int, closed: bool) -> str:
    sign = "<=" if closed else "<"
    return f"{low}{sign}x{sign}{high}"


def holds(found: Reals | None, probe: float) -> bool:
    assert found is not None
    return any(
        (low.value is None or low.value < probe or (low.closed and low.value == probe))
        and (high.value is None or probe < high.value or (high.closed and high.value == probe))
        for low, high in found.pieces
    )


@given(ENDS, FLAGS)
def test_unions_and_inequalities_are_one_set(ends: list[int], flags: list[bool]) -> None:
    pairs = list(zip(ends[::2], ends[1::2], flags, strict=False))
    union = "∪".join(interval(*pair) for pair in pairs)
    either = " ∨ ".join(inequality(*pair) for pair in pairs)
    backwards = "∪".join(interval(*pair) for pair in reversed(pairs))
    assert decide_sets(union, either) is not False and decide_sets(either, backwards) is True
    opened = [(low, high, not closed) for low, high, closed in pairs]
    assert decide_sets(either, "∪".join(interval(*pair) for pair in opened)) is False
    found = read_set(union)
    for probe in PROBES:
        inside = any(a < probe < b or (c and probe in (a, b)) for a, b, c in pairs)
        assert holds(found, probe) is inside


@given(st.integers(-20, 20), st.integers(1, 9), st.booleans())
def test_what_is_left_out_is_all_the_rest(low: int, width: int, closed: bool) -> None:
    left_out = f"ℝ∖{interval(low, low + width, closed)}"
    sign = "" if closed else "="
    rest = f"x<{sign}{low} ∨ x>{sign}{low + width}"
    assert decide_sets(left_out, rest) is True
    assert decide_sets(f"x!={low}", f"(-∞,{low})∪({low},∞)") is True
    assert decide_sets(f"|x|>{width}", f"x<-{width} ∨ {width}<x") is True


@given(st.text("x<>=!≠[](),∪∨∧∞∖ℝ123|-⟨⟩∈y ", max_size=25), st.text("x<>(,)∪12", max_size=12))
def test_any_texts_are_compared_symmetrically(a: str, b: str) -> None:
    assert decide_sets(a, b) == decide_sets(b, a)


@pytest.mark.parametrize(
    "text", ["(1,2)", "x<y", "x<2 ∨ y>3", "(a,b)∪(c,d)", "5", "x=2", "", "x<", "(1,i)∪(2,3)"]
)
def test_what_is_no_set_for_sure_is_left_to_others(text: str) -> None:
    assert decide_sets(text, "x<7") is not True


def test_relations_after_one_another_all_hold_if_they_can() -> None:
    assert decide_sets("x>2, x<5", "(2,5)") is True
    assert decide_sets("x<2, x>5", "(-∞,2)∪(5,∞)") is True
    assert decide_sets(normal(r"x<2 \text{ or } x>3"), "(-∞,2)∪(3,∞)") is True
