"""The contract between the engine and whatever poses problems.

An environment seeds problems and verifies solutions. It never calls the solver and never sees
concurrency: the engine may call ``seed`` and ``verify`` for many problems at once.
"""

from __future__ import annotations

from collections.abc import Awaitable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from typing import Protocol, runtime_checkable

from ..measured import Measure, Measures
from ..sandboxes.contract import Sandbox, SandboxSpec
from ..scoring.judged import Form, Graded, JudgeRequest, Ruling
from ..types import Json, Problem, Record, Score, Solution
from .harness import Harness
from .scored import ScoredProblem as ScoredProblem


class Sandboxes(Protocol):
    """Lends sandboxes."""

    def acquire(self, spec: SandboxSpec) -> AbstractAsyncContextManager[Sandbox]:
        """A fresh sandbox for the time of the block; waits until one may be had."""


class LeftWorkspace(Sandboxes, Protocol):
    """Lends what a solver left."""

    async def let_go(self) -> None:
        """The workspace is not needed any more: make room for others. Safe to call twice."""


class Judge(Protocol):
    """The benchmark's judge during one verification."""

    async def ask(self, prompt: str, form: Form, *, system: str | None = None) -> Ruling:
        """The verdict on what the prompt shows. Raises InfraError if none can be had."""

    async def grade(self, problem: Problem, answer: str, request: JudgeRequest) -> Graded:
        """An answer's grade by the configured rubric, or the request's. Raises InfraError."""


@dataclass(frozen=True, slots=True)
class VerifyTools:
    """What a verifier may use besides the solution itself."""

    repeat: int = 0
    sandboxes: Sandboxes | None = None
    """Where untrusted code may run; None where the benchmark needs none."""
    workspace: LeftWorkspace | None = None
    """Lends what the solver left of the problem's workspace; None where it left nothing."""
    judge: Judge | None = None
    """The benchmark's judge; None if no judge is configured."""


class Needs(Record, frozen=True, kw_only=True):
    """What the engine must arrange for an environment, before anything is paid."""

    sandbox: SandboxSpec | None = None
    """The sandbox that verification runs code in."""
    judge: bool = False
    """It cannot be scored without a judge."""
    own_rubric: bool = False
    """Its scorer asks the judge by prompts of its own."""
    protocol: str | None = None
    """The only protocol its problems can be asked over (``completions``)."""
    agent: bool = False
    """Its answers are in workspaces: a solver that works in none cannot answer."""
    inline: bool = False
    """Verification is so quick that it needs no task of its own. May change during a run."""
    in_order: bool = False
    """Its problems are asked in its own order, and ``max_problems`` takes the first, unless the
    configuration sets a ``shuffle_seed``."""


NO_NEEDS = Needs()


@dataclass(frozen=True, slots=True)
class Grading:
    """What an environment gives every scorer of its answers, its own or another."""

    benchmark: str
    extra: Mapping[str, Json] = field(default_factory=dict)
    """What the scorer reads as ``sample.config``."""
    keep_reasoning: bool = False
    """Show the raw response, reasoning included."""
    sandbox: SandboxSpec | None = None
    target_field: str | None = None
    """Where the target stands in the row; None where the metadata is not the row."""

    def metadata(self, problem: Problem) -> Mapping[str, Json]:
        """The whole row, the target included; what a ``seed_fn`` gave as it is."""
        if self.target_field is None:
            return problem.metadata
        return {self.target_field: problem.target, **problem.metadata}


@runtime_checkable
class Staged(Protocol):
    """What an environment also is whose problems go on after an answer (``Problem.goes_on``)."""

    async def next_stage(
        self, problem: Problem, sandbox: Sandbox
    ) -> tuple[Mapping[str, Json], Problem | None]:
        """What became of a stage, by the workspace it was solved in, where nothing of the agent
        runs any more; and the next stage, or None if it ends here. What became of all stages stands
        under ``stages`` in the details of the solution that is verified. Raises InfraError."""


class Aggregates(Protocol):
    """Sums up rows whose metrics are no means of theirs."""

    def __call__(
        self, rows: Sequence[ScoredProblem], /
    ) -> Sequence[Measure] | Measures | Awaitable[Sequence[Measure] | Measures]:
        """The measures of all rollouts that have a verdict, in (problem, repeat) order. Called in a
        thread, once the rollouts are over."""


@runtime_checkable
class Environment(Protocol):
    """Where problems come from and how an answer is verified.

    A class of one's own may derive from it: then what most do not need has its default.
    """

    name: str

    @property
    def needs(self) -> Needs:
        """What must be there before a problem is asked."""
        return NO_NEEDS

    @property
    def grading(self) -> Grading:
        """What any scorer of its answers is given."""
        return Grading(self.name)

    @property
    def aggregates(self) -> Aggregates | None:
        """What sums up its rows; None where its metrics are means."""
        return None

    @property
    def harness(self) -> Harness | None:
        """The environment's own loop, where it has one; None: the engine asks, and has answers
        verified."""
        return None

    async def prepare(self) -> None:
        """Load what is needed (datasets, files). Raises ConfigError for what a user can fix."""

    async def size(self) -> int:
        """Number of problems; valid indices are ``range(size)``."""

    async def seed(self, idx: int) -> Problem:
        """The problem at a dataset index. Deterministic: the same index, the same problem."""

    async def verify(self, problem: Problem, solution: Solution, tools: VerifyTools) -> Score:
        """The verdict. Raises InfraError if none can be had; never turns that into a reward."""

    def identity(self) -> Mapping[str, Json]:
        """Everything that changes what a score means, under readable keys: dataset id, resolved
        revision, content digest, prompt digest, scorer digest, parameters. Valid after prepare."""

    async def close(self) -> None:
        """Release what prepare acquired; safe to call twice."""


@runtime_checkable
class Reached(Protocol):
    """An environment whose name another program knows."""

    async def reach(self) -> None:
        """Ask for the name; called once, before anything else. Raises ConfigError."""

    async def close(self) -> None:
        """See ``Environment.close``."""
