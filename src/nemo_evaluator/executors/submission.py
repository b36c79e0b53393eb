"""``submission.json``: what a run was submitted as, and to what, so that any process finds it.

The file stands in the directory of the run, and once more in the store of runs, which is what finds
a run whose directory is on another host.
"""

from __future__ import annotations

import contextlib
import datetime
import re
import secrets
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from ..config.output import OutputConfig
from ..engine.shards import FOLDER
from ..errors import ConfigError
from ..files.reading import read_json
from ..results.files import write_json
from ..results.layout import SUBMISSION
from ..types import Json, Record
from .run_notes import NOTES, RunNote, store, write_note

FORMAT = 1


class Submission(Record, frozen=True, kw_only=True):
    """A run that was handed to something that runs it."""

    format: int = FORMAT
    run_id: str
    """Of the submission; the runs it consists of have ids of their own."""
    executor: str
    directory: str
    """Absolute, on ``host``."""
    created: str
    """ISO 8601, UTC."""
    ids: tuple[str, ...] = ()
    """What it is known by there: ids of jobs, of a container."""
    host: str = ""
    """``user@host`` that is reached over ssh; empty: no other host."""
    benchmarks: tuple[str, ...] = ()
    shards: int | None = None
    details: Mapping[str, Json] = {}
    """What else the executor has to know."""


@dataclass(frozen=True, slots=True)
class Submitted:
    """A submission that was found."""

    submission: Submission
    directory: Path
    """Of the whole run."""
    shard: int | None = None
    """The part that was asked for; None: all of it."""


def new_run_id() -> str:
    """An id for a submission; as a folder's name it sorts by time."""
    return f"{datetime.datetime.now(datetime.UTC):%Y%m%d_%H%M%S}_{secrets.token_hex(4)}"


def now() -> str:
    """The time of a submission, as it is recorded."""
    return datetime.datetime.now(datetime.UTC).isoformat(timespec="milliseconds")


def folder_of(output: OutputConfig, run_id: str, *, stamped: bool) -> Path:
    """The directory of a run that is submitted, absolute: ``output.dir``, or a folder named by the
    run below it. ``stamped``: what holds where ``output.timestamped`` does not say."""
    own = stamped if output.timestamped is None else output.timestamped
    directory = Path(output.dir).resolve()
    return directory / run_id if own else directory


def folder_to_use(output: OutputConfig, run_id: str, *, resume: bool) -> Path:
    """The directory of a run that is submitted, with a folder named by the run only where that is
    asked for; of one that goes on, the folder of the latest run."""
    directory = folder_of(output, run_id, stamped=False)
    if not resume or not output.timestamped:
        return directory
    return latest_below(Path(output.dir).resolve()) or directory


def age_of(submission: Submission) -> float:
    """Seconds since something was submitted."""
    created = datetime.datetime.fromisoformat(submission.created)
    return (datetime.datetime.now(datetime.UTC) - created).total_seconds()


def write_submission(submission: Submission) -> None:
    """Record a submission in its directory, if that is on this host, and in the store of runs.

    Raises OSError where the directory cannot be written. Calling it again replaces what was
    recorded.
    """
    if not submission.host:
        write_json(Path(submission.directory) / SUBMISSION, submission, durable=True)
    noted = write_note(
        RunNote(
            run_id=submission.run_id,
            output_dir=submission.directory,
            executor=submission.executor,
            started_at=submission.created,
            benchmarks=submission.benchmarks,
        )
    )
    if noted is not None:
        with contextlib.suppress(OSError):
            write_json(noted / SUBMISSION, submission)
    _on_other_hosts.cache_clear()


def remove_submission(submission: Submission) -> None:
    """Forget a submission: nothing was handed over."""
    noted = store() / submission.run_id
    recorded = [] if submission.host else [Path(submission.directory) / SUBMISSION]
    with contextlib.suppress(OSError):
        for path in (*recorded, noted / SUBMISSION, noted / NOTES):
            path.unlink(missing_ok=True)
        noted.rmdir()
    _on_other_hosts.cache_clear()


def find_submission(directory: Path) -> Submitted | None:
    """What was submitted into a directory, or into the directory that it is a shard of."""
    whole, shard = directory, None
    found = _read(directory)
    name = re.fullmatch(rf"{FOLDER}(\d+)", directory.name)
    if found is None and name is not None:
        whole, shard = directory.parent, int(name[1])
        found = _read(whole)
    if found is None:
        return None
    return Submitted(found, Path(found.directory) if found.host else whole, shard)


def latest_below(directory: Path) -> Path | None:
    """The run that was submitted last into a folder below a directory; None where there is none."""
    found = [path.parent for path in directory.glob(f"*/{SUBMISSION}")]
    return max(found, key=lambda path: path.name, default=None)


def stored_submissions() -> Iterator[Submission]:
    """Every submission in the store of runs."""
    for path in sorted(store().glob(f"*/{SUBMISSION}")):
        with contextlib.suppress(ConfigError, OSError):
            yield read_json(path, Submission)


def _read(directory: Path) -> Submission | None:
    with contextlib.suppress(OSError):
        modified = store().stat().st_mtime_ns
        if (found := _on_other_hosts(store(), modified).get(str(directory.absolute()))) is not None:
            return found
    if not directory.is_dir():
        return None
    with contextlib.suppress(FileNotFoundError):
        return read_json(directory / SUBMISSION, Submission)
    return None


@cache
def _on_other_hosts(_store: Path, _modified: int) -> Mapping[str, Submission]:
    """The latest submission into each directory of another host."""
    found = sorted((s for s in stored_submissions() if s.host), key=lambda s: s.created)
    return {submission.directory: submission for submission in found}
