"""How two runs are compared. What is out of range is refused here, for every door alike."""

from __future__ import annotations

import math
from typing import get_args

import msgspec
import numpy as np

from ..config.gate_policy import Rules
from ..errors import ConfigError
from ..types import Record
from .damage import LEVEL
from .metrics import REWARD
from .paired_tests import TestName
from .published import ALPHA

MAX_DROP = 0.05
"""The largest drop that is allowed by default."""

NUMBERS = ("max_drop", "alpha", "correct_above", "min_coverage")
MAY_BE_NONE = ("alpha", "min_coverage")
NAMES = {"max_drop": "max_drop (min_effect)", "correct_above": "correct_above (reward_threshold)"}


class CompareOptions(Record, frozen=True, kw_only=True):
    """How to compare."""

    max_drop: float = MAX_DROP
    """Largest drop that is allowed, in units of the score."""
    alpha: float | None = None
    """One-sided level; by default 0.025, the ends of a 95 % interval, and 0.05 by the published
    rules."""
    rules: Rules = Rules.SOUND
    metric: str = REWARD
    """What is compared: a metric of the runs, by its published name."""
    higher_is_better: bool | None = None
    """Direction of the metric; by default its own."""
    test: TestName = "auto"
    correct_above: float = 0.0
    """A reward above this is a right answer, in flips and for McNemar's test."""
    min_coverage: float | None = None
    """Share of the planned problems that must be paired; by default what the runs demanded of
    themselves, else 0.9."""
    force: bool = False
    """Compare what is not comparable, and say so."""
    resamples: int = 10_000
    seed: int = 42

    @property
    def level(self) -> float:
        """One-sided level of the verdict."""
        if self.alpha is not None:
            return self.alpha
        return LEVEL if self.rules is Rules.SOUND else ALPHA

    def __post_init__(self) -> None:
        """Scalars of numpy become Python's own numbers. Raises ConfigError for what is not a
        number, or out of range."""
        for name in NUMBERS:
            value = getattr(self, name)
            if type(value) in (int, float):
                continue
            if isinstance(value, np.floating | np.integer):
                msgspec.structs.force_setattr(self, name, float(value))
            elif not (value is None and name in MAY_BE_NONE):
                raise _refused(name, value, "a number")
        for name, ok, allowed in (
            ("max_drop", 0 <= self.max_drop < math.inf, "0 or more"),
            ("alpha", self.alpha is None or 0 < self.alpha < 1, "between 0 and 1"),
            ("correct_above", math.isfinite(self.correct_above), "a number"),
            (
                "min_coverage",
                self.min_coverage is None or 0 <= self.min_coverage <= 1,
                "from 0 to 1",
            ),
            ("test", self.test in get_args(TestName), f"one of {', '.join(get_args(TestName))}"),
            ("resamples", self.resamples >= 1, "1 or more"),
        ):
            if not ok:
                raise _refused(name, getattr(self, name), allowed)


def _refused(name: str, value: object, allowed: str) -> ConfigError:
    return ConfigError(f"{NAMES.get(name, name)} is {value!r}; give {allowed}")
