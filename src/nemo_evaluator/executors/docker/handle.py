"""A run in a container of this machine: its files are in its directory, and the engine knows more.

What the files say counts while the container runs. A container that has ended has ended the run,
however fresh the last sign of life in its directory is; then the engine says why.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace
from pathlib import Path

from ...config.load import Loaded
from ...errors import ConfigError
from ...results.layout import LOG, SUBMITTED_CONFIG
from ...results.progress_file import read_progress
from ...results.status import RunState, State, status_of
from ...sandboxes.contract import SandboxLost
from ...sandboxes.docker_api import Engine
from ..options import Options
from ..resuming import loaded_again
from ..run_handle import POLL_SECONDS, LocalRun
from ..submission import Submission
from . import container
from .container import Seen

EXECUTOR = "docker"
FOLDER = "folder"
"""Detail of a submission: the folder that the command was given in."""
PATIENT_POLLS = 12
"""A run that has not begun is listened to after this many looks, and again."""
KILL_SECONDS = 30.0
"""Time a run that is to end at once gets before its container is killed."""


class DockerRun(LocalRun):
    """A handle of a run in a container."""

    def __init__(
        self,
        submission: Submission,
        directory: Path,
        submit: Callable[[Loaded, Options], Awaitable[DockerRun]],
        engine: Engine | None = None,
    ) -> None:
        """``submit``: starts a container that goes on with it."""
        super().__init__(directory)
        self.submission = submission
        self._submit = submit
        self._given = engine

    @property
    def engine(self) -> Engine:
        """Where its container is. Raises ConfigError where DOCKER_HOST names no local engine."""
        if self._given is None:
            self._given = Engine()
        return self._given

    @property
    def name(self) -> str:
        """The container's name."""
        return self.submission.ids[0]

    async def status(self) -> RunState:
        """See ``RunHandle``."""
        try:
            seen = await container.look(self.engine, self.name)
        except SandboxLost as error:
            return replace(await self._known(), executor=EXECUTOR, reason=str(error))
        known = await self._known()
        if seen is not None and seen.running:
            if not known.state.active:  # what an earlier invocation left
                known = RunState(self.directory, known.run_id, State.STARTING)
            return self._with_container(known, seen)
        return self._with_container(self._state_of_ended(known), seen)

    async def _known(self) -> RunState:
        """What the directory says."""
        with contextlib.suppress(ConfigError):
            return await asyncio.to_thread(status_of, self.directory)
        return RunState(self.directory, "", State.FAILED)

    def _state_of_ended(self, known: RunState) -> RunState:
        """The state of a run whose container has ended."""
        if not known.state.active or (known.owner is not None and known.owner.host != self.name):
            return known
        progress = read_progress(self.directory)
        found = progress.benchmarks if progress is not None else {}
        return replace(known, state=State.KILLED, owner=None, benchmarks=found)

    def _with_container(self, state: RunState, seen: Seen | None) -> RunState:
        what = f"container {self.name}"
        if seen is None:
            reason = "" if _is_whole(state) else "the container was removed"
            return replace(state, executor=EXECUTOR, reason=reason)
        code = state.exit_code if seen.running or state.state is State.KILLED else seen.exit_code
        return replace(state, executor=EXECUTOR, reason=seen.reason, exit_code=code, jobs=(what,))

    async def began(self, since: float, say: Callable[[str], None]) -> RunState:
        """Wait until the run in the container has begun, or has ended. Raises ConfigError, with
        what it said, if it ended before. ``since``: when the container was started; ``say`` is told
        what it says meanwhile, if it takes its time."""
        n_shown = 0
        for tries in itertools.count(1):
            state = await self.status()
            progress = await asyncio.to_thread(read_progress, self.directory)
            if progress is not None and progress.host == self.name and progress.started >= since:
                break
            if not state.state.active:
                raise await self._not_begun(state)
            if tries % PATIENT_POLLS == 0:
                lines = await container.last_words(self.engine, self.name)
                for line in lines[n_shown:]:
                    say(line)
                n_shown = len(lines)
            await asyncio.sleep(POLL_SECONDS)
        return state

    async def _not_begun(self, state: RunState) -> ConfigError:
        output = await container.last_words(self.engine, self.name)
        errors = [number for number, line in enumerate(output) if line.startswith("error: ")]
        text = "\n".join(output[errors[-1] :] if errors else output[-3:]).removeprefix("error: ")
        return ConfigError(
            state.reason or text or f"the run did not start (exit code {state.exit_code})"
        )

    async def stop(self, *, now: bool = False) -> None:
        """See ``RunHandle``."""
        state = await self.status()
        if not state.state.active:
            raise ConfigError(f"is not running: it is {state.state}", where=str(self.directory))
        if state.state is not State.STOPPING:
            await container.signal(self.engine, self.name, "SIGINT")
            if not now or not await self._noticed():
                return
        if now:
            await container.signal(self.engine, self.name, "SIGINT")
            await self._killed_after(KILL_SECONDS)

    async def _killed_after(self, seconds: float) -> None:
        """End a run that does not end by itself."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            if not (await self.status()).state.active:
                return
            await asyncio.sleep(POLL_SECONDS)
        await container.signal(self.engine, self.name, "SIGKILL")

    async def resume(self) -> DockerRun:
        """Go on with the run in a new container. See ``RunHandle``."""
        state = await self.status()
        if state.state.active:
            raise ConfigError(f"is {state.state}: it cannot be resumed", where=str(self.directory))
        with contextlib.chdir(self._folder()):
            loaded = loaded_again(self.directory / SUBMITTED_CONFIG)
            options = Options(resume=True, command=f"nel eval resume {self.directory}")
            return await self._submit(loaded, options)

    async def discard(self) -> None:
        """See ``LeavesSomething``."""
        try:
            await self.engine.request("GET", "/version", timeout=20)
        except SandboxLost as error:
            raise ConfigError(str(error), where=self.name) from None
        await container.remove(self.engine, self.name)

    def _folder(self) -> Path:
        """The folder that relative paths of the configuration are relative to."""
        folder = Path(str(self.submission.details.get(FOLDER, "")))
        return folder if folder.is_dir() else Path.cwd()

    async def logs(self, *, follow: bool = False, tail: int | None = None) -> AsyncIterator[str]:
        """See ``RunHandle``. Of a run that did not begin: what its container said."""
        if (self.directory / LOG).exists():
            async for line in super().logs(follow=follow, tail=tail):
                yield line
            return
        for line in await container.last_words(self.engine, self.name, tail):
            yield line


def _is_whole(state: RunState) -> bool:
    return state.state in (State.DONE, State.DECIDED)
