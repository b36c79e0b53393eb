"""A run on Kubernetes, known by its submission: its job and pods while they are there, and its
results once they have been brought here.

Who first asks for a run that has ended brings the results and removes its secrets.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec

from ...config.load import Loaded
from ...errors import ConfigError, ExitCode
from ...results.layout import LOG, PROGRESS, SUBMITTED_CONFIG
from ...results.progress_file import RunProgress
from ...results.status import RunState, State, status_of
from ...types import Record
from ..options import Options
from ..resuming import loaded_again
from ..run_handle import LocalRun
from ..submission import Submitted, write_submission
from .client import ClusterAway, Kubectl, NotThere
from .collect import collect, merge
from .look import EXECUTOR, INDEX, read_progress, state_of
from .plan import CONTAINER, RUN, Manifest

WAIT_SECONDS = (1.0, 10.0)
"""How often a run that is waited for is looked at: at first, and later."""
_LOGS_AT_ONCE = 500
_PROGRESS = """\
for file in "$0" "${0%/*}"/shard_*/"${0##*/}"; do
  [ -f "$file" ] && printf '\\036%s\\n' "$file" && cat "$file"
done; true
"""


class KubernetesRecord(Record, frozen=True, kw_only=True):
    """What is recorded of a submission, to find its objects again."""

    context: str | None = None
    namespace: str | None = None
    results: str
    """Its directory in the pods."""
    folder: str
    """Where the command was given."""
    reader: Manifest
    collected: str = ""
    """The id of the job whose results are here."""
    problem: str = ""
    """Why they are not whole here, though the job is complete."""


class KubernetesRun(LocalRun):
    """A handle of a run on Kubernetes, or of one shard of it."""

    def __init__(
        self, submitted: Submitted, submit: Callable[[Loaded, Options], Awaitable[KubernetesRun]]
    ) -> None:
        """``submit``: makes a job that goes on with it."""
        shard = submitted.shard
        whole = submitted.directory
        super().__init__(whole if shard is None else whole / f"shard_{shard}")
        self.submitted, self._submit = submitted, submit
        details = submitted.submission.details
        self.record = msgspec.convert(details, KubernetesRecord)
        self.kubectl = Kubectl(self.record.context, self.record.namespace)

    @property
    def name(self) -> str:
        """The job's name."""
        return self.submitted.submission.ids[0]

    async def status(self) -> RunState:
        """See ``RunHandle``."""
        whole = await self._state_now()
        shard = self.submitted.shard
        if shard is None:
            return whole
        found = whole.shards.get(shard)
        if found is None:
            found = replace(await self._state_here(self.directory), reason=whole.reason)
        return replace(found, executor=EXECUTOR, jobs=whole.jobs)

    async def _state_now(self) -> RunState:
        directory = self.submitted.directory
        try:
            job = await self.kubectl.get("job", self.name)
        except NotThere:
            if self.record.collected:
                return await self._result()
            gone = "its job is not in the cluster any more"
            return replace(await self._state_here(directory), executor=EXECUTOR, reason=gone)
        except ClusterAway as error:
            return replace(await self._state_here(directory), executor=EXECUTOR, reason=str(error))
        try:
            return await self._look(job)
        except ClusterAway as error:
            state = state_of(directory, job, [], {}, self.submitted.submission.shards)
            return replace(state, reason=str(error))

    async def _look(self, job: Any) -> RunState:
        """What the cluster knows; of a run that has ended, after its results were brought here."""
        pods = (await self.kubectl.get("pods", f"--selector={RUN}={self.name}"))["items"]
        progress = await self._progress(pods)
        directory = self.submitted.directory
        state = state_of(directory, job, pods, progress, self.submitted.submission.shards)
        if state.state not in (State.DONE, State.FAILED):
            return state
        problem = ""
        if self.record.collected != job["metadata"]["uid"]:
            problem = await self._collected(job["metadata"]["uid"], state.state)
        if state.state is State.DONE and not problem:
            return replace(await self._result(), jobs=state.jobs)
        here = await self._state_here(directory)
        reason = "; ".join(filter(None, (state.reason, problem)))
        return replace(state, reason=reason, benchmarks=here.benchmarks or state.benchmarks)

    async def _result(self) -> RunState:
        """What came of a job that is complete, by its results here."""
        here = await self._state_here(self.submitted.directory)
        code = ExitCode.DONE if here.state is State.DONE else here.exit_code
        return replace(here, executor=EXECUTOR, reason=self.record.problem, exit_code=code)

    async def _collected(self, uid: str, state: State) -> str:
        """Bring the results here, once: why that is not possible, or nothing."""
        with contextlib.suppress(ClusterAway):
            await self.kubectl.delete("secret", self.name)
        directory = self.submitted.directory
        try:
            await collect(self.kubectl, self.record.reader, self.record.results, directory)
        except ClusterAway as error:
            return f"its results cannot be brought here: {error}"
        split = self.submitted.submission.shards is not None
        problem = await merge(directory) if split and state is State.DONE else ""
        self._take(msgspec.structs.replace(self.record, collected=uid, problem=problem))
        return ""

    def _take(self, record: KubernetesRecord) -> None:
        """Replace what is recorded."""
        self.record = record
        submission = msgspec.structs.replace(
            self.submitted.submission, details=msgspec.to_builtins(record)
        )
        write_submission(submission)
        self.submitted = replace(self.submitted, submission=submission)

    async def _progress(self, pods: list[Any]) -> dict[int, RunProgress]:
        """How far the shards are: one pod that runs sees the files of all."""
        running = [pod for pod in pods if pod.get("status", {}).get("phase") == "Running"]
        if not running:
            return {}
        pod = running[0]["metadata"]["name"]
        path = f"{self.record.results}/{PROGRESS}"
        words = ("exec", pod, f"--container={CONTAINER}", "--", "sh", "-c", _PROGRESS, path)
        try:
            return read_progress(await self.kubectl.run(*words))
        except ClusterAway:  # it has just ended
            return {}

    async def _state_here(self, directory: Path) -> RunState:
        """What the files here say."""
        with contextlib.suppress(ConfigError):
            return await asyncio.to_thread(status_of, directory)
        return RunState(directory, "", State.FAILED)

    async def stop(self, *, now: bool = False) -> None:
        """See ``RunHandle``. The whole job is stopped, whichever shard was named."""
        state = await self._state_now()
        if not state.state.active:
            raise ConfigError(f"is not running: it is {state.state}", where=str(self.directory))
        patch = '--patch={"spec":{"suspend":true}}'
        await self.kubectl.run("patch", "job", self.name, "--type=merge", patch)
        await self.kubectl.delete("secret", self.name)
        if now:
            words = ("pods", f"--selector={RUN}={self.name}", "--grace-period=1")
            await self.kubectl.run("delete", *words, "--wait=false")

    async def resume(self) -> KubernetesRun:
        """Go on with the run in a new job. See ``RunHandle``."""
        directory = self.submitted.directory
        with contextlib.chdir(self._folder()):
            loaded = loaded_again(directory / SUBMITTED_CONFIG)
            options = Options(resume=True, command=f"nel eval resume {directory}")
            return await self._submit(loaded, options)

    async def discard(self) -> None:
        """See ``LeavesSomething``. What is on the volume stays too."""
        await self.kubectl.delete("job", self.name, "--wait=false")

    def _folder(self) -> Path:
        """The folder that relative paths of the configuration are relative to."""
        folder = Path(self.record.folder)
        return folder if folder.is_dir() else Path.cwd()

    async def wait(self) -> RunState:
        """See ``RunHandle``."""
        pause, most = WAIT_SECONDS
        while True:
            state = await self.status()
            if not state.state.active:
                return state
            await asyncio.sleep(pause)
            pause = min(2 * pause, most)

    async def logs(self, *, follow: bool = False, tail: int | None = None) -> AsyncIterator[str]:
        """See ``RunHandle``. Before the results are here: what the pods print."""
        if (self.directory / LOG).exists() and self.record.collected:
            async for line in super().logs(follow=follow, tail=tail):
                yield line
            return
        selector = f"{RUN}={self.name}"
        if self.submitted.shard is not None:
            selector += f",{INDEX}={self.submitted.shard}"
        words = ["logs", f"--selector={selector}", f"--container={CONTAINER}", "--prefix"]
        words += [f"--max-log-requests={_LOGS_AT_ONCE}", *(["--follow"] if follow else [])]
        since = [f"--tail={-1 if tail is None else tail}"]
        while True:
            asked = time.monotonic()
            try:
                async for line in self.kubectl.lines(*words, *since):
                    yield line
                    asked = time.monotonic()
            except NotThere:
                pass
            except ClusterAway:
                if not follow:
                    raise
            if not follow or not (await self.status()).state.active:
                return
            await asyncio.sleep(WAIT_SECONDS[0])
            since = [f"--since={math.ceil(time.monotonic() - asked)}s", "--tail=-1"]
