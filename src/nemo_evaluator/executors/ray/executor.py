"""The executor of ``cluster: {type: ray}``: a process of this machine drives the shards.

The driver is a run in the background as others are: it holds the directory, writes the log and the
progress of all shards together, and is stopped by a signal or a request in the directory.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from ...config.load import Loaded
from ...config.mistakes import Mistake
from ...config.quick import apply_flags
from ...config.ray_cluster import RayCluster
from ...config.runnable import problems
from ...engine.shards import FOLDER, Shard
from ...errors import ConfigError
from ...results.layout import PLAN_LOCK, SUBMISSION, SUBMITTED_CONFIG
from ...results.progress_file import read_progress
from ...results.run_info import RunStatus
from ...results.status import RunState, State, status_of
from ..background import submit
from ..observers import Observers
from ..opening import set_aside
from ..options import Options
from ..resuming import Resumption, loaded_again
from ..run_handle import LocalRun
from ..submission import Submitted, find_submission
from .connecting import INSTALL, installed

NAME = "ray"
PROGRAM = "nemo_evaluator.cli.ray_driver"


class RayExecutor:
    """Runs the shards of a run as tasks of a Ray cluster."""

    detached = True

    def problems(self, loaded: Loaded) -> Iterator[Mistake]:
        """See ``Executor``."""
        yield from problems(loaded.config)
        cluster = loaded.config.cluster
        if not isinstance(cluster, RayCluster):
            return
        if not installed():
            yield Mistake(("cluster", "type"), "needs the package ray", INSTALL)
        if loaded.config.gate is not None:
            what = "cannot be decided on shards: each has a part of the answers only"
            yield Mistake(("gate",), what, "leave it out, and use nel gate on the merged run")
        written = str(cluster.runtime_env)
        if any(secret in written for secret in loaded.secrets):
            what = "holds a secret, and Ray writes it into its logs"
            hint = "leave it out: shards get the variables that the configuration names"
            yield Mistake(("cluster", "runtime_env"), what, hint)

    async def submit(self, loaded: Loaded, options: Options) -> RayRun:
        """See ``Executor``. The driver outlives this process."""
        if options.given is not None:
            what = "a benchmark or solver given as a Python object cannot be sent to a cluster"
            raise ConfigError(what, where="cluster.type", hint="name it: FILE.py:NAME")
        directory = Path(loaded.config.output.dir)
        if options.set_aside and not options.resume:
            set_aside(directory, Observers(options.observers).said)
        if not options.resume and _holds_results(directory):
            hint = "go on with it (--resume), or choose another directory (-o)"
            raise ConfigError("holds a run already", where=str(directory), hint=hint)
        return RayRun(await submit(loaded, options, program=PROGRAM))

    def attach(self, directory: Path) -> RayRun | LocalRun | None:
        """See ``Executor``."""
        found = find_submission(directory)
        if found is None or found.submission.executor != NAME:
            return None
        return RayRun(found.directory) if found.shard is None else LocalRun(directory)


def _holds_results(directory: Path) -> bool:
    return (directory / PLAN_LOCK).exists() or any(directory.glob(f"{FOLDER}*"))


class RayRun(LocalRun):
    """A run on Ray, known by its directory. It is stopped and followed through its driver."""

    async def status(self) -> RunState:
        """See ``RunHandle``."""
        import asyncio

        return await asyncio.to_thread(state_of, self.directory)

    async def resume(self) -> RayRun:
        """Start the driver again: shards that are done stay as they are. See ``RunHandle``."""
        found = find_submission(self.directory)
        if found is None:
            raise ConfigError("is missing", where=str(self.directory / SUBMISSION))
        again = _resumption_of(found)
        return RayRun(await submit(again.loaded, again.options, again.folder, program=PROGRAM))


def _resumption_of(found: Submitted) -> Resumption:
    """How a run goes on: with the configuration that was submitted."""
    directory = found.directory.resolve()
    folder = Path(str(found.submission.details.get("folder", "")))
    folder = folder if folder.is_dir() else Path.cwd()
    config = directory / SUBMITTED_CONFIG
    with contextlib.chdir(folder):
        loaded = loaded_again(config)
        loaded = apply_flags(loaded, output_dir=str(directory))
    options = Options(resume=True, command=f"nel eval resume {directory}")
    return Resumption(loaded, options, folder)


def state_of(directory: Path) -> RunState:
    """The state of a run on Ray and of its shards. Raises ConfigError where there is none."""
    found = find_submission(directory)
    if found is None:
        raise ConfigError("holds no run", where=str(directory))
    try:
        state = status_of(directory)
    except ConfigError:  # it was not merged
        state = _unmerged(found)
    count = found.submission.shards or 0
    shards = {index: _shard(directory, index, count, state) for index in range(count)}
    return replace(
        state,
        run_id=state.run_id or found.submission.run_id,
        executor=NAME,
        jobs=(f"to the Ray cluster {found.submission.details.get('address')}: {count} shards",),
        shards=shards,
    )


def _unmerged(found: Submitted) -> RunState:
    """A run whose driver ended before there was a result of the whole."""
    directory, submission = found.directory, found.submission
    progress = read_progress(directory)
    again = f"nel eval resume {directory} goes on with it"
    if progress is None or progress.running:
        why = f"its driver died; {again}"
        return RunState(directory, submission.run_id, State.KILLED, reason=why)
    state = State(progress.state) if progress.state is not RunStatus.RUNNING else State.KILLED
    return RunState(
        directory,
        submission.run_id,
        state,
        started=progress.started,
        first_started=progress.first_started,
        ended=progress.heartbeat,
        exit_code=progress.exit_code,
        messages=progress.messages,
        benchmarks=progress.benchmarks,
    )


def _shard(directory: Path, index: int, count: int, whole: RunState) -> RunState:
    folder = Shard(index=index, total=count).directory(directory)
    try:
        state = status_of(folder)
    except ConfigError:
        return RunState(folder, "", State.PENDING if whole.state.active else State.CANCELLED)
    if state.state is State.KILLED and whole.state.active:
        progress = read_progress(folder)  # of a copy, whose lock is on another node
        benchmarks = progress.benchmarks if progress is not None else state.benchmarks
        return replace(state, state=State.RUNNING, benchmarks=benchmarks)
    return state
