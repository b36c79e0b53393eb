"""A run of this machine, known by its directory alone.

It is stopped by a signal where its process can be told on this host, and by a request in its
directory where it cannot (a container, another node of a cluster, another user).
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from collections.abc import AsyncIterator
from pathlib import Path

from ..errors import ConfigError
from ..files.reading import open_regular
from ..files.writing import replace_file
from ..results.layout import LOG, STOP
from ..results.lock import is_holder
from ..results.status import PATIENCE, RunState, State, status_of
from .background import submit
from .resuming import resumption

POLL_SECONDS = 0.25
NOTICED_SECONDS = 5.0
"""Time in which a run says that it is stopping."""


class LocalRun:
    """A handle of a local run."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    @property
    def directory(self) -> Path:
        """Where its files are."""
        return self._directory

    async def status(self) -> RunState:
        """See ``RunHandle``."""
        return await asyncio.to_thread(status_of, self._directory, patience=PATIENCE)

    async def stop(self, *, now: bool = False) -> None:
        """See ``RunHandle``."""
        state = await self.status()
        if state.owner is None:
            raise ConfigError(f"is not running: it is {state.state}", where=str(self._directory))
        if not state.owner.here or not is_holder(state.owner.pid, self._directory):
            replace_file(self._directory / STOP, b"now" if now else b"stop")
            return
        if state.state is not State.STOPPING:
            _interrupt(state.owner.pid)
            if not now or not await self._noticed():
                return
        if now:
            _interrupt(state.owner.pid)

    async def _noticed(self) -> bool:
        """Whether the run is stopping now; not where it has ended, or was only starting."""
        for _ in range(round(NOTICED_SECONDS / POLL_SECONDS)):
            await asyncio.sleep(POLL_SECONDS)
            try:
                state = await self.status()
            except ConfigError:  # it ended before there was a run
                return False
            if state.state is not State.RUNNING:
                return state.state is State.STOPPING
        return True

    async def resume(self) -> LocalRun:
        """Go on with the run in the background. See ``RunHandle``."""
        again = resumption(self._directory)
        return LocalRun(await submit(again.loaded, again.options, again.folder))

    async def wait(self) -> RunState:
        """See ``RunHandle``."""
        while True:
            state = await self.status()
            if not state.state.active:
                return state
            await asyncio.sleep(POLL_SECONDS)  # its process may be on another host

    async def logs(self, *, follow: bool = False, tail: int | None = None) -> AsyncIterator[str]:
        """See ``RunHandle``."""
        path = self._directory / LOG
        try:
            file = open_regular(path)
        except FileNotFoundError:
            await self.status()  # says if there is no run either
            hint = "runs of earlier versions, merges and rescorings write none"
            raise ConfigError("there is no log", where=str(path), hint=hint) from None
        with file:
            lines = file.read().splitlines(keepends=True)
            rest = b"" if not lines or lines[-1].endswith(b"\n") else lines.pop()
            for line in lines if tail is None else lines[max(0, len(lines) - tail) :]:
                yield _text(line)
            while follow:
                ended = not (await self.status()).state.active
                for line in (rest + file.read()).splitlines(keepends=True):
                    rest = b"" if line.endswith(b"\n") else line
                    if not rest:
                        yield _text(line)
                if ended:
                    break
                await asyncio.sleep(POLL_SECONDS)
            if rest:
                yield _text(rest)


def _text(line: bytes) -> str:
    return line.decode(errors="replace").rstrip("\n")


def _interrupt(pid: int) -> None:
    with contextlib.suppress(ProcessLookupError):  # it has just ended
        os.kill(pid, signal.SIGINT)
