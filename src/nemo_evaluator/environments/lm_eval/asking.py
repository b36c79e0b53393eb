"""Asks what documents of lm_eval ask, many questions side by side, and has the answers scored.

Invariants: documents are fetched and begun in the order that is wanted; at most ``concurrency``
questions are under way, whatever documents they belong to; answers are scored while others are
still being asked, and only so many wait for that.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Sequence

from ...asked import Answer, Request
from ...errors import InfraError, ModelError, RunBudgetExceeded
from ...records import Json
from ...types import ErrorInfo, Failure, Phase, Problem, RolloutKey, Solution
from ..harness import Finished, HarnessTools
from .manner import Manner
from .remote import Remote
from .replies import Doc
from .scores import Graded, finish_of, response_of, score_of

FETCHED = 256
"""Documents fetched at once. The next ones are fetched while these are asked; no more are kept:
prompts and token ids of a whole benchmark may be gigabytes."""
MOST_UNSCORED = 4096
"""Answered documents that wait to be scored, at most."""
SCORED = 512
"""Documents scored at once, at most."""


class _Rollout:
    """A document whose questions are being asked."""

    __slots__ = ("answers", "doc", "error", "key", "left", "problem", "requests")

    def __init__(
        self, key: RolloutKey, doc: Doc, problem: Problem, requests: Sequence[Request]
    ) -> None:
        self.key, self.doc, self.problem, self.requests = key, doc, problem, requests
        self.answers: list[Answer | None] = [None] * len(requests)
        self.left = len(requests)
        """Questions without an answer or an error."""
        self.error: ErrorInfo | None = None

    @property
    def all_answers(self) -> tuple[Answer, ...]:
        """All answers, where none is missing."""
        return tuple(answer for answer in self.answers if answer is not None)


class Asking:
    """The rollouts of one invocation. Use once."""

    def __init__(
        self,
        remote: Remote,
        manner: Manner,
        todo: Sequence[RolloutKey],
        tools: HarnessTools,
        *,
        several: bool,
    ) -> None:
        """``several``: the documents are of several tasks."""
        self._remote, self._manner, self._tools, self._several = remote, manner, tools, several
        self._todo = deque(todo)
        self._fetching: asyncio.Task[list[tuple[RolloutKey, Doc]]] | None = None
        self._fetched: deque[tuple[RolloutKey, Doc]] = deque()
        self._open: deque[tuple[_Rollout, int]] = deque()
        """Questions that are not being asked yet."""
        self._feeding = asyncio.Lock()
        self._answered: deque[_Rollout] = deque()
        self._news, self._room = asyncio.Event(), asyncio.Event()

    async def finished(self) -> AsyncIterator[Finished]:
        """Every rollout that was answered or failed, scored."""
        self._fetch_next()
        work = [asyncio.create_task(self._work()) for _ in range(self._tools.concurrency)]
        asked = asyncio.gather(*work)
        asked.add_done_callback(lambda _: self._news.set())
        try:
            while not asked.done() or self._answered:
                self._news.clear()
                if not self._answered:
                    if not asked.done():
                        await self._news.wait()
                    continue
                for one in await self._scored():
                    yield one
            await asked
        finally:
            asked.cancel()
            if self._fetching is not None:
                self._fetching.cancel()
            await asyncio.gather(*work, asked, return_exceptions=True)

    async def _work(self) -> None:
        stopping = self._tools.stopping
        while not stopping.is_set():
            if not self._open and not await self._open_next():
                return
            rollout, place = self._open.popleft()
            if rollout.error is None:
                try:
                    answer = await self._tools.call(rollout.key, rollout.requests[place])
                    rollout.answers[place] = answer
                except RunBudgetExceeded:
                    return
                except (InfraError, ModelError) as error:
                    rollout.error = error.info
            rollout.left -= 1
            if not rollout.left:
                self._answered.append(rollout)
                self._news.set()
                await self._until_room()

    async def _until_room(self) -> None:
        while len(self._answered) >= MOST_UNSCORED:
            self._room.clear()
            await self._room.wait()

    async def _open_next(self) -> bool:
        """Open the next document; False where there is none."""
        while not self._open and not self._fetched:
            async with self._feeding:
                if self._open or self._fetched:
                    break
                if self._fetching is None:
                    return False
                self._fetched.extend(await self._fetching)
                self._fetch_next()
        if not self._open:
            self._begin(*self._fetched.popleft())
        return True

    def _fetch_next(self) -> None:
        """Fetch the documents of the next rollouts; repeats of one document fetch it once."""
        keys = list[RolloutKey]()
        places = dict[int, None]()
        while self._todo and (len(places) < FETCHED or self._todo[0].problem_idx in places):
            keys.append(key := self._todo.popleft())
            places[key.problem_idx] = None
        self._fetching = asyncio.create_task(self._fetch(keys, list(places))) if keys else None

    async def _fetch(
        self, keys: Sequence[RolloutKey], places: Sequence[int]
    ) -> list[tuple[RolloutKey, Doc]]:
        docs = dict(zip(places, await self._remote.docs(places), strict=True))
        return [(key, docs[key.problem_idx]) for key in keys]

    def _begin(self, key: RolloutKey, doc: Doc) -> None:
        requests = self._manner.requests(doc)
        metadata: dict[str, Json] = {"task": doc.task, "doc_id": doc.doc_id, "doc": doc.doc}
        if self._several:
            metadata["category"] = doc.task
        problem = Problem(
            idx=key.problem_idx,
            prompt=_prompt(doc, requests[0]),
            messages=requests[0].messages,
            target=doc.target,
            metadata=metadata,
        )
        rollout = _Rollout(key, doc, problem, requests)
        self._open.extend((rollout, place) for place in range(len(requests)))

    async def _scored(self) -> list[Finished]:
        """Some of what waits: what failed as it is, and what was answered with its score."""
        found = [self._answered.popleft() for _ in range(min(SCORED, len(self._answered)))]
        self._room.set()
        answered = [one for one in found if one.error is None]
        rows = [
            (one.key.problem_idx, self._manner.replies(one.doc, one.all_answers))
            for one in answered
        ]
        graded = await self._remote.grade(rows) if rows else []
        return [
            *(_failed(one, one.error) for one in found if one.error is not None),
            *(self._finished(one, grade) for one, grade in zip(answered, graded, strict=True)),
        ]

    def _finished(self, one: _Rollout, graded: Graded) -> Finished:
        doc, answers = one.doc, one.all_answers
        score, error = None, None
        if graded.error is not None:
            error = ErrorInfo(kind=Failure.VERIFIER, message=graded.error, phase=Phase.VERIFY)
        else:
            score = score_of(graded.filters, doc, answers, self._manner.choosing(doc))
        solution = Solution(
            response=response_of(doc, answers), answers=answers, finish_reason=finish_of(answers)
        )
        return Finished(
            key=one.key, solution=solution, problem=one.problem, score=score, error=error
        )


def _prompt(doc: Doc, first: Request) -> str:
    """What is shown as the question, where token ids were sent in its place."""
    if first.prompt or first.messages or not doc.requests:
        return first.prompt
    return str(doc.requests[0].args[0])


def _failed(one: _Rollout, error: ErrorInfo) -> Finished:
    return Finished(key=one.key, solution=Solution(response=""), error=error, problem=one.problem)
