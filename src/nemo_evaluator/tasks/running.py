"""Runs a configuration with the executor it names, and waits for the end; or only starts it.

The local executor's runs that are waited for are made in this process. Others are started, their
log is passed on, and the results are read from the directory when they have ended.
"""

from __future__ import annotations

import asyncio
import shlex
from collections import deque
from collections.abc import Collection
from pathlib import Path

from ..config.load import Loaded
from ..errors import ExitCode
from ..executors import local
from ..executors.background import submit
from ..executors.contract import RunHandle
from ..executors.observers import Observers
from ..executors.options import Options
from ..executors.registry import LOCAL, describer, executor_of, is_detached, place_of
from ..executors.run_handle import LocalRun
from ..results.run_directory import plan_of
from ..results.run_info import new_run_info
from ..results.summary import RunSummary
from .find_run import submitted_text

LAST_LINES = 50
"""Lines of a log that are remembered, so that what they say is not said twice."""


async def run(loaded: Loaded, options: Options) -> local.RunResult:
    """Run, or resume, an evaluation. Raises ConfigError for what stops it before it starts."""
    if place_of(loaded) == LOCAL:
        return await local.run(loaded, options)
    from .reporting import refresh

    handle = await start(loaded, options)
    observers, seen = Observers(options.observers), deque[str](maxlen=LAST_LINES)
    if (submitted := submitted_text(handle.directory)) is not None:
        observers.said(submitted)
    try:
        async for line in handle.logs(follow=True):
            seen.append(line)
            observers.said(line)
    except asyncio.CancelledError:
        directory = shlex.quote(str(handle.directory))
        if not leaves_alone(loaded):
            await handle.stop()
            observers.said(f"stopping: nel eval logs -f {directory} tells more")
        else:
            observers.said(f"the run goes on: nel eval status {directory}")
        raise
    state = await handle.wait()
    code = ExitCode.INCOMPLETE if state.exit_code is None else state.exit_code
    notes = (*([state.reason] if state.reason else []), *state.messages)
    messages = tuple(text for text in notes if not _was_seen(text, seen))
    if plan_of(handle.directory) is None:  # nothing came of it
        return local.RunResult(RunSummary(run=new_run_info(), benchmarks=()), code, messages)
    return local.RunResult(refresh(handle.directory), code, messages)


def _was_seen(text: str, lines: Collection[str]) -> bool:
    """Whether a message is among the last lines of a log, which begin with a time."""
    return all(any(line.endswith(part) for line in lines) for part in text.splitlines())


def leaves_alone(loaded: Loaded) -> bool:
    """Whether a run is only submitted, to something that keeps it by itself, unless the user
    waits for it. Raises ConfigError."""
    return place_of(loaded) != LOCAL and is_detached(executor_of(loaded))


async def describe(loaded: Loaded, options: Options) -> str:
    """What would be run, or submitted: the scripts where the executor makes some, else the plan.
    Nothing is called or written. Raises ConfigError."""
    from .dry_run import describe_plan

    if place_of(loaded) != LOCAL and (says := describer(executor_of(loaded))) is not None:
        return await says.describe(loaded, options)
    return await describe_plan(loaded)


async def start(loaded: Loaded, options: Options, folder: Path | None = None) -> RunHandle:
    """Start a run that outlives this process; a local one in a folder. Raises ConfigError if it did
    not start."""
    executor = executor_of(loaded)
    if place_of(loaded) == LOCAL:
        return LocalRun(await submit(loaded, options, folder))
    return await executor.submit(loaded, options)
