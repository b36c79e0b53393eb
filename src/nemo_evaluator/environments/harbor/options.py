"""``params`` of a benchmark of task folders."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import msgspec

from ...errors import ConfigError
from ...types import Json, Record

Names = str | tuple[str, ...]
"""Patterns such as ``git-*``: a list, or a text with commas."""


class HarborOptions(Record, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What may be said about the tasks of a benchmark."""

    tasks: Names = ()
    """Only tasks whose name is, or matches, one of these."""
    exclude: Names = ()
    """No tasks whose name is, or matches, one of these."""
    registry: str | None = None
    """A registry of harbor on this machine (``registry.json``, or a folder that has one)."""
    pass_env: Names = ()
    """Variables of this machine that tasks may read (``${NAME}`` in their task.toml)."""
    allowlist: Literal["none", "bridge"] | None = None
    """What tasks get that want to reach only some hosts, which no sandbox here can arrange."""
    keep_tools: Names = ()
    """Tasks that are about Python, the shell or a test runner: there what tests are run with is
    not set back to the image's."""
    timeout_multiplier: float = 1.0
    """Times the seconds that a task gives its tests."""

    def __post_init__(self) -> None:
        if not 0 < self.timeout_multiplier < float("inf"):
            raise ValueError("timeout_multiplier must be greater than 0")


def options_of(params: Mapping[str, Json], where: str) -> HarborOptions:
    """The options. Raises ConfigError."""
    try:
        return msgspec.convert(dict(params), HarborOptions)
    except msgspec.ValidationError as error:
        known = ", ".join(HarborOptions.__struct_fields__)
        raise ConfigError(f"params: {error}", where=where, hint=f"it accepts {known}") from None


def names_of(told: Names) -> tuple[str, ...]:
    """The patterns of an option."""
    parts = told.split(",") if isinstance(told, str) else told
    return tuple(part.strip() for part in parts if part.strip())
