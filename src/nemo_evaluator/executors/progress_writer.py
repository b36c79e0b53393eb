"""Writes ``progress.json`` while a run lasts, and looks for what others ask of the run.

Every few seconds the counters are written, off the event loop. At the same beat the run learns that
somebody on another host asked it to stop (``.stop``), or that its directory was taken over while
the process was held up: then it must not write any more.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
import os
import socket
import time
from collections import deque
from collections.abc import AsyncIterator, Mapping
from pathlib import Path

from ..engine.control import Control
from ..engine.progress import BenchmarkProgress, Tally
from ..results.layout import STOP
from ..results.lock import DirectoryLock
from ..results.progress_file import (
    BenchmarkState,
    RunProgress,
    ScoreSoFar,
    read_progress,
    write_progress,
)
from ..results.requests import Reply, take_up
from ..results.run_info import RunInfo, RunStatus
from . import progress_text as say
from .ending import Ending
from .interrupts import Interrupts
from .observers import Observer
from .progress_text import Pace, PaceMeter
from .steering import Steering

WRITE_SECONDS = 2.0
REPLIES = 20


class ProgressWriter(Observer):
    """The observer of a run that writes its progress."""

    def __init__(self, control: Control, lock: DirectoryLock, interrupts: Interrupts) -> None:
        """``interrupts`` end the run where that is asked for, or its directory is lost."""
        self._control, self._lock, self._interrupts = control, lock, interrupts
        self.steering: Steering | None = None
        """Does what the run is asked for, once everything is opened."""
        self._replies: deque[Reply] = deque(maxlen=REPLIES)
        self._directory, self._run_id = Path(), ""
        self._started = self._first_started = time.time()
        self._tallies: Mapping[str, Tally] = {}
        self._meters: dict[str, PaceMeter] = {}

    def opened(self, directory: Path, info: RunInfo) -> None:
        """Say that the run goes on; an earlier request to stop is over."""
        self._directory, self._run_id = directory, info.run_id
        earlier = read_progress(directory)
        if earlier is not None and earlier.run_id == info.run_id:
            self._first_started = earlier.first_started or earlier.started
        (directory / STOP).unlink(missing_ok=True)
        self._write(self._progress())

    @contextlib.asynccontextmanager
    async def watching(self, tallies: Mapping[str, Tally]) -> AsyncIterator[None]:
        """Write the counters until the block ends."""
        self._tallies, self._meters = tallies, {slug: PaceMeter() for slug in tallies}
        task = asyncio.create_task(self._beat())
        try:
            yield
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    def ended(self, ending: Ending) -> None:
        """Write the last state."""
        self._write(self._progress(ending))

    async def _beat(self) -> None:
        while True:
            await asyncio.to_thread(self._write, self._progress())
            if self._lock.lost:  # `_write` has looked
                self._interrupts.lose(await asyncio.to_thread(self._lock.loss))
                return
            if (asked := await asyncio.to_thread(_read_stop_request, self._directory)) is not None:
                self._interrupts.stop(asked)
            if await self._answer():
                continue
            if self._control.stopping:
                await asyncio.sleep(WRITE_SECONDS)
            else:  # that the run was asked to stop is written at once
                await self._control.sleep(WRITE_SECONDS)

    async def _answer(self) -> bool:
        """Do what is asked; whether anything was."""
        if self.steering is None:
            return False
        mark = self._lock.owner.mark
        requests = await asyncio.to_thread(take_up, self._directory, mark)
        for request in requests:
            self._replies.append(await self.steering.answer(request, self._tallies))
        return bool(requests)

    def _write(self, progress: RunProgress) -> None:
        if self._lock.lost:
            return
        with contextlib.suppress(OSError):  # a full disk ends a run where its journal is written
            write_progress(self._directory, progress)

    def _progress(self, ending: Ending | None = None) -> RunProgress:
        now = time.monotonic()
        return RunProgress(
            run_id=self._run_id,
            state=ending.status if ending is not None else RunStatus.RUNNING,
            stopping=self._control.stopping,
            host=socket.gethostname(),
            pid=os.getpid(),
            started=self._started,
            first_started=self._first_started,
            heartbeat=time.time(),
            exit_code=ending.code if ending is not None else None,
            messages=ending.messages if ending is not None else (),
            benchmarks={slug: self._state(slug, now) for slug in self._tallies},
            paused=self._control.paused and not self._control.stopping,
            replies=(*self._replies,),
        )

    def _state(self, slug: str, now: float) -> BenchmarkState:
        progress = self._tallies[slug].snapshot()
        return _state(progress, self._meters[slug].measure(progress, now), now)


def _read_stop_request(directory: Path) -> bool | None:
    """Whether the run is asked to stop at once; None where there is no request."""
    path = directory / STOP
    try:
        now = path.read_bytes()[:8].strip() == b"now"
        path.unlink()
    except OSError:
        return None
    return now


def _state(progress: BenchmarkProgress, pace: Pace, now: float) -> BenchmarkState:
    score = progress.score
    begun = progress.started_at
    return BenchmarkState(
        name=progress.label,
        total=progress.total,
        done=progress.done,
        restored=progress.restored,
        failed=dict(progress.errored),
        finished=progress.finished,
        started=None if begun is None else time.time() - (now - begun),
        score=None
        if score is None or not all(map(math.isfinite, (score.value, score.lower, score.upper)))
        else ScoreSoFar(
            measure=say.measure(progress), value=score.value, lower=score.lower, upper=score.upper
        ),
        in_flight=progress.load.in_flight,
        limit=progress.load.limit,
        retries=progress.retries,
        output_tokens=progress.output_tokens,
        cost_usd=progress.cost_usd,
        rollouts_per_s=pace.per_s,
        tokens_per_s=pace.tokens_per_s,
        eta_s=pace.eta_s,
        status=progress.status,
        line=say.line(progress, pace),
    )
