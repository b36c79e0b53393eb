"""Claims a run directory: one process at a time works in it.

A process that has the directory already is looked for first, on this machine or another; only a job
that goes on after another one waits for it.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from pathlib import Path

from ..results.lock import LOOK_SECONDS, DirectoryLock, InUse, directory_lock, still_watched
from ..results.owner_liveness import OwnerWatch
from .registry import inner_execution
from .scheduler import job_runs

IN_USE_SECONDS = 2.0
"""How often a job looks whether the process it waits for has ended."""


async def claimed(
    directory: Path, say: Callable[[str], None], stack: contextlib.ExitStack
) -> DirectoryLock:
    """The lock of the directory. Raises ConfigError where another process has it; but a job that
    goes on after another one waits: what a scheduler took for dead may finish the work."""
    announced = False
    while True:
        watch = await _watched(directory, say)
        try:
            return stack.enter_context(directory_lock(directory, watch=watch))
        except InUse as error:
            if not inner_execution():
                raise
            if not announced:
                say(f"{directory} is {error.what}: goes on when that process has ended")
                announced = True
            await asyncio.sleep(IN_USE_SECONDS)


async def _watched(directory: Path, say: Callable[[str], None]) -> OwnerWatch:
    """OwnerWatch who claims the directory from elsewhere, until it is known whether it is alive."""
    watch = OwnerWatch(directory, job_runs)
    announced = False
    while (waiting := await asyncio.to_thread(still_watched, directory, watch))[0] > 0:
        if not announced:
            say(waiting[1])
            announced = True
        await asyncio.sleep(min(waiting[0], LOOK_SECONDS))
    return watch
