"""What is recorded of a submission to Slurm: its jobs, before and after each was submitted.

A job is recorded by its unique name before ``sbatch`` is called, so that whatever happens in
between, the job can be found and is not submitted again.
"""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import msgspec

from ...errors import ConfigError
from ...results.layout import SUBMISSION
from ...types import Record
from ..host import File, Host, ThisHost
from ..ssh import SshHost
from ..submission import Submission, remove_submission, write_submission
from .plan import SECRETS, When


class JobRecord(Record, frozen=True, kw_only=True):
    """A job of a submission."""

    job: str
    """What the plan calls it."""
    name: str
    """Its name in Slurm, which no other job has."""
    id: str | None = None
    """None: it has not been submitted, or the answer was lost."""
    tasks: tuple[int, ...] | None = None
    """The tasks, of an array."""
    words: tuple[str, ...] = ()
    """What ``sbatch`` is called with, after the dependencies: options, script, arguments."""
    after: tuple[tuple[When, str], ...] = ()
    """What it waits for: jobs by what the plan calls them."""


class SlurmRecord(Record, frozen=True, kw_only=True):
    """The jobs of a submission, the latest of each name last."""

    jobs: tuple[JobRecord, ...] = ()
    folder: str = ""
    """The folder that relative paths in the configuration are relative to."""


def record_of(submission: Submission) -> SlurmRecord:
    """What is recorded of a submission."""
    return msgspec.convert(submission.details, SlurmRecord, strict=False)


def with_jobs(submission: Submission, jobs: Sequence[JobRecord]) -> Submission:
    """A submission with other jobs."""
    record = msgspec.structs.replace(record_of(submission), jobs=tuple(jobs))
    ids = tuple(dict.fromkeys(job.id for job in jobs if job.id is not None))
    return msgspec.structs.replace(submission, details=msgspec.to_builtins(record), ids=ids)


def with_id(submission: Submission, name: str, job_id: str) -> Submission:
    """A submission in which a job has its id."""
    jobs = record_of(submission).jobs
    changed = [msgspec.structs.replace(j, id=job_id) if j.name == name else j for j in jobs]
    return with_jobs(submission, changed)


def host_of(name: str) -> Host:
    """The host of a submission; this one where it has no name."""
    return SshHost(name) if name else ThisHost()


@contextlib.asynccontextmanager
async def taken_back(
    submission: Submission, before: Submission, error: type[ConfigError]
) -> AsyncIterator[None]:
    """Where the block ends with this error, nothing was submitted: what was recorded ``before`` is
    recorded again, of a new run nothing, and its secrets are removed. The scripts stay, for who
    wants to see what was refused."""
    try:
        yield
    except error:
        if before.ids:
            with contextlib.suppress(ConfigError):  # the disk may be full
                await write_record(before)
        else:
            remove_submission(submission)
            directory = Path(submission.directory)
            await host_of(submission.host).remove(directory, SUBMISSION, SECRETS)
        raise


async def write_record(submission: Submission) -> None:
    """Record a submission here, and in its directory on its host, for who works there. Raises
    ConfigError."""
    try:
        write_submission(submission)
    except OSError as error:
        what = f"cannot be written: {error.strerror or error}"
        raise ConfigError(what, where=submission.directory) from None
    if submission.host:
        there = msgspec.structs.replace(submission, host="")
        text = msgspec.json.format(msgspec.json.encode(there), indent=2)
        await host_of(submission.host).put(Path(submission.directory), {SUBMISSION: File(text)})
