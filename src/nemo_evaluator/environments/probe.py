"""Asks a scorer, before anything is paid, whether any answer can meet a row's target.

Only scorers that call this package's own are asked, with the target itself as the answer. A target
is refused where one of ours says that it is impossible and the whole does not accept that answer.
Errors, and whatever else a scorer does with it, are left to the run.
"""

from __future__ import annotations

import inspect
import re
import time
from collections.abc import Callable, Mapping
from typing import Any

from ..errors import ConfigError
from ..scoring.input import ScorerInput, target_text
from ..scoring.targets import noticing
from ..types import Json, Problem
from .grades import to_score
from .uses import OURS, functions_used

PROBE_SECONDS = 5.0
"""Longest time spent on asking about the rows of a benchmark."""
NUMBER = re.compile(r"-?\d{1,15}(\.\d{1,9})?")
"""What every scorer but one of letters can meet."""
LETTERS = {"multichoice_regex", "mcq_extract"}
SLOW_SECONDS, SLOW_CALLS = 0.05, 3
"""A scorer that takes longer on this many rows is asked no more: it does more than compare. (The
first calls may import.)"""


class Probe:
    """Asks one scorer about many rows."""

    def __init__(self, scorer: Callable[..., Any], config: Mapping[str, Json]) -> None:
        self._scorer, self._config = scorer, config
        ours = _called_of_ours(scorer)
        self._asks = bool(ours)
        self._of_letters = bool(ours & LETTERS)
        self._fine: set[tuple[Any, ...]] = set()
        """Targets that can be met, with what else the answer may depend on."""
        self._spent = 0.0
        self._slow = 0

    def check(self, problem: Problem, metadata: Mapping[str, Json]) -> None:
        """Raise ConfigError where no answer can meet the target."""
        if (why := self.refused(problem, metadata)) is not None:
            raise ConfigError(
                f"no answer can meet the target: {why}", hint="fix the rows or leave them out"
            )

    def refused(self, problem: Problem, metadata: Mapping[str, Json]) -> str | None:
        """Why no answer can meet the target; None if one can, or if that is unknown."""
        if not self._asks or self._spent > PROBE_SECONDS:
            return None
        text = target_text(problem.target)
        if not self._of_letters and NUMBER.fullmatch(text):
            return None
        options = [len(str(metadata.get(name) or "")) for name in ("choices", "options")]
        key = (type(problem.target), text, *options)
        if key in self._fine:
            return None
        started = time.monotonic()
        why = self._ask(text, problem, metadata)
        seconds = time.monotonic() - started
        self._spent += seconds
        self._slow += seconds > SLOW_SECONDS
        self._asks = self._slow < SLOW_CALLS
        if why is None:
            self._fine.add(key)
        return why

    def _ask(self, text: str, problem: Problem, metadata: Mapping[str, Json]) -> str | None:
        sample = ScorerInput(
            response=text,
            target=text,
            metadata=metadata,
            config=self._config,
            target_raw=problem.target,
        )
        with noticing() as found:
            try:
                verdict = self._scorer(sample)
                met = bool(found) and to_score(verdict).reward > 0
            except Exception:
                met = False
        return found[0] if found and not met else None


def _called_of_ours(scorer: Callable[..., Any]) -> set[str]:
    """Names of our scorers that a synchronous function is, or calls."""
    if inspect.iscoroutinefunction(inspect.unwrap(scorer)):
        return set()
    return {used.__name__ for used in functions_used(scorer) if used.__module__.startswith(OURS)}
