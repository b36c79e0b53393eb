from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nemo_evaluator.scoring import numbers

EQUAL = [
    ("$1,234.50", "1234.5", None),
    ("1 234,50", "1234.5", "fr"),
    ("1\u202f234,50", "1234.5", "fr"),
    ("1.234,5", "1234.5", "de"),
    ("1.234", "1234", "de"),
    ("1,5", "1.5", "de"),
    ("1.234", "1.234", None),
    ("12,5", "12.5", None),
    ("1,23,456", "123456", None),
    ("१२३", "123", None),
    ("١٢٣", "123", None),
    ("٣٫٥", "3.5", None),
    ("３．５", "3.5", None),
    ("3/4", "0.75", None),
    ("75%", "0.75", None),
    ("75 %", "75", None),
    ("-7", "−7", None),
    ("72 km/h", "72", None),
    ("$72", "72", None),
    ("72%", "72", None),
    ("72 apples", "72", None),
    ("5 m²", "5", None),
    ("1,234", "1234", None),
    (r"\frac{1}{2}", "0.5", None),
    (r"1\frac{1}{2}", "1.5", None),
    ("1 1/2", "1.5", None),
    ("-10/9", r"-\frac{10}{9}", None),
    ("1.5e3", "1500", None),
    (r"1.5 \times 10^3", "1500", None),
    (r"15,\!000", "15000", None),
    ("-$38,000", "-38000", None),
    (".5", "0.5", None),
    ("5.", "5", None),
    ("007", "7", None),
]


@pytest.mark.parametrize(("a", "b", "locale"), EQUAL)
def test_equal_numbers(a: str, b: str, locale: str | None) -> None:
    mine, gold = numbers.parse(a, locale), numbers.parse(b)
    assert mine is not None
    assert gold is not None
    assert numbers.same(mine, gold)
    assert numbers.same(gold, mine)


@pytest.mark.parametrize(
    ("a", "b"),
    [
        ("10", "100"),
        ("10", "1"),
        ("1/3", "0.333"),
        ("5", "-5"),
        ("5", "50"),
        ("", "0"),
        ("0.75%", "75"),
        ("62+3x", "62"),
        ("1e999999", "1"),
        ("3:30", "3"),
        ("nan", "nan"),
        ("100%", "1"),
    ],
)
def test_unequal_numbers(a: str, b: str) -> None:
    assert not numbers.equal(a, b)
    assert not numbers.equal(b, a)


def test_tolerance_is_only_given_on_request() -> None:
    assert numbers.equal("1/3", "0.333", tolerance=0.001)
    assert not numbers.equal("1/3", "0.333", tolerance=0.0001)


def test_json_numbers() -> None:
    assert numbers.equal("0.1", 0.1)
    assert numbers.equal(3, "3.0")
    assert numbers.parse(float("nan")) is None
    assert numbers.parse(True) is None


@given(st.integers())
def test_every_integer_equals_itself_in_every_dress(value: int) -> None:
    for text in (
        str(value),
        f"{value:,}",
        f"{value}.0",
        f"{value} apples",
        f"**{value}**".strip("*"),
    ):
        assert numbers.equal(text, value) == (len(str(abs(value))) <= numbers.MAX_DIGITS)


@given(st.fractions(max_denominator=10**6), st.fractions(max_denominator=10**6))
def test_equality_is_exact_reflexive_and_symmetric(a: Fraction, b: Fraction) -> None:
    assert numbers.equal(str(a), str(a))
    assert numbers.equal(str(a), str(b)) == numbers.equal(str(b), str(a)) == (a == b)


@given(st.text(max_size=60))
def test_no_text_breaks_the_parser(text: str) -> None:
    found = numbers.parse(text)
    assert found is None or isinstance(found.value, int | Fraction)
