"""Rescue files: what a journal could not take, put where there is room, and taken in on resume.

A rescue file is a journal of its own: a header that says what it belongs to, then lines with
checksums. It stands beside the journal or, if nothing can be written there, in the directory for
temporary files. Others may write there too, so only files of this user with the run's own header
are taken in.
"""

from __future__ import annotations

import contextlib
import os
import stat
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path

from ..files.lines import LineFile
from ..types import BenchmarkPlan
from .journal import Header, JournalIndex, encode, events, scan
from .layout import JOURNAL

PREFIX = "nel-rescue-"


def write_rescue(folder: Path, header: Header, chunks: Iterable[bytes]) -> Path | None:
    """Write lines into a rescue file for the journal in a folder, durably; where it is, or None if
    nothing can be written anywhere. ``chunks`` may be iterated more than once."""
    prefix = _prefix(header.run_id, folder.name)
    for place in (folder, Path(tempfile.gettempdir())):
        try:
            fd, name = tempfile.mkstemp(prefix=prefix, suffix=".jsonl", dir=place)
        except OSError:
            continue
        try:
            with os.fdopen(fd, "wb") as file:
                file.write(encode(header))
                file.writelines(chunks)
                file.flush()
                os.fsync(file.fileno())
        except OSError:
            with contextlib.suppress(OSError):
                Path(name).unlink()
            continue
        return Path(name)
    return None


def take_in_rescued(folder: Path, plan: BenchmarkPlan, run_id: str) -> Iterator[str]:
    """Append what rescue files of a benchmark's journal hold to the journal, remove them, and say
    so. Raises OSError; a rescue file that was not taken in as a whole stays."""
    for path in rescue_files(folder, run_id):
        found = scan(path, plan)
        if not _belongs(found, plan, run_id):
            continue
        journal = scan(folder / JOURNAL)
        with LineFile(folder / JOURNAL, end=journal.good_bytes) as out:
            if journal.header is None and found.header is not None:
                out.append(encode(found.header))
            for event in events(path, plan):
                if not isinstance(event, Header):
                    out.append(encode(event))
            out.sync()
        path.unlink()
        yield f"added {found.answers} answers from {path} to {folder / JOURNAL}"


def _belongs(found: JournalIndex, plan: BenchmarkPlan, run_id: str) -> bool:
    header = found.header
    return header is not None and (header.run_id, header.benchmark) == (run_id, plan.name)


def rescue_files(folder: Path, run_id: str) -> Iterator[Path]:
    """Files of this user that may hold what the journal in a folder could not take."""
    for place in (folder, Path(tempfile.gettempdir())):
        for path in sorted(place.glob(f"{_prefix(run_id, folder.name)}*.jsonl")):
            found = path.lstat()
            if stat.S_ISREG(found.st_mode) and found.st_uid == os.geteuid():
                yield path


def _prefix(run_id: str, slug: str) -> str:
    return f"{PREFIX}{run_id}-{slug}-"
