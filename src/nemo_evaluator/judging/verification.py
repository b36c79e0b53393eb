"""The judge calls of one verification: which judge was asked, what it cost, what is kept.

Every reply is written to the benchmark's file of judgements and counted against the run's budget
as it comes, whatever becomes of the verification.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine, Iterable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, TypeVar

from ..errors import InfraError
from ..results.judgements import Judgement, JudgementFile, JudgeTotals
from ..results.layout import JUDGEMENTS
from ..traffic.client import ModelClient
from ..traffic.types import CallContext
from ..types import Failure, Generation, Json, Phase, Usage

T = TypeVar("T")
Spend = Callable[[Usage, float | None], None]


def no_budget(_usage: Usage, _cost: float | None) -> None:
    """No budget is attached."""


class JudgeFile:
    """State shared by all verifications of one benchmark."""

    def __init__(self, folder: Path, spend: Spend = no_budget) -> None:
        """``spend`` is told the tokens and US dollars of every reply that was paid for."""
        self.slug = folder.name
        self.file = JudgementFile(folder / JUDGEMENTS)
        self.spend = spend
        self.locks: dict[str, asyncio.Lock] = {}
        self._earlier: JudgementFile | None = None

    def remember(self, path: Path) -> None:
        """Use what was said in an earlier run; what is used becomes part of this one."""
        self._earlier = JudgementFile(path)

    def find(self, key: str) -> Generation | None:
        """A reply that was paid for earlier. Raises InfraError if it cannot be written."""
        kept = self.file.find(key)
        if kept is not None or self._earlier is None:
            return kept
        judgement = self._earlier.judgement(key)
        if judgement is None:
            return None
        self.write(judgement)
        return judgement.reply

    def write(self, judgement: Judgement) -> None:
        """Keep a reply. Raises InfraError if it cannot be written."""
        try:
            self.file.append(judgement)
        except OSError as error:
            raise InfraError(
                f"a judgement cannot be written: {error.strerror or error}",
                kind=Failure.INFRA_ERROR,
                phase=Phase.VERIFY,
            ) from error

    def verification(self, problem_idx: int, repeat: int) -> Verification:
        """The judging of one verification, opened. The caller must close it."""
        return Verification(self, problem_idx, repeat)

    def close(self) -> None:
        """Close the file. Safe to call twice."""
        self.file.close()


class Verification:
    """The judges of one verification are asked through it."""

    def __init__(self, judge_file: JudgeFile, problem_idx: int, repeat: int) -> None:
        self._file = judge_file
        self.problem_idx, self.repeat = problem_idx, repeat
        self.totals = JudgeTotals()
        self.disagreement: bool | None = None
        """Whether judges, or one judge in two orders, contradicted each other; None: never asked
        twice."""
        self._models: dict[str, None] = {}
        self._clients: dict[int, ModelClient] = {}
        self._latency_ms = 0.0

    def context(self, client: ModelClient, kind: str = "judge") -> CallContext:
        """The call context: the session that a call belongs to."""
        self._clients[id(client)] = client
        return CallContext(
            session=f"{self._file.slug}/{self.problem_idx}/{self.repeat}/{kind}",
            benchmark=self._file.slug,
            problem_idx=self.problem_idx,
            repeat=self.repeat,
        )

    def find(self, key: str) -> Generation | None:
        """A reply that was paid for earlier."""
        return self._file.find(key)

    def unreadable(self, key: str) -> int:
        """How many replies to this could not be read, ever."""
        return self._file.file.unreadable(key)

    @asynccontextmanager
    async def alone(self, key: str) -> AsyncIterator[None]:
        """For what only one verification at a time shall ask, and the others find."""
        lock = self._file.locks.setdefault(key, asyncio.Lock())
        try:
            async with lock:
                yield
        finally:
            if not lock.locked():
                self._file.locks.pop(key, None)

    def note(self, key: str, client: ModelClient, reply: Generation, *, readable: bool) -> None:
        """Keep a new reply, and count it. Raises InfraError if it cannot be written."""
        session = f"{self._file.slug}/{self.problem_idx}/{self.repeat}"
        judgement = Judgement(
            key=key, session=session, service=client.service_name, readable=readable, reply=reply
        )
        if not reply.cached:
            self._file.spend(reply.usage, reply.cost_usd)
        self._file.write(judgement)
        self.used(client, reply, readable=readable)

    def used(self, client: ModelClient, reply: Generation, *, readable: bool = True) -> None:
        """A reply the verdict rests on, new or kept."""
        self._models[reply.model or client.name] = None
        self.totals.add(reply, readable=readable)
        self._latency_ms += reply.latency_ms

    def disagreed(self, differ: bool) -> None:
        """Note that two judgements of the same were compared."""
        self.disagreement = bool(self.disagreement) or differ

    def account(self) -> dict[str, Json]:
        """The ``judge`` entry of the score's details; empty if no judge was asked."""
        totals = self.totals
        if not totals.calls:
            return {}
        models = list(self._models)
        return {
            "model": models[0] if len(models) == 1 else models,
            "calls": totals.calls,
            "tokens": totals.prompt_tokens + totals.completion_tokens,
            "cost_usd": totals.cost_usd,
            "latency_ms": round(self._latency_ms, 3),
            **({"unreadable": totals.unreadable} if totals.unreadable else {}),
            **({} if self.disagreement is None else {"disagreement": self.disagreement}),
        }

    def close(self) -> None:
        """End the sessions: no more calls will follow."""
        for client in self._clients.values():
            for kind in ("judge", "baseline"):
                client.end_session(self.context(client, kind))


async def together(parts: Iterable[Coroutine[Any, Any, T]]) -> list[T]:
    """The results of all; where one fails the others are stopped, and its error is raised."""
    tasks = [asyncio.ensure_future(part) for part in parts]
    try:
        return await asyncio.gather(*tasks)
    except BaseException:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        raise
