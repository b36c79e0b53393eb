"""What is left to do of a benchmark: the plan's rollouts minus what the journal already holds.

Problems are seeded one by one, in order, when a worker needs the next rollout; a seeded problem is
shared by all its repeats. What was solved but never verified is only verified, from the journal. A
problem whose line in the journal is damaged is written again; its rollouts stay as they are.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from ..environments.contract import Environment
from ..environments.user_code import contained
from ..errors import ConfigError
from ..results.journal import AskedImage, Errored, JournalIndex, ProblemSeeded, Solved
from ..results.journal_reader import JournalReader
from ..solvers.contract import Handover
from ..steps import Step
from ..traffic.images import media_type_of
from ..types import Image, Phase, Problem, RolloutKey, Solution
from .accounts import NOTHING, Spent
from .plan import problem_digest
from .workspaces import Lease

QUOTE_CHARS = 40
"""Shorter metadata is simply repeated."""


@dataclass(slots=True)
class Work:
    """One rollout to be done."""

    key: RolloutKey
    problem: Problem
    attempt: int
    solution: Solution | None = None
    """A journaled answer that only lacks its verdict."""
    spent: Spent = NOTHING
    """What the attempt has used, where nothing came of it yet."""
    steps: tuple[Step, ...] = ()
    """What the attempt has recorded, where nothing came of it yet."""
    wall_ms: float | None = None
    """How long the attempt's solver took, less what its calls waited for a place."""
    lease: Lease | None = None
    """The workspace of the attempt, while it is open."""
    handover: Handover | None = None
    """What the verifier gets of it."""

    async def release(self) -> None:
        """Close the workspace, if there is one; safe to call twice."""
        self.handover = None
        if (lease := self.lease) is not None:
            self.lease = None
            await lease.close()


def nothing_kept(_key: RolloutKey, _attempt: int) -> bool:
    """Where there are no workspaces."""
    return False


class Backlog:
    """Hands out the open rollouts of one benchmark, each once."""

    def __init__(
        self,
        environment: Environment,
        order: Sequence[int],
        repeats: int,
        index: JournalIndex,
        journal: Path,
        seeded: Callable[[ProblemSeeded], None],
        kept: Callable[[RolloutKey, int], bool] = nothing_kept,
        only: Collection[RolloutKey] | None = None,
    ) -> None:
        """``seeded`` is told of every problem that the journal does not hold yet; ``kept`` says
        whether the workspace of an attempt can still be verified; ``only``: no other rollouts."""
        self._kept, self._only = kept, only
        self._environment, self._repeats = environment, repeats
        self._index, self._seeded = index, seeded
        self._reader: JournalReader | None = None
        if index.problems or index.rollouts:
            self._reader = JournalReader(journal, index.content)
        self._order: Iterator[int] = iter(order)
        self._ready: deque[Work] = deque()
        self._feeding = asyncio.Lock()

    async def next(self) -> Work | None:
        """The next open rollout; None at the end.

        Raises ConfigError when the dataset no longer holds what the journal says it held.
        """
        async with self._feeding:
            while not self._ready:
                idx = next(self._order, None)
                if idx is None:
                    return None
                await self._open_problem(idx)
            return self._ready.popleft()

    async def drained(self) -> list[RolloutKey]:
        """The rollouts that were not handed out; none is left."""
        keys = []
        while (work := await self.next()) is not None:
            keys.append(work.key)
        return keys

    def close(self) -> None:
        """Close the journal that answers are re-read from."""
        if self._reader is not None:
            self._reader.close()

    async def _open_problem(self, idx: int) -> None:
        keys = [RolloutKey(idx, repeat) for repeat in range(self._repeats)]
        states = {key: self._index.rollouts.get(key) for key in keys}
        open_keys = [key for key, state in states.items() if state is None or not state.scored]
        if self._only is not None:
            open_keys = [key for key in open_keys if key in self._only]
        known_at = self._index.problems.get(idx)
        if known_at is not None and not open_keys:
            return
        with contained("the benchmark"):
            problem = await self._environment.seed(idx)
        if known_at is None:
            self._seeded(journal_form(problem))
        else:
            self._check_unchanged(known_at, problem)
        for key in open_keys:
            state = states[key]
            attempt = state.attempts if state else 0
            solution = self._unverified(key) if state else None
            self._ready.append(Work(key, problem, attempt + (solution is None), solution))

    def _unverified(self, key: RolloutKey) -> Solution | None:
        """The answer of the last attempt, if it was paid for and only its verdict is missing."""
        state = self._index.rollouts[key]
        if state.solved_at < 0 or self._reader is None:
            return None
        if state.ended_at >= 0:
            ended = self._reader.at(state.ended_at)
            if not (isinstance(ended, Errored) and ended.error.phase is Phase.VERIFY):
                return None
        solved = self._reader.at(state.solved_at)
        if not isinstance(solved, Solved):
            return None
        if solved.solution.workspace and not self._kept(key, solved.attempt):
            return None  # the answer is in a workspace that is gone: it is asked again
        return solved.solution

    def _check_unchanged(self, offset: int, problem: Problem) -> None:
        event = self._reader.at(offset) if self._reader else None
        if isinstance(event, ProblemSeeded) and event.digest != problem_digest(problem):
            raise ConfigError(
                f"problem {problem.idx} is not the one this run was started with",
                where=self._environment.name,
                hint="the dataset or the prompt has changed: choose another directory (-o)",
            )


def journal_form(problem: Problem) -> ProblemSeeded:
    """The event that stores a problem's texts, each once."""
    prompt = "" if problem.messages else problem.prompt
    quoted = {
        key: (start, start + len(value))
        for key, value in problem.metadata.items()
        if isinstance(value, str)
        and len(value) >= QUOTE_CHARS
        and (start := prompt.find(value)) >= 0
    }
    metadata = problem.metadata
    if quoted:
        metadata = {key: value for key, value in metadata.items() if key not in quoted}
    return ProblemSeeded(
        problem_idx=problem.idx,
        digest=problem_digest(problem),
        prompt=prompt,
        messages=problem.messages,
        system=problem.system,
        target=problem.target,
        metadata=metadata,
        quoted=quoted,
        cluster=problem.cluster,
        requests=problem.requests,
        images=tuple(map(_asked, problem.images)),
    )


def _asked(image: Image) -> AskedImage:
    """Where an image is. One that the problem brings along in full is not written once more."""
    data = image.data
    if image.url is not None and image.url.startswith("data:"):
        return AskedImage(media_type=media_type_of(image), size=len(image.url))
    if data is not None:
        return AskedImage(media_type=media_type_of(image, data), size=len(data))
    place = image.url if image.path is None else str(Path(image.path).absolute())
    return AskedImage(place=place, media_type=media_type_of(image))
