"""What a person says of single answers: right, wrong or unclear, with a note.

They stand in ``labels.jsonl`` in the folder of the benchmark, in the form that `nel judge
calibrate` reads; where that folder cannot be written, in the user's own data. Each label is one
line; a label that is changed replaces its line, and the file is replaced as a whole.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Mapping
from pathlib import Path

import msgspec

from ..errors import ConfigError
from ..files.reading import UNREADABLE, lines_of
from ..files.writing import make_folder, replace_file
from ..judging.labels import UNCLEAR
from ..reports.rollout import as_text
from ..results.result_row import ResultRow
from ..types import Record
from .library import Run
from .search_words import sound

FILE = "labels.jsonl"
WORDS: Mapping[str, bool | str] = {"right": True, "wrong": False, UNCLEAR: UNCLEAR}
LONGEST_NOTE = 4000
Key = tuple[int, int]


class Label(Record, frozen=True, kw_only=True):
    """A line of the file."""

    problem_idx: int
    repeat: int
    label: bool | str
    """True for right, false for wrong, or ``unclear``."""
    note: str = ""
    prompt: str = ""
    response: str = ""
    reference: str | None = None

    @property
    def word(self) -> str:
        """The label in a word."""
        return next((word for word, value in WORDS.items() if value == self.label), UNCLEAR)


class Labels:
    """The labels of the benchmarks of some runs."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._read: dict[Path, tuple[tuple[int, int], dict[Key, Label]]] = {}

    def of(self, run: Run, benchmark: str) -> Mapping[Key, Label]:
        """All of a benchmark."""
        found: dict[Key, Label] = {}
        for path in (_path_of_user(run, benchmark), _path_in_run(run, benchmark)):
            found |= self._labels_in(path)
        return found

    def set(self, run: Run, benchmark: str, row: ResultRow, word: str, note: str) -> Path:
        """Note a label, or take it back where the word is empty. Returns the file. Raises
        ConfigError where it cannot be written anywhere."""
        key = (row.problem_idx, row.repeat)
        with self._lock:
            found = dict(self.of(run, benchmark))
            found.pop(key, None)
            if word:
                found[key] = Label(
                    problem_idx=row.problem_idx,
                    repeat=row.repeat,
                    label=WORDS[word],
                    note=sound(note[:LONGEST_NOTE]),
                    prompt=sound(row.prompt or ""),
                    response=sound(row.model_response or ""),
                    reference=sound(as_text(row.expected_answer)) or None,
                )
            data = b"".join(msgspec.json.encode(found[key]) + b"\n" for key in sorted(found))
            return _written(run, benchmark, data)

    def _labels_in(self, path: Path) -> dict[Key, Label]:
        try:
            at = path.stat()
        except OSError:
            return {}
        stamp = (at.st_mtime_ns, at.st_size)
        known = self._read.get(path)
        if known is None or known[0] != stamp:
            found = {}
            for line in lines_of(path):
                try:
                    label = msgspec.json.decode(line, type=Label)
                except UNREADABLE:
                    continue
                found[label.problem_idx, label.repeat] = label
            known = self._read[path] = (stamp, found)
        return known[1]


def _path_in_run(run: Run, benchmark: str) -> Path:
    folder = run.folder(benchmark)
    return (folder if folder is not None else run.directory / benchmark) / FILE


def _path_of_user(run: Run, benchmark: str) -> Path:
    data = os.environ.get("XDG_DATA_HOME")
    base = Path(data) if data else Path.home() / ".local" / "share"
    return base / "nel" / "labels" / run.key / f"{benchmark}.jsonl"


def _written(run: Run, benchmark: str, data: bytes) -> Path:
    beside, elsewhere = _path_in_run(run, benchmark), _path_of_user(run, benchmark)
    try:
        replace_file(beside, data)
    except OSError:
        try:
            make_folder(elsewhere.parent)
            replace_file(elsewhere, data)
        except OSError as error:
            what = f"labels cannot be written: {error.strerror}"
            raise ConfigError(what, where=str(elsewhere)) from None
        return elsewhere
    elsewhere.unlink(missing_ok=True)  # all of it stands beside the run now
    return beside
