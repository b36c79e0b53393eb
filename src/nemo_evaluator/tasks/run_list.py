"""The runs of this user: noted where they start, listed with their state, forgotten when asked.

A note says where a run is and nothing else; the results stay in the directory of the run, whatever
becomes of the note.
"""

from __future__ import annotations

import asyncio
import datetime
import re
import shutil
from dataclasses import dataclass
from pathlib import Path

from ..errors import ConfigError
from ..executors.contract import LeavesSomething
from ..executors.observers import Observer
from ..executors.registry import attach, inner_execution
from ..executors.run_notes import RunNote, read_notes, write_note
from ..executors.submission import find_submission
from ..results.run_info import RunInfo
from ..results.status import RunState, status_of
from .find_run import known_runs

UNITS = {"h": 1 / 24, "d": 1, "w": 7, "m": 30}
"""Days of a unit of age."""


class RunNotes(Observer):
    """Notes a run that starts. What was submitted is noted by who submitted it."""

    def opened(self, directory: Path, info: RunInfo) -> None:
        """Write the note; a run that is resumed has the one it had."""
        if inner_execution():
            return
        write_note(
            RunNote(
                run_id=info.run_id,
                output_dir=str(directory.resolve()),
                started_at=info.created,
                benchmarks=info.benchmarks,
            )
        )


@dataclass(frozen=True, slots=True)
class Listed:
    """A run that is known."""

    run_id: str
    directory: Path
    state: RunState | None
    """None where its directory is gone, or cannot be read."""
    executor: str = "local"


async def list_runs(*, offline: bool = False) -> list[Listed]:
    """Every run that is noted, or below the working directory; the latest first. ``offline``: what
    files of this host say, without a question to a scheduler or another host."""
    known = known_runs().items()
    found = await asyncio.gather(*(_listed_run(path, run_id, offline) for path, run_id in known))
    return sorted(found, key=lambda run: run.run_id, reverse=True)


async def _listed_run(directory: Path, run_id: str, offline: bool) -> Listed:
    submitted = find_submission(directory)
    executor = submitted.submission.executor if submitted is not None else "local"
    try:
        handle = attach(directory) if submitted is not None and not offline else None
        state = await handle.status() if handle is not None else status_of(directory)
    except (ConfigError, OSError):
        state = None
    return Listed(run_id, directory, state, executor)


def days(age: str) -> float:
    """The days of an age such as ``7d``, ``4w``, ``24h`` or ``3m``. Raises ConfigError."""
    match = re.fullmatch(r"\s*(\d+)\s*([hdwm])\s*", age)
    if match is None:
        hint = "write a number and h, d, w or m (30 days), e.g. 7d"
        raise ConfigError(f"{age!r} is not an age", where="--older-than", hint=hint)
    return int(match[1]) * UNITS[match[2]]


async def old_notes(older_than: float | None, executor: str | None) -> list[tuple[Path, RunNote]]:
    """The notes, and where they are, of runs that are older than this many days and not running."""
    now = datetime.datetime.now(datetime.UTC)
    return [
        (path, note)
        for path, note in read_notes()
        if (executor is None or note.executor == executor)
        and (older_than is None or _age(note, path, now) > older_than)
        and not await _active(note)
    ]


async def forget(path: Path, note: RunNote) -> str | None:
    """Remove a note, and the container or job of its run: why that is still there, or None. The
    results stay. Raises OSError."""
    try:
        handle = attach(Path(note.output_dir))
        if handle is not None and isinstance(handle, LeavesSomething):
            await handle.discard()
    except ConfigError as error:
        return f"{note.run_id} stays on the list: {error}"
    await asyncio.to_thread(shutil.rmtree, path.parent)
    return None


def _age(note: RunNote, path: Path, now: datetime.datetime) -> float:
    """Days since a run started; by the note's own age where it does not say."""
    try:
        started = datetime.datetime.fromisoformat(note.started_at).astimezone(datetime.UTC)
    except ValueError:
        started = datetime.datetime.fromtimestamp(path.stat().st_mtime, datetime.UTC)
    return (now - started).total_seconds() / 86400


async def _active(note: RunNote) -> bool:
    listed = await _listed_run(Path(note.output_dir), note.run_id, offline=False)
    return listed.state is not None and listed.state.state.active
