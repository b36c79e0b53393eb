from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from nemo_evaluator.environments.define import DEFINED, Definition, benchmark, scorer
from nemo_evaluator.environments.defined import DefinedEnvironment


def right(sample: Any) -> bool:
    """The scorer of tests that are not about scorers."""
    return bool(sample.response == str(sample.target))


@pytest.fixture
def environment() -> Callable[..., DefinedEnvironment]:
    """An environment from the arguments of `@benchmark` and a scorer."""

    def make(grade: Any = None, **arguments: Any) -> DefinedEnvironment:
        function = scorer(grade or right)
        defaults = {"name": "tried", "dataset": [{"q": "?", "target": "4"}], "prompt": "{q}"}
        if "seed_fn" in arguments:
            del defaults["prompt"]
        benchmark(**{**defaults, **arguments})(function)
        definition = DEFINED[__name__].pop()
        assert isinstance(definition, Definition)
        return DefinedEnvironment(definition)

    return make
