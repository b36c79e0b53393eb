"""A run on a Ray cluster from its submission to its end: shards, merge, exports.

The directory of the whole run is held by this process until the shards are merged.
"""

from __future__ import annotations

import asyncio
import datetime
import os
import signal
import socket
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

import msgspec

from ..config.load import Loaded
from ..config.ray_cluster import RayCluster
from ..errors import ConfigError, ExitCode
from ..executors.ending import Ending, ending_of_error
from ..executors.exporting import hand_on_merged
from ..executors.handing import job_document
from ..executors.observers import Observers
from ..executors.options import Options
from ..executors.ray.connecting import connected, misfit
from ..executors.ray.driver import HOPELESS, STOPPED, Driver, RayJob
from ..executors.ray.executor import NAME
from ..executors.ray.mailbox import Command
from ..executors.ray.task import ShardEnd
from ..executors.run_log import RunLog
from ..executors.submission import Submission, find_submission, new_run_id, now, write_submission
from ..files.writing import replace_file
from ..results.layout import STOP, SUBMITTED_CONFIG
from ..results.lock import DirectoryLock, directory_lock
from ..results.progress_file import BenchmarkState, RunProgress, write_progress
from ..results.run_info import RunInfo, RunStatus, new_run_info
from ..results.status import State, status_of
from ..results.summary import RunSummary
from .merge import merge

PROGRESS_SECONDS = 2.0


@dataclass(frozen=True, slots=True)
class RayResult:
    """What came of a run on Ray."""

    ending: Ending
    summary: RunSummary | None = None
    """None where nothing was merged."""


def run_on_ray(loaded: Loaded, options: Options) -> RayResult:
    """Run, or resume, an evaluation on a Ray cluster. Raises ConfigError for what stops it before
    a shard has begun."""
    cluster = loaded.config.cluster
    assert isinstance(cluster, RayCluster)
    directory = Path(loaded.config.output.dir).absolute()
    log = RunLog(loaded.config.output.progress_interval)
    observers = Observers((*options.observers, log))
    with directory_lock(directory) as lock, connected(cluster):
        submission = _submitted(loaded, directory, cluster)
        document = job_document(loaded, output_dir=directory)
        job = RayJob(submission.run_id, directory, document, cluster, options.command)
        info = _info(submission, options)
        observers.opened(directory, info)
        if (what := misfit(cluster)) is not None:
            observers.said(f"warning: {what}")
        watch = Watch(directory, lock, info, loaded.config.output.progress_interval, observers)
        with watch.told(), watch.signals():
            driver = Driver(job, observers.said, watch.asked, watch.report)
            ends = driver.run(_todo(job))
    with watch.told():
        ending, summary = _whole(directory, ends, cluster.shards, watch)
        if summary is not None:
            notes = asyncio.run(hand_on_merged(directory, ending.status))
            ending = Ending(ending.code, (*ending.messages, *notes))
            watch.merged(summary)
    watch.end(ending)
    return RayResult(ending, summary)


def _submitted(loaded: Loaded, directory: Path, cluster: RayCluster) -> Submission:
    """Record what is submitted; a run that goes on keeps its id."""
    earlier = find_submission(directory)
    if earlier is not None and earlier.submission.shards != cluster.shards:
        what = f"was begun in {earlier.submission.shards} shards, not {cluster.shards}"
        hint = "set cluster.shards as it was, or choose another directory (-o)"
        raise ConfigError(what, where=str(directory), hint=hint)
    submission = Submission(
        run_id=earlier.submission.run_id if earlier is not None else new_run_id(),
        executor=NAME,
        directory=str(directory),
        created=earlier.submission.created if earlier is not None else now(),
        benchmarks=tuple(entry.label or entry.name for entry in loaded.config.benchmarks),
        shards=cluster.shards,
        details={"address": cluster.address or "local", "folder": str(Path.cwd())},
    )
    replace_file(directory / SUBMITTED_CONFIG, loaded.snapshot().encode())
    write_submission(submission)
    return submission


def _info(submission: Submission, options: Options) -> RunInfo:
    return msgspec.structs.replace(
        new_run_info(command=options.command),
        run_id=submission.run_id,
        created=submission.created,
        benchmarks=submission.benchmarks,
    )


def _todo(job: RayJob) -> dict[int, bool]:
    """Whether each shard has something left to do."""
    found = {}
    for index in job.shards:
        try:
            found[index] = status_of(job.folder(index)).state is not State.DONE
        except ConfigError:
            found[index] = True
    return found


class Watch:
    """What the user asks for, and what is told of the run while it lasts."""

    def __init__(
        self,
        directory: Path,
        lock: DirectoryLock,
        info: RunInfo,
        interval: float,
        observers: Observers,
    ) -> None:
        self._directory, self._lock, self._info = directory, lock, info
        self._interval, self._observers = interval, observers
        self._started = time.time()
        created = datetime.datetime.fromisoformat(info.created).timestamp()
        self._first_started = min(created, self._started)
        self._command = Command.GO_ON
        self.code: ExitCode | None = None
        """Of who stopped the run."""
        self._states: Mapping[str, BenchmarkState] = {}
        self._written, self._logged = 0.0, time.monotonic()
        (directory / STOP).unlink(missing_ok=True)

    @contextmanager
    def signals(self) -> Iterator[None]:
        """Signals ask for a stop while the block lasts; the second one for giving up."""
        numbers = {
            signal.SIGINT: ExitCode.INTERRUPTED,
            signal.SIGTERM: ExitCode.TERMINATED,
        }

        def received(number: int, _frame: FrameType | None) -> None:
            self._stop(numbers[signal.Signals(number)], now=False)

        before = {number: signal.signal(number, received) for number in numbers}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def _stop(self, code: ExitCode, *, now: bool) -> None:
        self.code = self.code or code
        again = self._command is not Command.GO_ON
        self._command = Command.GIVE_UP if now or again else Command.STOP

    def asked(self) -> Command:
        """What the user asks for by now, by a signal or in the directory of the run."""
        with suppress(OSError):
            text = (self._directory / STOP).read_bytes()[:8].strip()
            (self._directory / STOP).unlink()
            self._stop(ExitCode.INTERRUPTED, now=text == b"now")
        if self._lock.lost:
            what = "was taken over by another process while this one was held up"
            raise ConfigError(what, where=str(self._directory))
        return self._command

    def report(self, states: Mapping[str, BenchmarkState]) -> None:
        """Write the progress of all shards together, and say it once in a while."""
        self._states, time_now = states, time.monotonic()
        if time_now - self._written >= PROGRESS_SECONDS:
            self._written = time_now
            self._write(None)
        if time_now - self._logged >= self._interval:
            self._logged = time_now
            for state in states.values():
                self._observers.said(state.line)

    def merged(self, summary: RunSummary) -> None:
        """The shards are one run now."""
        self._info = summary.run

    def end(self, ending: Ending) -> None:
        """Tell how the run ended."""
        self._write(ending)
        self._observers.ended(ending)

    @contextmanager
    def told(self) -> Iterator[None]:
        """Around the work: whatever ends it is told."""
        try:
            yield
        except BaseException as error:
            self.end(ending_of_error(error))
            raise

    def _write(self, ending: Ending | None) -> None:
        progress = RunProgress(
            run_id=self._info.run_id,
            state=RunStatus.RUNNING if ending is None else ending.status,
            stopping=self._command is not Command.GO_ON,
            host=socket.gethostname(),
            pid=os.getpid(),
            started=self._started,
            first_started=self._first_started,
            heartbeat=time.time(),
            exit_code=None if ending is None else int(ending.code),
            messages=() if ending is None else ending.messages,
            benchmarks=self._states,
        )
        with suppress(OSError):  # a full disk ends the shards where their journals are written
            write_progress(self._directory, progress)


def _whole(
    directory: Path, ends: Mapping[int, ShardEnd], shards: int, watch: Watch
) -> tuple[Ending, RunSummary | None]:
    """What the ends of the shards mean for the run, merged where every shard has its part."""
    again = f"nel eval resume {directory} goes on with it"
    hopeless = [(index, end) for index, end in ends.items() if end.code in HOPELESS]
    if hopeless:
        index, end = hopeless[0]
        reason = _error_in(end.lines) or "it said nothing"
        return Ending(ExitCode(end.code), (f"shard {index} on {end.node}: {reason}",)), None
    if watch.code is not None and any(end.code in STOPPED for end in ends.values()):
        return Ending(watch.code, (f"stopped; {again}",)), None
    begun = [d for d in directory.glob("shard_*") if (d / "plan.lock").exists()]
    if len(begun) < shards:
        lost = f"{shards - len(begun)} of {shards} shards have not begun"
        return Ending(ExitCode.INCOMPLETE, (f"{lost}; {again}",)), None
    merged = merge(directory, command=f"nel eval merge {directory}")
    code, messages = ExitCode(merged.exit_code), merged.messages
    if code is ExitCode.DONE and any(end.code == ExitCode.FAILED_CHECK for end in ends.values()):
        code = ExitCode.FAILED_CHECK
    return Ending(code, messages), merged.summary


def _error_in(lines: tuple[str, ...]) -> str:
    """The message of an error among the last lines of a process, else its last line."""
    errors = [i for i, line in enumerate(lines) if line.startswith("error: ")]
    if errors:
        return "\n".join(lines[errors[-1] :]).removeprefix("error: ")
    return lines[-1] if lines else ""
