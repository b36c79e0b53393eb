"""Drives the shards of a run on a Ray cluster: starts them, hears of them, starts them again where
their worker or node was lost, and stops them when it is told to.

A shard that is started again goes on where its journal ends. The secrets travel as arguments of the
tasks: from memory to memory. Whatever ends this process ends the shards, for Ray ends the tasks of
a driver that is gone.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ...config.ray_cluster import RayCluster
from ...engine.shards import Shard
from ...errors import ConfigError, ExitCode
from ...results.fencing_token import LOCK
from ...results.progress_file import BenchmarkState, read_progress
from ..combined import combined
from ..handing import JobDocument
from .files import apply, content, requests
from .mailbox import Command, Mailbox, News
from .task import ShardEnd, ShardJob, run_shard

TICK_SECONDS = 0.5
HOPELESS = (ExitCode.USER_ERROR, ExitCode.BUG)
"""Ends of a shard that all others would have as well."""
STOPPED = (ExitCode.INTERRUPTED, ExitCode.TERMINATED)
CLIENT = 60.0


@dataclass(frozen=True, slots=True)
class RayJob:
    """What is driven."""

    run_id: str
    directory: Path
    document: JobDocument
    cluster: RayCluster
    command: str

    @property
    def shards(self) -> range:
        """Their indices."""
        return range(self.cluster.shards)

    def folder(self, index: int) -> Path:
        """The directory of a shard."""
        return Shard(index=index, total=self.cluster.shards).directory(self.directory)


@dataclass(slots=True)
class ShardRun:
    """One shard on its way."""

    shard: Shard
    attempt: int = 0
    reference: Any = None
    """Of the task of this attempt; None once it has ended."""
    node: str = ""
    """Where this attempt runs; empty while it waits."""
    shared: bool = True
    """Its directory is that of the run."""
    end: ShardEnd | None = None
    """How its last attempt ended, where nothing follows."""


@dataclass(slots=True)
class Driver:
    """Runs all shards of a job. Use once, within a connection."""

    job: RayJob
    say: Callable[[str], None]
    asked: Callable[[], Command]
    """What the user asks for now."""
    report: Callable[[Mapping[str, BenchmarkState]], None]
    """Told of the progress of all shards together, every tick."""
    _runs: dict[int, ShardRun] = field(default_factory=dict)
    _mailbox: Any = None
    _command: Command = Command.GO_ON
    _task: Any = None

    def run(self, todo: Mapping[int, bool]) -> dict[int, ShardEnd]:
        """Run shards to their ends. ``todo``: by index; those that are done already are False.
        Raises ConfigError where the cluster is lost."""
        import ray

        # On the driver's own node: with soft=True Ray puts an actor without CPUs anywhere, and it
        # would be lost with a node that has nothing to do with it.
        strategy = ray.util.scheduling_strategies.NodeAffinitySchedulingStrategy(
            ray.get_runtime_context().get_node_id(), soft=False
        )
        actor = ray.remote(num_cpus=0, scheduling_strategy=strategy)(Mailbox)
        self._mailbox = actor.remote()
        self._task = ray.remote(
            num_cpus=self.job.cluster.num_cpus,
            num_gpus=self.job.cluster.num_gpus,
            resources=self.job.cluster.resources or None,
            max_retries=0,  # a retry must have the files of the attempt before
            scheduling_strategy="SPREAD",
        )(run_shard)
        total = self.job.cluster.shards
        self._runs = {i: ShardRun(Shard(index=i, total=total)) for i in todo if todo[i]}
        for run in self._runs.values():
            self._begin(run)
        try:
            while self._open:
                self._tick()
        finally:
            with contextlib.suppress(Exception):  # it dies with the connection otherwise
                ray.kill(self._mailbox)
        return {index: run.end for index, run in self._runs.items() if run.end is not None}

    @property
    def _open(self) -> list[ShardRun]:
        return [run for run in self._runs.values() if run.reference is not None]

    def _tick(self) -> None:
        import ray

        references = [run.reference for run in self._open]
        ended, _ = ray.wait(references, num_returns=1, timeout=TICK_SECONDS)
        self._hear()
        if len(references) > 1 and ended:
            ended, _ = ray.wait(references, num_returns=len(references), timeout=0)
        for run in self._open:
            if run.reference in ended:
                self._note_end(run)
        self._obey(self.asked())
        self.report(self.progress())

    def progress(self) -> dict[str, BenchmarkState]:
        """The progress of all shards together, as their files say."""
        found = [read_progress(self.job.folder(index)) for index in self.job.shards]
        return combined([p.benchmarks for p in found if p is not None], len(found))

    def _begin(self, run: ShardRun) -> None:
        job, name = self.job, f"nel shard {run.shard.index} of {run.shard.total}"
        run.attempt += 1
        run.node = ""
        self._call("begin", run.shard.index, run.attempt)
        handed = ShardJob(
            run_id=job.run_id,
            directory=str(job.directory),
            folder=job.document.folder,
            shard=run.shard,
            attempt=run.attempt,
            text=job.document.text,
            command=job.command,
        )
        task = self._task.options(name=name)
        run.reference = task.remote(handed, dict(job.document.secrets), self._mailbox)

    def _hear(self) -> None:
        """Take in what shards have sent."""
        news: News = self._call("take")
        for beat in news.beats:
            run = self._runs[beat.shard]
            if beat.attempt == run.attempt and not run.node:
                run.node, run.shared = beat.node, beat.shared
                self.say(f"shard {beat.shard}: runs on {beat.node}")
            for change in beat.changes:
                apply(self.job.folder(beat.shard), change)
        for run in self._open:
            if not run.shared and (asked := list(requests(self.job.folder(run.shard.index)))):
                self._call("ask_of", run.shard.index, asked)
        for index in news.asked:
            folder = self.job.folder(index)
            self._call("give", index, content(folder) if folder.is_dir() else [])

    def _note_end(self, run: ShardRun) -> None:
        """Take note of an end: start the shard again where it was lost."""
        import ray

        reference, run.reference = run.reference, None
        try:
            end: ShardEnd = ray.get(reference)
        except ray.exceptions.TaskCancelledError:
            run.end = ShardEnd(ExitCode.INTERRUPTED, run.node)
            return
        except (ray.exceptions.RayTaskError, ray.exceptions.RuntimeEnvSetupError) as error:
            self._hopeless(run, ShardEnd(ExitCode.USER_ERROR, run.node, (_cause_line(error),)))
            return
        except ray.exceptions.RayError as error:
            self._note_lost(run, _cause_line(error))
            return
        if end.code in HOPELESS:
            self._hopeless(run, end)
        elif end.code < 0 or (end.code in STOPPED and self._command is Command.GO_ON):
            self._note_lost(run, f"its process was ended from outside (exit code {end.code})")
        else:
            run.end = end

    def _note_lost(self, run: ShardRun, reason: str) -> None:
        index, retries = run.shard.index, self.job.cluster.max_retries
        if not run.shared:  # the owner that the copy names is gone
            (self.job.folder(index) / LOCK).unlink(missing_ok=True)
        where = f" on {run.node}" if run.node else ""
        if self._command is not Command.GO_ON:
            run.end = ShardEnd(ExitCode.INTERRUPTED, run.node)
        elif run.attempt > retries:
            self.say(f"shard {index}: lost{where}: {reason}; not started again (max_retries)")
            run.end = ShardEnd(ExitCode.INCOMPLETE, run.node)
        else:
            again = f"started again, {run.attempt} of {retries}"
            self.say(f"shard {index}: lost{where}: {reason}; {again}")
            self._begin(run)

    def _hopeless(self, run: ShardRun, end: ShardEnd) -> None:
        """An end that the other shards would have too: they are stopped."""
        run.end = end
        others = ", the others are stopped" if self._open else ""
        self.say(f"shard {run.shard.index} of {run.shard.total} failed{others}")
        self._obey(Command.STOP)

    def _obey(self, command: Command) -> None:
        import ray

        if command in (self._command, Command.GO_ON) or self._command is Command.GIVE_UP:
            return
        self._command = command
        self._call("command", command)
        for run in self._open:
            if not run.node:  # it has not begun
                ray.cancel(run.reference, force=False)

    def _call(self, method: str, *arguments: object) -> Any:
        import ray

        try:
            return ray.get(getattr(self._mailbox, method).remote(*arguments), timeout=CLIENT)
        except ray.exceptions.RayError as error:
            hint = f"nel eval resume {self.job.directory} goes on with it"
            raise ConfigError(
                f"the Ray cluster was lost: {_cause_line(error)}", hint=hint
            ) from None


def _cause_line(error: BaseException) -> str:
    """The cause in one line: of an error of a task that is the last line of its traceback."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    traced = any(line.startswith("File ") for line in lines)
    return (lines[-1] if traced else lines[0]) if lines else type(error).__name__
