"""Which packages of others decide, and that a run says so."""

from __future__ import annotations

import functools
from importlib.metadata import version
from typing import Any

import pytest

import nemo_evaluator as nel
from nemo_evaluator import ScorerInput, exact_match, math_match
from nemo_evaluator.scoring import packages
from nemo_evaluator.scoring.packages import deciding

MATH = ["latex2sympy2_extended", "math-verify", "sympy"]


def helper(sample: ScorerInput) -> Any:
    return math_match(sample)


def asks_itself(sample: ScorerInput) -> Any:
    return math_match(sample)


def asks_by_module(sample: ScorerInput) -> Any:
    return nel.math_match(sample)


def asks_through_a_helper(sample: ScorerInput) -> Any:
    return next(helper(sample) for _ in range(1))


def asks_nobody(sample: ScorerInput) -> Any:
    return exact_match(sample)


@pytest.mark.parametrize(
    "scorer",
    [
        math_match,
        asks_itself,
        asks_by_module,
        asks_through_a_helper,
        functools.partial(asks_itself),
        lambda sample: math_match(sample),
    ],
)
def test_the_packages_a_scorer_asks_are_named_with_their_versions(scorer: Any) -> None:
    assert deciding([scorer]) == {name: version(name) for name in MATH}


def test_a_scorer_without_packages_names_none() -> None:
    assert deciding([asks_nobody, exact_match]) == {}


def test_a_package_that_is_absent_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(packages.PACKAGES, "exact_match", ("no-such-package",))
    assert deciding([asks_nobody]) == {"no-such-package": "missing"}
