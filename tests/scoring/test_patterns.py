from __future__ import annotations

import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nemo_evaluator.errors import ConfigError
from nemo_evaluator.scoring import patterns
from nemo_evaluator.scoring.input import ScorerInput


@pytest.fixture(autouse=True, scope="module")
def _no_workers_left() -> object:
    yield
    patterns.pool().close()


def graded(response: str, target: Any, pattern: str, **config: Any) -> dict[str, Any]:
    return patterns.regex(ScorerInput(response, target, config={"pattern": pattern, **config}))


@pytest.mark.parametrize(
    ("response", "target", "pattern", "correct"),
    [
        ("Total: 5\nTotal: 7", "7", r"Total: (\d+)", True),
        ("Total: 5\nTotal: 7", "5", r"Total: (\d+)", False),
        ("total: x", "X", r"(?i)TOTAL: (\w)", True),
        ("a or b", "b", r"(z)|(b)", True),
        ("yes", None, r"yes|no", True),
        ("maybe", None, r"yes|no", False),
        ("yes", "", r"yes|no", False),
        ("<think>Total: 5</think>none", "5", r"Total: (\d+)", False),
        ("x" * 70_000 + " Total: 5", "5", r"Total: (\d+)", True),
    ],
)
def test_the_last_match_counts(response: str, target: Any, pattern: str, correct: bool) -> None:
    verdict = graded(response, target, pattern)
    assert verdict["correct"] is correct
    if correct:
        assert verdict["rule"] == "pattern"
        assert response[slice(*verdict["span"])] == verdict["extracted"]


def test_a_pattern_that_never_ends_is_killed_and_says_so() -> None:
    start = time.perf_counter()
    verdict = graded("a" * 40 + "b", "b", r"(a+)+$", timeout=0.3)
    assert (verdict["correct"], verdict["timed_out"]) == (False, True)
    assert time.perf_counter() - start < 20
    assert graded("b", "b", "b")["correct"] is True  # another worker has taken its place


@pytest.mark.parametrize("pattern", [None, "", 5, "("])
def test_a_broken_pattern_is_an_error(pattern: Any) -> None:
    with pytest.raises(ConfigError, match="pattern"):
        patterns.regex(ScorerInput("x", "x", config={"pattern": pattern}))


@given(st.text(min_size=1, max_size=12), st.text(max_size=12), st.text(max_size=12))
def test_included_means_there(needle: str, before: str, after: str) -> None:
    found = patterns.contained(needle, before + needle + after)
    if found is not None:
        assert found[0].split()
    spaced = patterns.contained(needle, f"( {needle} )")
    assert (spaced is not None) == bool(needle.split()) or not needle.isascii()


def test_an_alias_is_enough_and_absence_is_wrong_not_unread() -> None:
    sample = ScorerInput("We flew to NYC.", "New York", {"correct_answers": ["NYC"]})
    verdict = patterns.includes(sample)
    assert (verdict["correct"], verdict["extracted"], verdict["rule"]) == (True, "NYC", "includes")
    assert patterns.includes(ScorerInput("We stayed.", "NYC"))["failure"] is None


INCLUDED = [
    ("I use C++ daily", "C", False),
    ("I use C# daily", "C", False),
    ("C is nice", "C", True),
    ("++i", "++", True),
    ("C++", "++", True),
    ("it is 42.", "42", True),
    ("it is 420", "42", False),
    ("3.5", "3.5", True),
    ("13.5", "3.5", False),
    ("3.55", "3.5", False),
    ("-3.5", "3.5", False),
    ("−3.5", "-3.5", True),
    ("x-3.5", "-3.5", False),
    ("1/2 cup", "1/2", True),
    ("11/2", "1/2", False),
    ("5/8", "5", False),
    ("3:45", "45", False),
    ("5^2", "5", False),
    ("wow 👍🏽", "👍", False),
    ("👍👍", "👍", False),
    ("100%", "%", True),
    ("100%", "100%", True),
    ("50%", "0%", False),
    ("café", "café", True),
    ("café", "café", True),
    ("Ｐａｒｉｓ", "Paris", True),
    ("a→b", "→", True),
    ("東京", "京", True),
    (".5", "5", False),
    ("v2.0", "2.0", False),
    ("4-5", "5", True),
    ("grade A+", "A", False),
    ("grade A+", "A+", True),
    ("$5", "5", True),
    ("$5", "$5", True),
]


@pytest.mark.parametrize(("response", "target", "there"), INCLUDED)
def test_symbols_and_numbers_have_edges_too(response: str, target: str, there: bool) -> None:
    assert patterns.includes(ScorerInput(response, target))["correct"] is there
