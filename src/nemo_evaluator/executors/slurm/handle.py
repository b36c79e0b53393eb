"""A run on Slurm, known by its directory: what it is doing, its log, its end."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import replace
from pathlib import Path

from ...engine.shards import FOLDER
from ...errors import ConfigError
from ...results.layout import LOG, STOP, SUBMISSION
from ...results.status import RunState, State
from ..host import PUBLIC, File, Host
from ..submission import Submitted, age_of
from .client import JobState, Slurm
from .log import JobLogs, log_name
from .look import ABANDONED_SECONDS, Look, found_again, look, unsubmitted
from .plan import SECRETS
from .reasons import LIVE, WAITING, hopeless
from .record import host_of, write_record
from .state import WHOLE

COPY_OF = ".copy_of"
"""In a copy of a run of another host: which run that is."""
LOCKS = ".lock*"
LOOK_SECONDS = 10.0
"""How often Slurm is asked while a log is followed."""
WAIT_SECONDS = (2.0, 15.0)
"""How often a run that is waited for is looked at: at first, and later."""
SETTLE_SECONDS = 2.0
"""A job that was just cancelled may have submitted its follow-up a moment before."""

Again = Callable[["SlurmRun", bool], Awaitable["SlurmRun"]]
"""Submits what of a run is incomplete again; the flag: earlier attempts count."""


class SlurmRun:
    """A handle of a run on Slurm, or of one shard of it."""

    def __init__(self, submitted: Submitted, again: Again) -> None:
        self._submitted, self._again = submitted, again
        self._host: Host = host_of(submitted.submission.host)
        self._slurm = Slurm(self._host)

    @property
    def directory(self) -> Path:
        """Where its files are, on its host."""
        shard = self._submitted.shard
        whole = self._submitted.directory
        return whole if shard is None else whole / f"{FOLDER}{shard}"

    @property
    def submitted(self) -> Submitted:
        """What the run was submitted as."""
        return self._submitted

    @property
    def host(self) -> str:
        """See ``Elsewhere``."""
        return self._host.name

    def is_copy(self, folder: Path) -> bool:
        """See ``Elsewhere``."""
        try:
            return (folder / COPY_OF).read_text() == self._submitted.submission.run_id
        except OSError:
            return False

    async def fetch(self, into: Path) -> None:
        """See ``Elsewhere``. Secrets, locks and what makes it a submission stay there."""
        await self._host.copy(self.directory, into, without=(SECRETS, LOCKS, SUBMISSION))
        (into / COPY_OF).write_text(self._submitted.submission.run_id)

    async def status(self) -> RunState:
        """See ``RunHandle``. Where no job goes on with the run, its secrets are removed."""
        seen = await self.look()
        return self._chosen(seen)

    async def look(self) -> Look:
        """Files and jobs of the whole run; its secrets are removed if no job will need them."""
        await self._find_lost()
        submission, directory = self._submitted.submission, self._submitted.directory
        seen = await look(self._host, self._slurm, submission, directory)
        over = seen.jobs is not None and not seen.current
        if over and (not unsubmitted(submission) or age_of(submission) > ABANDONED_SECONDS):
            await self._host.remove(directory, SECRETS)
        return seen

    async def _find_lost(self) -> None:
        """Take note of jobs that were accepted while the answer was lost."""
        with contextlib.suppress(ConfigError):  # the look tells what is wrong
            found = await found_again(self._slurm, self._submitted.submission)
            if found != self._submitted.submission:
                await write_record(found)
                self._submitted = replace(self._submitted, submission=found)

    async def stop(self, *, now: bool = False) -> None:
        """See ``RunHandle``. Jobs that wait are cancelled, those that run finish what is in flight;
        one that has not begun to evaluate is cancelled too."""
        seen = await self.look()
        if seen.jobs is None:
            raise ConfigError(f"cannot be stopped: {seen.state.reason}", where=str(self.directory))
        mine = self._own_jobs(seen)
        current = [job for job in mine if job.state in LIVE or job.state in WAITING]
        if not current:
            state = self._chosen(seen).state
            raise ConfigError(f"is not running: it is {state}", where=str(self.directory))
        await self._cancel(seen, current, now=now)
        await asyncio.sleep(SETTLE_SECONDS)
        again = await self.look()
        late = [
            job for job in self._own_jobs(again) if job.state in WAITING or (now and _runs(job))
        ]
        await self._slurm.cancel(job.id for job in late)

    async def cancel_hopeless(self, seen: Look) -> None:
        """Cancel what waits for a job that did not end as it must. Raises ConfigError."""
        await self._slurm.cancel(job.id for job in self._own_jobs(seen) if hopeless(job))

    async def _cancel(self, seen: Look, current: Sequence[JobState], *, now: bool) -> None:
        """Cancel jobs, those that wait first: they would take the place of those that run."""
        await self._slurm.cancel(job.id for job in current if job.state in WAITING)
        for index, ids in seen.parts.items():
            running = [job for job in seen.of(ids) if _runs(job) and job in current]
            state = seen.state if index is None else seen.state.shards[index]
            if state.state in WHOLE and not now:
                continue  # its job is about to end
            if now or state.state not in (State.RUNNING, State.STOPPING):
                await self._slurm.cancel(job.id for job in running)
            elif running:
                await self._host.put(state.directory, {STOP: File(b"stop", PUBLIC)})
        if self._submitted.shard is None:
            merging = seen.of(seen.merging)
            await self._slurm.cancel(job.id for job in merging if _runs(job))

    async def resume(self) -> SlurmRun:
        """Submit what is incomplete again. See ``RunHandle``."""
        return await self._again(self, False)

    async def resume_counting(self) -> SlurmRun:
        """See ``CountsAttempts``."""
        return await self._again(self, True)

    async def wait(self) -> RunState:
        """See ``RunHandle``."""
        seconds, longest = WAIT_SECONDS
        while self._goes_on(seen := await self.look()):
            await asyncio.sleep(seconds)
            seconds = min(longest, seconds * 1.2)
        return self._chosen(seen)

    async def logs(self, *, follow: bool = False, tail: int | None = None) -> AsyncIterator[str]:
        """See ``RunHandle``. Of a run in shards, what each writes stands below its name."""
        seen = await self.look()
        names = self._logs(seen)
        logs, headed = JobLogs(self._host, self._submitted.directory), len(names) > 1
        lines = await logs.lines(names, headed=headed)
        if not lines and not follow:
            raise self._no_log(seen)
        for line in lines if tail is None else deque(lines, maxlen=tail):
            yield line
        if not follow:
            for line in logs.rests():
                yield line
            return

        looked = time.monotonic()

        async def now() -> tuple[Sequence[str], bool]:
            nonlocal seen, looked
            if time.monotonic() - looked > LOOK_SECONDS:  # a scheduler serves many users
                seen, looked = await self.look(), time.monotonic()
            return self._logs(seen), self._goes_on(seen)

        async for line in logs.follow(now, headed=headed):
            yield line

    def _goes_on(self, seen: Look) -> bool:
        """Whether a job is at the run, or will be, as far as is known."""
        known = seen.jobs is not None
        return not known or self._chosen(seen).state.active or any(map(_runs, self._own_jobs(seen)))

    def _no_log(self, seen: Look) -> ConfigError:
        state = self._chosen(seen)
        reason = f" ({state.reason})" if state.reason else ""
        return ConfigError(
            f"there is no log yet: the run is {state.state}{reason}",
            where=str(self.directory),
            hint=f"--follow waits for one; a run that began writes {LOG} too",
        )

    def _logs(self, seen: Look) -> list[str]:
        """The logs of the jobs in the order of their submission, those that merge last."""
        shard = self._submitted.shard
        parts = seen.parts.values() if shard is None else [seen.parts[shard]]
        names = [log_name(job) for ids in parts for job in dict.fromkeys(ids)]
        if shard is None:
            names += [log_name(job, merge=True) for job in dict.fromkeys(seen.merging)]
        return names

    def _own_jobs(self, seen: Look) -> list[JobState]:
        """The jobs of the run; of a shard, its own."""
        shard = self._submitted.shard
        if shard is not None:
            return seen.of(seen.parts[shard])
        return seen.of([*seen.merging, *(job for ids in seen.parts.values() for job in ids)])

    def _chosen(self, seen: Look) -> RunState:
        shard = self._submitted.shard
        if shard is None:
            return seen.state
        if shard not in seen.parts:
            count = self._submitted.submission.shards
            what = f"there is no shard {shard}"
            hint = f"the run has the shards 0 to {count - 1}" if count else "the run has no shards"
            raise ConfigError(what, where="--shard", hint=hint)
        return seen.state.shards[shard]


def _runs(job: JobState) -> bool:
    return job.state in LIVE
