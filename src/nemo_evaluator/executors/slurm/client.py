"""Slurm by its commands: submit, ask, cancel; on this host or behind ssh.

A job is known by a name that no other job has. A controller that does not answer is waited for, and
before anything is submitted a second time the queue is asked for the name, so that nothing is ever
submitted twice.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import re
import time
from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TypeVar

from ...errors import ConfigError
from ..host import TIMED_OUT, Done, Host, NoCommand
from .refusals import refused

T = TypeVar("T")

logger = logging.getLogger(__name__)

PATIENCE_SECONDS = 600.0
"""How long a controller that does not answer is waited for where something has to be done."""
RETRY_SECONDS = 5.0
SETTLED_SECONDS = 1.0
"""A job that was accepted while the answer was lost is in the queue after this time."""
_QUEUE = "%i|%T|%r|%M|%l|%N|%j"
_ACCOUNTS = "JobID,State,Reason,Elapsed,Timelimit,NodeList,JobName,ExitCode"
_TRANSIENT = re.compile(
    r"unable to contact|temporarily|timed out|did not answer|connect|zero bytes|communication"
    r"|backup controller|in standby|try again|socket|shutting down",
    re.IGNORECASE,
)
_UNKNOWN_JOB = re.compile(r"invalid job id|already completing|already completed", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class JobState:
    """A job, or a task of an array, as Slurm knows it."""

    id: str
    """``12``; of a task ``12_3``."""
    state: str
    """Slurm's word: ``RUNNING``."""
    reason: str
    """Why it waits; or who cancelled it."""
    elapsed: str
    limit: str
    nodes: str
    name: str
    exit_code: str = ""

    @property
    def number(self) -> int:
        """The job's id as a number: later jobs have greater ones."""
        return int(re.split(r"\D", self.id)[0] or 0)

    @property
    def task(self) -> int | None:
        """The job's number in an array."""
        found = re.search(r"_(\d+)", self.id)
        return int(found[1]) if found else None


class SlurmAway(ConfigError):
    """Slurm does not answer."""


class SlurmRefused(ConfigError):
    """Slurm does not take a job, or there is no Slurm: nothing was submitted."""


class Slurm:
    """The commands of Slurm on a host."""

    def __init__(self, host: Host, *, patience: float = PATIENCE_SECONDS) -> None:
        self._host, self._patience = host, patience

    async def submit(self, name: str, words: Sequence[str]) -> str:
        """Submit a job under a name that is its own, with ``sbatch`` and these words. Returns its
        id. Raises ConfigError for what Slurm refuses, or if it does not answer in time."""
        began = time.monotonic()
        while True:
            done = await self._sbatch(["--parsable", "--export=NONE", f"--job-name={name}", *words])
            found = re.search(r"^(\d+)(;\S*)?\s*$", done.out, re.MULTILINE)
            if done.code == 0 and found:
                return found[1]
            if not _is_transient(done):
                said = done.said.removeprefix("sbatch: error: ")
                what = f"sbatch refuses it: {said.removeprefix('Batch job submission failed: ')}"
                raise SlurmRefused(what, where=f"job {name}", hint=refused(said))
            await asyncio.sleep(SETTLED_SECONDS)
            accepted = await self._patient(lambda: self.named([name]), began, done.said)
            if accepted:
                return str(min(job.number for job in accepted))

    async def _sbatch(self, words: Sequence[str]) -> Done:
        try:
            return await self._host.run(["sbatch", *words])
        except NoCommand as error:
            raise SlurmRefused(error.what, where=error.where, hint=error.hint) from None

    async def named(self, names: Iterable[str]) -> list[JobState]:
        """Every job with one of these names, in the queue or in the accounting."""
        joined = ",".join(names)
        return await self._known(f"--name={joined}")

    async def numbered(self, ids: Iterable[str]) -> list[JobState]:
        """Every job with one of these ids, in the queue or in the accounting."""
        joined = ",".join(dict.fromkeys(ids))
        return await self._known(f"--jobs={joined}") if joined else []

    async def cancel(self, ids: Iterable[str]) -> None:
        """Cancel jobs; those that have ended are no error. Raises ConfigError."""
        wanted = list(dict.fromkeys(ids))
        if wanted:
            await self._patient(lambda: self._cancel(wanted), time.monotonic(), "")

    async def _cancel(self, ids: Sequence[str]) -> None:
        done = await self._host.run(["scancel", *ids])
        if done.code == 0 or _UNKNOWN_JOB.search(done.err):
            return
        raise self._failure("scancel", done)

    async def _known(self, which: str) -> list[JobState]:
        """What the queue says; of jobs that are not in it any more, what the accounting says.

        Both are asked at once. Raises SlurmAway where neither answers.
        """
        queue, accounts = await asyncio.gather(
            self._host.run(
                ["squeue", "--noheader", "--array", "--states=all", f"--format={_QUEUE}", which]
            ),
            self._accounts(which),
        )
        gone = bool(_UNKNOWN_JOB.search(queue.err))
        if queue.code != 0 and not gone:
            raise self._failure("squeue", queue)
        found = {job.id: job for job in _rows(accounts)}
        for job in _rows(queue.out):
            found[job.id] = job
        return sorted(found.values(), key=lambda job: (job.number, job.task or 0))

    async def _accounts(self, which: str) -> str:
        """What the accounting says; not every cluster keeps one."""
        with contextlib.suppress(ConfigError):
            done = await self._host.run(_sacct(which))
            return done.out if done.code == 0 else ""
        return ""

    def _failure(self, command: str, done: Done) -> ConfigError:
        where = self._host.name or None
        if _is_transient(done):
            return SlurmAway(f"Slurm does not answer ({command}: {done.said})", where=where)
        said = done.said.removeprefix(f"{command}: error: ")
        return ConfigError(f"{command}: {said}", where=where)

    async def _patient(self, ask: Callable[[], Awaitable[T]], began: float, said: str) -> T:
        """Ask until there is an answer. Raises SlurmAway where there is none in time."""
        warned = False
        while True:
            try:
                return await ask()
            except SlurmAway as error:
                if time.monotonic() - began > self._patience:
                    raise
                if not warned:
                    what = "Slurm does not answer (%s): trying again for up to %.0f s"
                    logger.warning(what, said or error.what, self._patience)
                warned = True
                await asyncio.sleep(RETRY_SECONDS)


def _sacct(which: str) -> list[str]:
    """By name, only what is recent: Slurm would look through all it has ever run."""
    since = ["--starttime=now-30days"] if which.startswith("--name") else []
    words = ["--noheader", "--parsable2", "--allocations", f"--format={_ACCOUNTS}"]
    return ["sacct", *words, *since, which]


def _rows(text: str) -> Iterable[JobState]:
    for line in text.splitlines():
        cells = line.split("|")
        if len(cells) < 7 or not cells[0][:1].isdigit():
            continue  # no job
        if cells[6] == "allocation":
            continue  # what the accounting calls an array as a whole
        state, _, by = cells[1].partition(" ")
        if "[" in cells[0] and state == "PENDING":
            continue  # of tasks that wait, the queue knows more
        reason = by if by else cells[2]
        for job in _each(cells[0]):
            yield JobState(job, state, reason, *cells[3:8])


def _each(ids: str) -> Iterator[str]:
    """The tasks of an array that ended before they began, which Slurm lists as one.

    >>> list(_each("12_[0,4-8:2%2]")), list(_each("12_3"))
    (['12_0', '12_4', '12_6', '12_8'], ['12_3'])
    """
    array, bracket, tasks = ids.partition("_[")
    if not bracket:
        yield ids
    for first, last, step in re.findall(r"(\d+)(?:-(\d+))?(?::(\d+))?", tasks.partition("%")[0]):
        for task in range(int(first), int(last or first) + 1, int(step or 1)):
            yield f"{array}_{task}"


def _is_transient(done: Done) -> bool:
    return done.code == TIMED_OUT or bool(_TRANSIENT.search(done.err))
