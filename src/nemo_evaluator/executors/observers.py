"""Who is told what happens in a run: a terminal, the log of the run, ``progress.json``.

An observer does nothing to a run. All observers of a run are told the same, in the same order.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager, nullcontext
from pathlib import Path

from ..engine.progress import Tally
from ..results.run_info import RunInfo
from .ending import Ending


class Observer:
    """Base of all observers: it overrides what it wants to know."""

    def said(self, text: str) -> None:
        """What a user should read now (warnings, interrupts)."""

    def opened(self, directory: Path, info: RunInfo) -> None:
        """The directory is claimed, its documents are written; no request has been sent."""

    def watching(self, tallies: Mapping[str, Tally]) -> AbstractAsyncContextManager[None]:
        """Entered while rollouts are made. ``tallies``: the counters by slug."""
        return nullcontext()

    def ended(self, ending: Ending) -> None:
        """The run has ended, or could not go on. Only for a run that was opened."""


class Observers(Observer):
    """All observers of a run as one."""

    def __init__(self, observers: Iterable[Observer]) -> None:
        self._all = [*observers]

    def put_first(self, observer: Observer) -> None:
        """One more, which is told what happens from now on, before the others."""
        self._all.insert(0, observer)

    def said(self, text: str) -> None:
        """See ``Observer``."""
        for observer in self._all:
            observer.said(text)

    def opened(self, directory: Path, info: RunInfo) -> None:
        """See ``Observer``."""
        for observer in self._all:
            observer.opened(directory, info)

    @asynccontextmanager
    async def watching(self, tallies: Mapping[str, Tally]) -> AsyncIterator[None]:
        """See ``Observer``."""
        async with AsyncExitStack() as stack:
            for observer in self._all:
                await stack.enter_async_context(observer.watching(tallies))
            yield

    def ended(self, ending: Ending) -> None:
        """See ``Observer``."""
        for observer in self._all:
            observer.ended(ending)
