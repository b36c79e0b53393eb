"""Has the images of a benchmark's problems at hand before its first rollout, and says how far.

Only those of problems that have something left to do. An image that cannot be had is said, and is
the infrastructure error of its own problems: the others run.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable

from ..environments.user_code import contained
from ..errors import NelError
from ..results.journal import JournalIndex
from ..sandboxes.contract import SandboxSpec
from ..sandboxes.pool import image_key
from ..types import RolloutKey
from .job import Job
from .workspaces import Workspaces

QUICK = 1.0
"""Seconds after which it is worth saying that an image is there."""
CHARACTERS = 600
"""Of what is said of an image that cannot be had; the whole of it stands in the journal."""


async def have_images(job: Job, index: JournalIndex, say: Callable[[str], None]) -> None:
    """Pull or build what the workspaces of a job are made of, each once."""
    if job.workspaces is None:
        return
    wanted: dict[str | bytes | None, SandboxSpec] = {}
    async for spec in _specs(job, job.workspaces, index):
        wanted.setdefault(image_key(spec), spec)
    made = _Made(job.plan.slug, len(wanted), say)
    await asyncio.gather(*(made.have(job.workspaces, spec) for spec in wanted.values()))


async def _specs(
    job: Job, workspaces: Workspaces, index: JournalIndex
) -> AsyncIterator[SandboxSpec]:
    """The sandboxes of the problems that have something left to do."""
    for idx in job.order:
        states = (index.rollouts.get(RolloutKey(idx, n)) for n in range(job.plan.repeats))
        if all(state is not None and state.scored for state in states):
            continue
        try:
            with contained("the benchmark"):
                problem = await job.environment.seed(idx)
        except Exception:  # its rollouts fail with this error, and report it
            continue
        for needed in (problem.workspace, problem.handover.verifier):
            if needed is not None and workspaces.has_image(needed):
                yield workspaces.wanted(needed)


class _Made:
    """How many images are there."""

    def __init__(self, name: str, total: int, say: Callable[[str], None]) -> None:
        self._name, self._total, self._say = name, total, say
        self._done = 0

    async def have(self, workspaces: Workspaces, spec: SandboxSpec) -> None:
        what = spec.image or (spec.build and spec.build.context) or "the default image"
        began = time.monotonic()
        try:
            await workspaces.have_image(spec)
        except NelError as error:
            self._done += 1
            why = str(error)
            if len(why) > CHARACTERS:
                why = f"{why[:CHARACTERS]}…"
            self._say(f"warning: {self._name}: no image for some problems: {why}")
        else:
            self._done += 1
            if (took := time.monotonic() - began) > QUICK:
                at = f"{self._done} of {self._total}"
                self._say(f"{self._name}: image {at} is there after {took:.0f} s: {what}")
