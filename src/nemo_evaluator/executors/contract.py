"""What an executor is: something that runs an evaluation somewhere, and finds it again.

Everything about a run that was submitted is in its directory, so that any process can ask for it.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Protocol, runtime_checkable

from ..config.load import Loaded
from ..config.mistakes import Mistake
from ..results.status import RunState
from .options import Options


class RunHandle(Protocol):
    """A run that was submitted, in this process or an earlier one."""

    @property
    def directory(self) -> Path:
        """Where its files are."""

    async def status(self) -> RunState:
        """What the run is doing. Raises ConfigError where there is no run."""

    def logs(self, *, follow: bool = False, tail: int | None = None) -> AsyncIterator[str]:
        """The lines of its log, or the last ``tail`` of them; ``follow``: also those to come,
        until it ends."""

    async def stop(self, *, now: bool = False) -> None:
        """Ask the run to finish what is in flight and end; ``now``: to give up what is in flight.
        Raises ConfigError if the run is not running."""

    async def resume(self) -> RunHandle:
        """Go on with the run. Raises ConfigError if that is not possible."""

    async def wait(self) -> RunState:
        """The run's state once no process works on it any more."""


@runtime_checkable
class CountsAttempts(Protocol):
    """A run that is submitted again by itself, this many times and no more."""

    async def resume_counting(self) -> RunHandle:
        """Go on with the run; earlier attempts count (``resume`` begins to count anew)."""


@runtime_checkable
class Elsewhere(Protocol):
    """A run whose directory may be on another host."""

    @property
    def host(self) -> str:
        """Where its directory is; empty: on this host."""

    def is_copy(self, folder: Path) -> bool:
        """Whether a folder of this host holds a copy of it."""

    async def fetch(self, into: Path) -> None:
        """Copy the run directory into a folder of this host. Raises ConfigError."""


@runtime_checkable
class LeavesSomething(Protocol):
    """A run that leaves more than its directory where it was executed: a container, a job."""

    async def discard(self) -> None:
        """Remove that; the results stay. Raises ConfigError."""


@runtime_checkable
class Describes(Protocol):
    """An executor that can say what it would submit."""

    async def describe(self, loaded: Loaded, options: Options) -> str:
        """What ``submit`` would submit (scripts, manifests), with ``***`` for secrets. Nothing is
        submitted or written. Raises ConfigError."""


class Executor(Protocol):
    """Runs evaluations in one kind of place.

    One that also has ``detached = True`` hands runs to something that keeps them by itself (a batch
    system): ``nel eval run`` returns once a run was submitted. With others it stays until the run
    has ended.
    """

    def problems(self, loaded: Loaded) -> Iterator[Mistake]:
        """What of a configuration cannot be run there."""

    async def submit(self, loaded: Loaded, options: Options) -> RunHandle:
        """Start a run that outlives this process. Raises ConfigError if it did not start."""

    def attach(self, directory: Path) -> RunHandle | None:
        """The run in a directory; None if this executor did not run it."""
