"""The runs of this user: noted where they start, listed with their state, forgotten when asked.

A note says where a run is and nothing else; the results stay in the directory of the run, whatever
becomes of the note.
"""

from __future__ import annotations

import contextlib
import datetime
import re
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from ..errors import ConfigError
from ..executors.observers import Observer
from ..files.reading import read_json
from ..files.writing import make_folder
from ..results.files import write_json
from ..results.run_info import RunInfo
from ..results.status import RunState, status_of
from ..types import Record
from .find_run import NOTES, known_runs, store

UNITS = {"h": 1 / 24, "d": 1, "w": 7, "m": 30}
"""Days of a unit of age."""


class RunNote(Record, frozen=True, kw_only=True):
    """What is noted of a run."""

    run_id: str
    output_dir: str
    executor: str = "local"
    started_at: str = ""
    """ISO 8601, of the first invocation."""
    benchmarks: tuple[str, ...] = ()


class RunNotes(Observer):
    """Notes a run that starts. Where the note cannot be written, the run goes on without one."""

    def opened(self, directory: Path, info: RunInfo) -> None:
        """Write the note; a run that is resumed has the one it had."""
        folder = store() / info.run_id
        if not folder.is_absolute():  # the user has no home
            return
        note = RunNote(
            run_id=info.run_id,
            output_dir=str(directory.resolve()),
            started_at=info.created,
            benchmarks=info.benchmarks,
        )
        with contextlib.suppress(OSError):
            make_folder(folder)
            write_json(folder / NOTES, note)


@dataclass(frozen=True, slots=True)
class Listed:
    """A run that is known."""

    run_id: str
    directory: Path
    state: RunState | None
    """None where its directory is gone, or cannot be read."""


def list_runs() -> list[Listed]:
    """Every run that is noted, or below the working directory; the latest first."""
    found = []
    for directory, run_id in known_runs().items():
        try:
            state = status_of(directory)
        except (ConfigError, OSError):
            state = None
        found.append(Listed(run_id, directory, state))
    return sorted(found, key=lambda run: run.run_id, reverse=True)


def days(age: str) -> float:
    """The days of an age such as ``7d``, ``4w``, ``24h`` or ``3m``. Raises ConfigError."""
    match = re.fullmatch(r"\s*(\d+)\s*([hdwm])\s*", age)
    if match is None:
        hint = "write a number and h, d, w or m (30 days), e.g. 7d"
        raise ConfigError(f"{age!r} is not an age", where="--older-than", hint=hint)
    return int(match[1]) * UNITS[match[2]]


def old_notes(older_than: float | None, executor: str | None) -> list[tuple[Path, RunNote]]:
    """The notes, and where they are, of runs that are older than so many days and not running."""
    now = datetime.datetime.now(datetime.UTC)
    return [
        (path, note)
        for path, note in _notes()
        if (executor is None or note.executor == executor)
        and (older_than is None or _age(note, path, now) > older_than)
        and not _active(note)
    ]


def forget(note: Path) -> None:
    """Remove a note. The results stay. Raises OSError."""
    shutil.rmtree(note.parent)


def _notes() -> Iterator[tuple[Path, RunNote]]:
    for path in sorted(store().glob(f"*/{NOTES}")):
        try:
            yield path, read_json(path, RunNote)
        except (ConfigError, OSError):
            continue


def _age(note: RunNote, path: Path, now: datetime.datetime) -> float:
    """Days since a run started; by the note's own age where it does not say."""
    try:
        started = datetime.datetime.fromisoformat(note.started_at).astimezone(datetime.UTC)
    except ValueError:
        started = datetime.datetime.fromtimestamp(path.stat().st_mtime, datetime.UTC)
    return (now - started).total_seconds() / 86400


def _active(note: RunNote) -> bool:
    try:
        return status_of(Path(note.output_dir)).state.active
    except (ConfigError, OSError):
        return False
