"""The contract between the engine and whatever poses problems.

An environment seeds problems and verifies solutions. It never calls the solver and never sees
concurrency: the engine may call ``seed`` and ``verify`` for many problems at once.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from ..sandboxes.contract import Sandbox, SandboxSpec
from ..scoring.judged import Form, Graded, JudgeRequest, Ruling
from ..types import Json, Problem, Score, Solution


class Sandboxes(Protocol):
    """Lends sandboxes."""

    def acquire(self, spec: SandboxSpec) -> AbstractAsyncContextManager[Sandbox]:
        """A fresh sandbox for the time of the block; waits until one may be had."""


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
    judge: Judge | None = None
    """The benchmark's judge; None if no judge is configured."""


@runtime_checkable
class Environment(Protocol):
    """Where problems come from and how an answer is verified."""

    name: str

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
