"""The contract for an evaluation that insists on its own loop: it asks and grades by itself.

The engine plans its samples, gives it a door to the model, and journals what it hands back, rollout
by rollout; so a run of it is resumed, counted, budgeted and reported like any other.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, runtime_checkable

from ..asked import Answer, Request
from ..http.listener import Listener
from ..measured import Measure, Measures
from ..traffic.door.sessions import Endpoint
from ..traffic.types import CallContext
from ..types import ErrorInfo, Generation, Json, Problem, Record, RolloutKey, Score, Solution
from .scored import ScoredProblem

if TYPE_CHECKING:
    from ..traffic.client import Model


class Finished(Record, frozen=True, kw_only=True):
    """One rollout that a harness is done with."""

    key: RolloutKey
    solution: Solution
    """``usage`` counts what did not go through the tools; what did is counted by us."""
    score: Score | None = None
    """The verdict; None where there is none, then ``error`` says why."""
    error: ErrorInfo | None = None
    problem: Problem | None = None
    """What was asked, for the results."""


class HarnessTools(Protocol):
    """What a harness may use while it runs."""

    @property
    def folder(self) -> Path:
        """For files of its own, kept for ``--resume``."""

    @property
    def model(self) -> str | None:
        """The model's id; None without a service."""

    @property
    def concurrency(self) -> int:
        """How many rollouts to have under way (``max_concurrent``)."""

    @property
    def stopping(self) -> asyncio.Event:
        """Set where the run is to end: finish what is in flight, begin nothing."""

    @property
    def protocol(self) -> str | None:
        """What its service is asked over: ``chat_completions``, ``completions`` …"""

    async def endpoint(
        self,
        key: RolloutKey | None = None,
        *,
        listener: Listener | None = None,
        answers: Path | None = None,
    ) -> Endpoint:
        """A door to the model over HTTP: through the interceptors, cache, budget and log as for
        everybody; on a ``listener`` that was made inside a sandbox, there. What is used there is
        counted to the rollout, or to none. ``answers``: a file in which the answers to the rollout
        are kept, for a program that asks everything again when it is run again: the nth equal
        question gets the nth answer. Raises ConfigError without a service."""

    async def call(self, key: RolloutKey, request: Request) -> Answer:
        """One question of a rollout. Journaled when it is answered, and answered from the journal
        when it is asked again: after a crash nothing is paid twice."""


@dataclass(frozen=True, slots=True)
class Meeting:
    """The model that will be asked, before anything is planned."""

    model: Model | None = None
    """None where there is no service."""
    context: CallContext | None = None
    """None: nothing may be asked (a dry run)."""
    tokenizer: str | None = None
    """``tokenizer`` of the service."""
    address: str = ""
    """Its base URL, without credentials."""
    max_problems: int | None = None
    """How many problems of the benchmark will be asked, the first of its order; None: all."""
    folder: Path = Path()
    """For files of a harness's own (``HarnessTools.folder``); it need not exist yet."""

    @property
    def protocol(self) -> str | None:
        """The protocol that the model is asked over."""
        return None if self.model is None else self.model.protocol

    async def generate(self, prompt: str, params: Mapping[str, Json]) -> Generation:
        """One question, to find out what the endpoint can do. Raises what a model raises."""
        assert self.model is not None and self.context is not None
        return await self.model.generate(prompt=prompt, params=params, context=self.context)


@runtime_checkable
class MeetsModel(Protocol):
    """What asks other questions of other endpoints. A harness, or an environment, may be one."""

    def meet(self, meeting: Meeting) -> None:
        """Called before ``prepare``."""


@runtime_checkable
class Harness(Protocol):
    """An evaluation with its own loop."""

    name: str

    async def prepare(self) -> None:
        """Load what is needed. Raises ConfigError for what a user can fix."""

    def identity(self) -> Mapping[str, Json]:
        """What changes the meaning of its scores: versions, tasks, parameters."""

    async def plan(self) -> Sequence[str]:
        """The ids of its samples, always the same ones in the same order. The place of an id is its
        ``problem_idx``."""

    def run(self, todo: Sequence[RolloutKey], tools: HarnessTools) -> AsyncIterator[Finished]:
        """Do these rollouts, in any order, and hand back each as it is done. What is not handed
        back stays open. Raises ConfigError for what a user can fix."""

    async def aggregate(self, finished: Sequence[ScoredProblem]) -> Sequence[Measure] | Measures:
        """Measures of all rollouts that have a verdict; none where the metrics are means."""

    async def close(self) -> None:
        """Release what prepare acquired; safe to call twice."""


@runtime_checkable
class KeepsOrder(Protocol):
    """A harness whose samples are asked in its own order, and cut from its end."""

    in_order: bool


@runtime_checkable
class TakesSolver(Protocol):
    """A harness with settings of its own under ``solver``."""

    def take(self, solver: object) -> bool:
        """Whether these are its settings; then it goes by them."""
