"""What an exporter is: something that hands the results of a run on.

It is a class, called with its nested ``Options`` (a `ConfigRecord`) or, if it has none, with its
options as keyword arguments. It reads the run's files and nothing else, so that it can be run again
at any time; what it wrote of the same run before, it replaces.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

from ..results.view import RunView


@runtime_checkable
class Exporter(Protocol):
    """Hands the results of runs on."""

    async def export(self, run: RunView) -> Sequence[str]:
        """Hand a run on: where it is now, as paths or addresses. What cannot be done is raised; it
        does not change how the run ended."""
