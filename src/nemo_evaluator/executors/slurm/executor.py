"""The executor of ``cluster: {type: slurm}``: writes the files of a plan, submits its jobs in
order, and records each before and after, so that no job is lost and none is submitted twice."""

from __future__ import annotations

import contextlib
import os
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec

from ...config.cluster import SlurmCluster
from ...config.load import Loaded
from ...config.mistakes import Mistake
from ...config.quick import apply_flags
from ...config.runnable import problems
from ...engine.shards import ranges
from ...environments.registry import missing
from ...errors import ConfigError
from ...results.layout import SUBMITTED_CONFIG
from ...results.run_directory import strangers
from ...results.status import RunState, State
from ...services.open import service_problems
from ..options import Options
from ..resuming import loaded_again
from ..submission import (
    Submission,
    Submitted,
    find_submission,
    folder_of,
    latest_below,
    new_run_id,
    now,
)
from . import planning
from .client import Slurm, SlurmRefused
from .files import files_of
from .handle import SlurmRun
from .look import Look, unsubmitted
from .plan import EVALUATION, Job, JobPlan, Submitter
from .reasons import LIVE, WAITING, hopeless
from .record import (
    JobRecord,
    SlurmRecord,
    host_of,
    record_of,
    taken_back,
    with_id,
    with_jobs,
    write_record,
)
from .render import described, first_words

EXECUTOR = "slurm"


@dataclass(frozen=True, slots=True)
class Again:
    """What of a run is submitted again."""

    tasks: tuple[int, ...] | None = None
    """The shards; None: all there is."""
    evaluate: bool = True
    """False: only what comes after the evaluation."""
    arguments: tuple[str, ...] = ()
    """Of the script: which attempt it is."""
    first: bool = False
    """Nothing of it was submitted before."""


class SlurmExecutor:
    """Runs evaluations as jobs of Slurm."""

    detached = True

    def problems(self, loaded: Loaded) -> Iterator[Mistake]:
        """See ``Executor``."""
        yield from problems(loaded.config)
        yield from _unknown_here(loaded)
        yield from planning.problems(loaded, str(_directory(loaded, "run")))

    async def describe(self, loaded: Loaded, options: Options) -> str:
        """See ``Describes``."""
        return described(_plan(loaded, options, _directory(loaded, "RUN_ID")))

    async def submit(self, loaded: Loaded, options: Options) -> SlurmRun:
        """See ``Executor``."""
        cluster = _cluster(loaded)
        output = loaded.config.output
        run_id = new_run_id()
        directory = _directory(loaded, run_id)
        earlier = find_submission(directory) or find_submission(Path(output.dir))
        if options.resume and earlier is None and (latest := latest_below(Path(output.dir))):
            earlier = find_submission(latest)
        if earlier is not None and earlier.submission.host != _host_name(cluster):
            earlier = None  # a directory of that name on another host
        if earlier is not None and options.resume:
            return await self._submit_again(
                SlurmRun(earlier, self.resume), loaded, options, counting=False
            )
        _check_free(directory, earlier, options, here=cluster.hostname is None)
        plan = _plan(loaded, options, directory)
        submission = Submission(
            run_id=run_id,
            executor=EXECUTOR,
            directory=plan.directory,
            created=now(),
            host=_host_name(cluster),
            benchmarks=tuple(benchmark.name for benchmark in loaded.config.benchmarks),
            shards=plan.shards,
            details=msgspec.to_builtins(SlurmRecord(folder=str(Path.cwd()))),
        )
        return await self._submit(submission, plan, loaded, options, Again(first=True))

    def attach(self, directory: Path) -> SlurmRun | None:
        """See ``Executor``."""
        found = find_submission(directory)
        if found is None or found.submission.executor != EXECUTOR:
            return None
        return SlurmRun(found, self.resume)

    async def resume(self, run: SlurmRun, counting: bool) -> SlurmRun:
        """Submit what of a run is incomplete again, with the configuration it was submitted with.

        Raises ConfigError where a job is at it, or nothing is incomplete.
        """
        submission = run.submitted.submission
        host = host_of(submission.host)
        kept = await host.read(Path(submission.directory) / SUBMITTED_CONFIG)
        if kept is None:
            where = f"{submission.directory}/{SUBMITTED_CONFIG}"
            hint = "use nel eval run FILE --resume with the file of the run"
            raise ConfigError("is missing", where=where, hint=hint)
        with (
            tempfile.TemporaryDirectory(prefix="nel-resume-") as there,
            _in_folder(record_of(submission).folder),
        ):
            copy = Path(there) / SUBMITTED_CONFIG
            copy.write_bytes(kept)
            loaded = apply_flags(loaded_again(copy), output_dir=submission.directory)
            command = f"nel eval resume {submission.directory}"
            options = Options(resume=True, command=command)
            return await self._submit_again(run, loaded, options, counting=counting)

    async def _submit_again(
        self, run: SlurmRun, loaded: Loaded, options: Options, *, counting: bool
    ) -> SlurmRun:
        seen = await run.look()
        submitted = run.submitted
        submission = submitted.submission
        if seen.jobs is None:
            raise ConfigError(f"cannot go on: {seen.state.reason}", where=submission.directory)
        plan = _plan(loaded, options, Path(submission.directory))
        if plan.shards != submission.shards:
            what = f"has {submission.shards or 'no'} shards, not {plan.shards or 'none'}"
            hint = "set cluster.shards as it was, or choose another directory (-o)"
            raise ConfigError(what, where=submission.directory, hint=hint)
        if lost := unsubmitted(submission):  # an earlier submission broke off
            await self._write(submission, plan, loaded, options)
            ids = {job.job: job.id for job in record_of(submission).jobs if job.id is not None}
            return await self._send(submission, lost, ids)
        await run.cancel_hopeless(seen)
        again = _incomplete(submitted, seen, counting=counting)
        submission = msgspec.structs.replace(submission, created=now())
        return await self._submit(submission, plan, loaded, options, again)

    async def _submit(
        self,
        submission: Submission,
        plan: JobPlan,
        loaded: Loaded,
        options: Options,
        again: Again,
    ) -> SlurmRun:
        """Write the files, record the jobs, and submit them. Raises ConfigError."""
        before = submission
        jobs = [_record(plan, job, again) for job in _wanted(plan, again)]
        submission = with_jobs(submission, [*record_of(submission).jobs, *jobs])
        async with taken_back(submission, before, ConfigError):  # a full disk
            await self._write(submission, plan, loaded, options)
            await write_record(submission)
        async with taken_back(submission, before, SlurmRefused):
            return await self._send(submission, jobs, {})

    async def _write(
        self, submission: Submission, plan: JobPlan, loaded: Loaded, options: Options
    ) -> None:
        files = files_of(plan, loaded, options.command, elsewhere=bool(submission.host))
        await host_of(submission.host).put(Path(submission.directory), files)

    async def _send(
        self, submission: Submission, jobs: Sequence[JobRecord], earlier: Mapping[str, str]
    ) -> SlurmRun:
        """Submit recorded jobs in their order; they wait for each other and for ``earlier`` ones
        (ids by what the plan calls them). Raises ConfigError, which says what was submitted."""
        slurm = Slurm(host_of(submission.host))
        done: dict[str, str] = {}
        for job in jobs:
            ids = {**earlier, **done}
            waits = [f"{when}:{ids[before]}" for when, before in job.after if before in ids]
            words = [f"--dependency={','.join(waits)}"] if waits else []
            try:
                done[job.job] = await slurm.submit(job.name, [*words, *job.words])
            except ConfigError as error:
                if done:
                    raise _partly(error, submission, done) from None
                raise
            submission = with_id(submission, job.name, done[job.job])
            await write_record(submission)
        return SlurmRun(Submitted(submission, Path(submission.directory)), self.resume)


def _unknown_here(loaded: Loaded) -> Iterator[Mistake]:
    """What every job would find missing, where jobs run what this process runs: no user is to wait
    in a queue for that."""
    cluster = _cluster(loaded)
    if cluster.hostname or cluster.conda_env or cluster.eval_image:
        return
    yield from service_problems(loaded.config)
    for index, benchmark in enumerate(loaded.config.benchmarks):
        if (error := missing(benchmark.name)) is not None:
            what = error.what if benchmark.name in error.what else f"{benchmark.name}: {error.what}"
            yield Mistake(("benchmarks", index, "name"), what, error.hint)


def _in_folder(folder: str) -> contextlib.AbstractContextManager[None]:
    """In the folder a run was submitted from, if it is still there."""
    return contextlib.chdir(folder) if Path(folder).is_dir() else contextlib.nullcontext()


def _directory(loaded: Loaded, run_id: str) -> Path:
    """Where a run goes; on another host, as the configuration has it."""
    output = loaded.config.output
    if _cluster(loaded).hostname is None:
        return folder_of(output, run_id, stamped=True)
    return Path(output.dir) if output.timestamped is False else Path(output.dir) / run_id


def _plan(loaded: Loaded, options: Options, directory: Path) -> JobPlan:
    python = None if _cluster(loaded).hostname else sys.executable
    submitter = Submitter(python=python, environ=os.environ)
    return planning.job_plan(loaded, options, directory=directory, submitter=submitter)


def _cluster(loaded: Loaded) -> SlurmCluster:
    cluster = loaded.config.cluster
    assert isinstance(cluster, SlurmCluster)
    return cluster


def _host_name(cluster: SlurmCluster) -> str:
    if cluster.hostname is None:
        return ""
    return f"{cluster.username}@{cluster.hostname}" if cluster.username else cluster.hostname


def _check_free(
    directory: Path, earlier: Submitted | None, options: Options, *, here: bool
) -> None:
    """Refuse a directory that holds a run, before anything waits in a queue for it."""
    if earlier is not None and directory in (earlier.directory, earlier.directory.resolve()):
        raise ConfigError(
            f"already holds the run {earlier.submission.run_id}",
            where=str(directory),
            hint="add --resume to continue it, or choose another directory (-o)",
        )
    taken = here and directory.is_dir() and not options.resume
    if taken and (found := strangers(directory, None)):
        hint = "choose another directory (-o), or --resume to go on with what is there"
        raise ConfigError(f"already holds results: {found[0]}", where=str(directory), hint=hint)


def _incomplete(submitted: Submitted, seen: Look, *, counting: bool) -> Again:
    """What has to be submitted again. Raises ConfigError where there is nothing, or a job is at
    it."""
    where = str(submitted.directory)
    if submitted.shard is not None and submitted.shard not in seen.parts:
        raise ConfigError(f"there is no shard {submitted.shard}", where="--shard")
    chosen = [*seen.parts] if submitted.shard is None else [submitted.shard]
    mine = [job for index in chosen for job in seen.of(seen.parts[index])]
    busy = [
        job for job in mine if (job.state in LIVE or job.state in WAITING) and not hopeless(job)
    ]
    if busy:
        first = min(busy, key=lambda job: job.state in WAITING)  # one that runs, if there is one
        what = f"job {first.id} is {first.state}"
        hint = "nothing has to be resumed; nel eval stop ends it first"
        raise ConfigError(f"goes on by itself: {what}", where=where, hint=hint)
    states: dict[int | None, RunState] = {None: seen.state}
    for index, state in seen.state.shards.items():
        states[index] = state
    over = (State.DONE, State.DECIDED)
    left = [index for index in chosen if states[index].state not in over]
    if not left and seen.state.state in over:
        hint = f"nel eval report {where}"
        raise ConfigError("is complete: there is nothing to go on with", where=where, hint=hint)
    arguments: tuple[str, ...] = ()
    if counting:
        attempts = max((len(seen.parts[index]) for index in left), default=0)
        arguments = (str(attempts), "", "0")
    tasks = tuple(index for index in left if index is not None)
    return Again(tasks if submitted.submission.shards else None, bool(left), arguments)


def _wanted(plan: JobPlan, again: Again) -> Sequence[Job]:
    return [job for job in plan.jobs if again.evaluate or job.name != EVALUATION]


def _record(plan: JobPlan, job: Job, again: Again) -> JobRecord:
    """How a job is submitted, under a name that no other job has."""
    words = first_words(plan) if again.first and job.name == EVALUATION else []
    tasks = None
    if job.array is not None:
        tasks = tuple(range(job.array)) if again.tasks is None else again.tasks
        if again.tasks is not None:
            words.append(f"--array={ranges(tasks).replace(' ', '')}")
    arguments = again.arguments if job.name == EVALUATION else ()
    part = "" if job.name == EVALUATION else f"-{job.name}"
    return JobRecord(
        job=job.name,
        name=f"{plan.name}{part}-{new_run_id()[-8:]}",
        tasks=tasks,
        words=(*words, "--", f"{plan.directory}/{job.script}", *arguments),
        after=tuple((after.when, after.job) for after in job.after),
    )


def _partly(error: ConfigError, submission: Submission, ids: Mapping[str, str]) -> ConfigError:
    """The error of a submission of which a part was submitted."""
    done = ", ".join(f"{name} as job {job}" for name, job in ids.items())
    what = f"{error}; already submitted: {done}"
    hint = f"nel eval resume {submission.directory} submits the rest, nel eval stop takes it back"
    return ConfigError(what, where=submission.directory, hint=hint)
