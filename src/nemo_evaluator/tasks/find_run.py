"""Finds the directory of a run by its id: below the working directory, in ``./eval_results``, and
where NVIDIA NeMo Evaluator notes its runs."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

import msgspec

from ..engine.shards import FOLDER
from ..errors import ConfigError
from ..executors.run_notes import NOTES, store
from ..executors.submission import (
    Submission,
    find_submission,
    latest_below,
    stored_submissions,
)
from ..files.reading import read_json, visible_folders
from ..results.layout import RUN_INFO, SUBMISSION

DEPTH = 3
"""Folders below the working directory that are looked into."""
SHORTEST = 6
"""Characters of an id that may stand for it where only one run begins with them."""


class _Note(msgspec.Struct):
    run_id: str = ""
    output_dir: str | None = None


def job_directory(job_id: str, host: str | None = None) -> Path:
    """The directory of the run that a job belongs to, by the job's id; ``host``: only of those that
    were submitted there. Raises ConfigError where there is none, or more than one."""
    found = {
        Path(submission.directory): submission
        for submission in _submissions()
        if _has_job(submission, job_id) and (host is None or _is_host(submission.host, host))
    }
    if len(found) == 1:
        return shown(next(iter(found)))
    if not found:
        hint = "nel eval jobs lists the runs that are known; give the directory of the run instead"
        raise ConfigError(f"no run was submitted as {job_id!r}", where="--job-id", hint=hint)
    hosts = ", ".join(sorted(s.host or str(path) for path, s in found.items()))
    hint = "say which with --host, or give the directory"
    raise ConfigError(f"{job_id!r} is a job of several runs: {hosts}", where="--job-id", hint=hint)


def latest_submission(directory: Path) -> Path | None:
    """The run that was submitted last into a folder below a directory that holds no run itself:
    clusters get a folder per run there. None where there is no such run."""
    if any((directory / name).exists() for name in (SUBMISSION, RUN_INFO)):
        return None
    return latest_below(directory)


def run_directory(run_id: str) -> Path:
    """The run's directory. Raises ConfigError where there is none, or more than one."""
    known = [*known_runs().items(), *((Path(s.directory), s.run_id) for s in _submissions())]
    found = {path: name for path, name in known if _matches(name, run_id)}
    exact = list({path: None for path, name in known if name == run_id})
    chosen = exact or list(found)
    if len(chosen) == 1:
        return shown(chosen[0])
    if not chosen:
        hint = f"runs are looked for below {Path().resolve()}; give the directory instead"
        raise ConfigError(f"there is no run {run_id!r}", where="--run-id", hint=hint)
    names = ", ".join(str(shown(path)) for path in chosen)
    raise ConfigError(f"{run_id!r} may be {names}", where="--run-id", hint="give the directory")


def known_runs() -> dict[Path, str]:
    """Directory → run id of every run that can be found."""
    found: dict[Path, str] = {}
    for path in _notes(Path()):
        note = _read(path)
        if note is None or not note.run_id:
            continue
        directory = path.parent
        if path.name == NOTES and note.output_dir:
            noted = Path(note.output_dir)
            # What NVIDIA NeMo Evaluator writes beside a run may name a folder that has moved.
            if noted.is_dir() or path.is_relative_to(store()):
                directory = noted
        if directory.name.startswith(FOLDER) and _is_part(directory):
            continue
        found.setdefault(directory.resolve(), note.run_id)
    return found


def _is_part(directory: Path) -> bool:
    """Whether a directory is a shard of a run that was submitted: that run is listed."""
    found = find_submission(directory)
    return found is not None and found.shard is not None


def _submissions() -> Iterator[Submission]:
    """Everything that was submitted, of the store and below the working directory."""
    seen = set()
    below = (path for path in _run_files_below(Path(), DEPTH) if path.name == SUBMISSION)
    here = (found.submission for path in below if (found := find_submission(path.parent)))
    for submission in (*stored_submissions(), *here):
        if (key := (submission.host, submission.directory)) not in seen:
            seen.add(key)
            yield submission


def _has_job(submission: Submission, job_id: str) -> bool:
    """Whether a job is of a submission: ``12`` and ``12_3`` are both of the array ``12``."""
    ids = {*submission.ids}
    if submission.executor == "slurm" and not submission.host:
        from ..executors.slurm.look import follow_ups

        ids |= {job.partition("_")[0] for job in follow_ups(Path(submission.directory))}
    return job_id in ids or job_id.partition("_")[0] in ids


def _is_host(known: str, asked: str) -> bool:
    return asked in (known, known.rpartition("@")[2])


def _notes(top: Path) -> Iterator[Path]:
    yield from _run_files_below(top, DEPTH)
    yield from sorted(store().glob(f"*/{NOTES}"))


def _run_files_below(folder: Path, depth: int) -> Iterator[Path]:
    yield from (path for name in (RUN_INFO, NOTES, SUBMISSION) if (path := folder / name).is_file())
    if depth:
        with contextlib.suppress(OSError):
            for child in visible_folders(folder):
                yield from _run_files_below(child, depth - 1)


def _read(path: Path) -> _Note | None:
    try:
        return read_json(path, _Note)
    except (ConfigError, OSError):
        return None  # not a run, or not one of ours to read


def _matches(known: str, asked: str) -> bool:
    return known == asked or (len(asked) >= SHORTEST and known.startswith(asked))


def submitted_text(directory: Path) -> str | None:
    """To what the run in a directory was submitted, and as what; None for other runs."""
    found = find_submission(directory)
    if found is None:
        return None
    submission = found.submission
    ids = f" as {', '.join(submission.ids)}" if submission.ids else ""
    place = f"{submission.host}:{directory}" if submission.host else shown(directory)
    return f"submitted to {submission.executor}{ids}: {place}"


def shown(path: Path) -> Path:
    """A path as a user writes it: relative to the working directory where it is below."""
    here = Path().resolve()
    return path.relative_to(here) if path.is_relative_to(here) else path
