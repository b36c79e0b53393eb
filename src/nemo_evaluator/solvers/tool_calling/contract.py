"""What a tool is, and where tools come from.

What a tool does is a *result*, failures included: the model is told, and goes on. Only what the
evaluator fails to do (a sandbox that is gone, a tool server that cannot be reached) raises
InfraError.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

import msgspec

from ...steps import Step
from ...types import Json, Record


def empty_schema() -> dict[str, Json]:
    """The schema of a tool without arguments."""
    return {"type": "object", "properties": {}}


class Tool(Record, frozen=True, kw_only=True):
    """A tool as the model is told of it."""

    name: str
    description: str = ""
    parameters: Mapping[str, Json] = msgspec.field(default_factory=empty_schema)
    """A JSON schema of an object."""


class Picture(Record, frozen=True, kw_only=True):
    """An image that a tool gave back."""

    media_type: str
    data: str
    """Base64."""


class ToolResult(Record, frozen=True, kw_only=True):
    """What a call of a tool gave back."""

    text: str
    failed: bool = False
    pictures: tuple[Picture, ...] = ()
    omitted: int = 0
    """Bytes that are missing in the middle of the text."""
    extra: Mapping[str, Json] = {}
    """Kept in the trajectory: an exit code, say."""


class ToolSource(Protocol):
    """Tools of one kind, for one rollout."""

    @property
    def name(self) -> str:
        """What the source is called in errors and in the names of its tools."""

    @property
    def prefixes(self) -> bool:
        """Whether a tool whose name is taken is offered as ``source__tool``."""

    async def open(self) -> Sequence[Tool]:
        """Connect, and list the tools. Raises ConfigError and InfraError."""

    async def call(self, name: str, arguments: Mapping[str, Json], seconds: float) -> ToolResult:
        """Call a tool, for at most this many seconds: TimeoutError beyond. Raises InfraError."""

    def details(self, steps: Sequence[Step]) -> Mapping[str, Json]:
        """What a verdict may need of the source, as details of the solution with these steps."""

    async def close(self) -> None:
        """Release what was opened; safe to call twice."""


def failed(text: str, **extra: Json) -> ToolResult:
    """The result that tells of a failure."""
    return ToolResult(text=f"Error: {text}", failed=True, extra=extra)


def limited(text: str, most: int, omitted: int = 0) -> str:
    """At most ``most`` characters of a text: its beginning and its end, and between them a note of
    what is missing. ``omitted``: bytes that are missing in its middle already."""
    if len(text) <= most and not omitted:
        return text
    first = min(most, len(text)) // 2
    last = min(most, len(text)) - first
    cut = len(text) - first - last
    note = " and ".join(
        f"{count:,} {unit}" for count, unit in ((cut, "characters"), (omitted, "bytes")) if count
    )
    return f"{text[:first]}\n[... {note} left out ...]\n{text[len(text) - last :]}"
