"""Values are compared with as many digits as tell them apart."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nemo_evaluator.scoring.arithmetic import Field, Unreadable, computing, field, same
from nemo_evaluator.scoring.mathematics import decide


@given(st.integers(1, 300), st.integers(1, 300))
@settings(deadline=None, max_examples=40)
def test_powers_of_e_differ_by_their_exponents_alone(a: int, b: int) -> None:
    assert decide(f"e^{{-{a}}}", f"e^{{-{b}}}") is (a == b)
    assert decide(f"1+e^{{-{a}}}", f"1+e^{{-{b}}}") is (a == b)


@given(st.integers(2, 60), st.integers(2, 60), st.integers(1, 40))
@settings(deadline=None, max_examples=40)
def test_identities_hold_however_large_or_small(a: int, b: int, places: int) -> None:
    scale = f"10^{{-{places}}}"
    assert decide(rf"{scale}\sqrt{{{a}}}\sqrt{{{b}}}", rf"\sqrt{{{a * b}}}\cdot{scale}") is True
    assert decide(rf"\ln({a})+\ln({b})", rf"\ln({a * b})") is True
    wrong = rf"\sqrt{{{a * b + 1}}}\cdot{scale}"
    assert decide(rf"{scale}\sqrt{{{a}}}\sqrt{{{b}}}", wrong) is False


def test_a_zero_of_a_formula_is_zero_and_a_small_value_is_not() -> None:
    assert decide(r"\sqrt{3+2\sqrt2}-1-\sqrt2", "0") is True
    assert decide("e^{-1000}", "0") is False


def test_rationals_stay_exact() -> None:
    here = field(60)
    with computing():
        assert here.root(Fraction(9, 4), 2) == Fraction(3, 2)
        assert here.power(Fraction(1, 3), Fraction(4, 2)) == Fraction(1, 9)
        assert here.divide(1, 3) == Fraction(1, 3)


@pytest.mark.parametrize("text", ["e^{e^{e^{10}}}", r"\sin(10^{80})", "2^{3^{40}}", "100000!"])
def test_what_takes_too_long_is_not_computed(text: str) -> None:
    assert decide(text, "5") is None


def test_threads_do_not_disturb_each_other() -> None:
    def equal(n: int) -> bool:
        def left(f: Field) -> object:
            return f.plus(f.function("sin", n), f.power(f.constant("e"), -n))

        return same(left, left) and not same(left, lambda f: f.plus(left(f), f.power(10, -n - 70)))

    with ThreadPoolExecutor(4) as pool:
        assert all(pool.map(equal, range(1, 40)))


def test_no_number_is_unreadable() -> None:
    with pytest.raises(Unreadable):
        same(lambda f: f.divide(1, 0), lambda f: 1)
