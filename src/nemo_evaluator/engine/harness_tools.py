"""What a harness is given: doors to the model, and calls that are journaled.

Invariant: whatever goes through here is counted, to its rollout or to none; a call that was
answered once is never paid for again.
"""

from __future__ import annotations

import asyncio
import hashlib
import time
from pathlib import Path
from typing import NamedTuple

import msgspec

from ..asked import Answer, Request
from ..errors import ConfigError, RunBudgetExceeded
from ..http.listener import Listener
from ..results.journal import Called, JournalIndex, UsedBeside
from ..results.journal_reader import JournalReader
from ..results.journal_writer import JournalWriter
from ..results.layout import HARNESS, JOURNAL
from ..solvers.requests import Asker
from ..traffic.client import ModelClient
from ..traffic.door.sessions import Endpoint
from ..traffic.kept_answers import KeptAnswers
from ..traffic.types import CallContext
from ..types import Problem, RolloutKey
from .accounts import NOTHING, Spent, of_session
from .budget import RunBudget
from .job import Job

BESIDE_SECONDS = 5.0
"""How often what was used beside the rollouts is journaled."""


class Through(NamedTuple):
    """What went through the door of one rollout."""

    spent: Spent
    latency_ms: float


class Tools:
    """The tools of one harness run; see ``environments.harness.HarnessTools``."""

    def __init__(
        self, job: Job, index: JournalIndex, journal: JournalWriter, budget: RunBudget
    ) -> None:
        self.folder: Path = job.folder / HARNESS
        self.stopping = asyncio.Event()
        self.answered = 0
        """Calls that were answered, from wherever."""
        self._job, self._index, self._journal, self._budget = job, index, journal, budget
        self._shared = CallContext(
            session=f"{job.plan.slug}/harness",
            benchmark=job.plan.slug,
            attempt=len(index.began) + 1,
        )
        self._counted = NOTHING
        """What was journaled of the shared session."""
        self._doors: dict[RolloutKey, CallContext] = {}
        self._latency: dict[RolloutKey, float] = {}
        """Milliseconds that the calls of a rollout took, waiting aside."""
        self._known: dict[RolloutKey, dict[str, Answer]] = {}
        """Answers to the rollouts that are under way, by request."""
        self._alone: dict[RolloutKey, dict[str, asyncio.Lock]] = {}
        self._reader = JournalReader(job.folder / JOURNAL) if index.called else None

    @property
    def model(self) -> str | None:
        """The model's id; None without a service."""
        return None if self._job.model is None else self._job.model.name

    @property
    def concurrency(self) -> int:
        """How many rollouts to have under way."""
        return self._job.window

    @property
    def protocol(self) -> str | None:
        """What its service is asked over; None without one."""
        return None if self._job.model is None else self._job.model.protocol

    async def endpoint(
        self,
        key: RolloutKey | None = None,
        *,
        listener: Listener | None = None,
        answers: Path | None = None,
    ) -> Endpoint:
        """A door, counted to the rollout or to none. Raises ConfigError without a service."""
        if key is None:
            return await self._client.door(self._shared, listener=listener)
        context = self._doors.get(key)
        if context is None:
            context = self._context(key)
            if answers is not None:
                kept = await asyncio.to_thread(KeptAnswers, answers, self._client.scrub)
                context = msgspec.structs.replace(context, kept=kept)
            self._doors[key] = context
        return await self._client.door(context, listener=listener)

    async def call(self, key: RolloutKey, request: Request) -> Answer:
        """The answer to a request of a rollout: journaled, or from the journal. Raises what a model
        raises, and RunBudgetExceeded where the run ends."""
        named = request_digest(request)
        alone = self._alone.setdefault(key, {}).setdefault(named, asyncio.Lock())
        async with alone:
            answer = self._answer(key, named)
            if answer is None:
                answer = await self._ask_model(key, named, request)
                self._known.setdefault(key, {})[named] = answer
        self.answered += 1
        return answer

    def over(self, key: RolloutKey) -> Through:
        """A rollout is done: close its door, forget its answers. What went through it."""
        self._known.pop(key, None)
        self._alone.pop(key, None)
        context, latency = self._doors.pop(key, None), self._latency.pop(key, 0.0)
        if context is None:
            return Through(NOTHING, round(latency, 3))
        used = self._client.ledger.session(context)
        self._client.end_session(context)
        if context.kept is not None:
            context.kept.count()
            context.kept.close()
        return Through(of_session(used), round(used.latency_ms + latency, 3))

    def count_beside(self) -> None:
        """Journal what was used since, and belongs to no rollout."""
        if self._job.model is None:
            return
        seen = of_session(self._job.model.ledger.session(self._shared))
        self._count_beside(seen.minus(self._counted))
        self._counted = seen

    def close(self) -> None:
        """Close all doors; what went through those of rollouts that are not done is counted."""
        for key in list(self._doors):
            self._count_beside(self.over(key).spent)
        self.count_beside()
        if self._job.model is not None:
            self._job.model.end_session(self._shared)
        if self._reader is not None:
            self._reader.close()

    def _count_beside(self, used: Spent) -> None:
        if not used.calls and not used.usage.total_tokens:
            return
        self._budget.spend(used.usage, used.usd)
        self._journal.append(
            UsedBeside(
                at=time.time(),
                usage=used.usage,
                cost_usd=used.usd,
                calls=used.calls,
                tries=used.tries,
            )
        )

    @property
    def _client(self) -> ModelClient:
        if self._job.model is None:
            raise ConfigError(
                "the harness asks for a model, and there is no service",
                where=self._job.plan.name,
                hint="give its solver a `service`",
            )
        return self._job.model

    def _context(self, key: RolloutKey, part: str = "") -> CallContext:
        state = self._index.rollouts.get(key)
        return CallContext(
            session=f"{self._job.plan.slug}/{key.problem_idx}/{key.repeat}{part}",
            benchmark=self._job.plan.slug,
            problem_idx=key.problem_idx,
            repeat=key.repeat,
            attempt=(state.attempts if state else 0) + 1,
        )

    def _answer(self, key: RolloutKey, named: str) -> Answer | None:
        """What was answered before, in this invocation or an earlier one."""
        known = self._known.get(key, {}).get(named)
        offset = self._index.called.get((*key, named))
        if known is not None or offset is None or self._reader is None:
            return known
        event = self._reader.at(offset)
        return event.answer if isinstance(event, Called) else None

    async def _ask_model(self, key: RolloutKey, named: str, request: Request) -> Answer:
        if not await self._budget.admit():
            raise RunBudgetExceeded("the run is stopping")
        context = self._context(key, f"/{named}")
        problem = Problem(idx=key.problem_idx, requests=(request,))
        answer: Answer | None = None
        spent = NOTHING
        try:
            asker = Asker(self._client, context, problem, system=None, params=None)
            answer = await asker.answer(request)
            used = asker.used
            if not used.cached:
                spent = Spent(used.usage, used.cost_usd, asker.calls, used.tries)
            self._latency[key] = self._latency.get(key, 0.0) + used.latency_ms
        finally:
            self._budget.release()
            if answer is None:  # paid for all the same
                self._count_beside(of_session(self._client.ledger.session(context)))
            self._client.end_session(context)
        self._budget.attempted(spent)
        self._journal.append(
            Called(
                problem_idx=key.problem_idx,
                repeat=key.repeat,
                request=named,
                at=time.time(),
                answer=answer,
                usage=spent.usage,
                cost_usd=spent.usd,
                calls=spent.calls,
                tries=spent.tries,
            )
        )
        return answer


def request_digest(request: Request) -> str:
    """Names a request in the journal."""
    text = msgspec.json.encode(request, order="sorted", enc_hook=str)
    return hashlib.sha256(text).hexdigest()[:16]
