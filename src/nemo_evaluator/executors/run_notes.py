"""Where the runs of this user are noted, a folder for each run.

A note says where a run is and nothing else; the results stay in the directory of the run, whatever
becomes of the note. Where a note cannot be written, the run goes on without one.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

from ..errors import ConfigError
from ..files.reading import read_json
from ..files.writing import make_folder
from ..results.files import write_json
from ..types import Record

NOTES = "nel_run.json"
"""What NVIDIA NeMo Evaluator writes beside a run, and once more in its store."""


class RunNote(Record, frozen=True, kw_only=True):
    """What is noted of a run."""

    run_id: str
    output_dir: str
    executor: str = "local"
    started_at: str = ""
    """ISO 8601, of the first invocation."""
    benchmarks: tuple[str, ...] = ()


def store() -> Path:
    """Where runs are noted, a folder for each."""
    data = Path(os.environ.get("XDG_DATA_HOME") or "~/.local/share")
    with contextlib.suppress(RuntimeError):  # a user without a home; then there is no such folder
        data = data.expanduser()
    return data / "nel" / "runs"


def write_note(note: RunNote) -> Path | None:
    """Note a run. Returns its folder in the store; None where there can be none."""
    folder = store() / note.run_id
    if not folder.is_absolute():  # the user has no home
        return None
    try:
        make_folder(folder)
        write_json(folder / NOTES, note)
    except OSError:
        return None
    return folder


def read_notes() -> Iterator[tuple[Path, RunNote]]:
    """Every note, and the file it is in."""
    for path in sorted(store().glob(f"*/{NOTES}")):
        try:
            yield path, read_json(path, RunNote)
        except (ConfigError, OSError):
            continue
