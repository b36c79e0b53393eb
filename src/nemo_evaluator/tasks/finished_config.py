"""The configuration of a run that is over, for what asks its models nothing."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ..config.environment import environment
from ..config.load import Loaded, load
from ..results.layout import CONFIG

NOT_SET = "not-needed"
"""Stands for variables that are not set."""


def configuration(directory: Path, overrides: Sequence[str] = ()) -> Loaded:
    """The configuration in a run's directory. The keys of its models are not needed. Raises
    ConfigError."""
    return load(directory / CONFIG, overrides=overrides, env=_Lenient(environment([Path.cwd()])))


class _Lenient(dict[str, str]):
    """Variables of which those that are not set have a stand-in."""

    def get(self, name: str, default: Any = None) -> Any:
        return super().get(name, NOT_SET if default is None else default)

    def __missing__(self, name: str) -> str:
        return NOT_SET
