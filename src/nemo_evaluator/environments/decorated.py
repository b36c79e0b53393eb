"""An environment around another one: all it does not change is the inner one's.

Invariant: what the engine may ask of an environment (its needs, what it gives scorers, the check of
its rows) reaches through every decorator; a new need is one field of ``Needs``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ..errors import ConfigError
from ..sandboxes.contract import Sandbox
from ..types import Json, Problem, Score, Solution
from .contract import Aggregates, Environment, Grading, Needs, Staged, VerifyTools
from .harness import Harness
from .row_checks import ChecksRows


class Decorated:
    """Forwards everything to ``inner``. Override what is different."""

    def __init__(self, inner: Environment) -> None:
        self.inner = inner
        self.name = inner.name

    @property
    def needs(self) -> Needs:
        """What the inner environment needs."""
        return self.inner.needs

    @property
    def grading(self) -> Grading:
        """What scorers of its answers are given."""
        return self.inner.grading

    @property
    def aggregates(self) -> Aggregates | None:
        """What sums up the rows of the benchmark."""
        return self.inner.aggregates

    @property
    def harness(self) -> Harness | None:
        """The loop of the benchmark, if it has its own."""
        return self.inner.harness

    async def prepare(self) -> None:
        """Load what is needed."""
        await self.inner.prepare()

    async def size(self) -> int:
        """Problems of the benchmark."""
        return await self.inner.size()

    async def check(self, order: Sequence[int]) -> None:
        """Try the rows of the benchmark, where it can. Raises ConfigError."""
        if isinstance(self.inner, ChecksRows):
            await self.inner.check(order)

    async def seed(self, idx: int) -> Problem:
        """A problem of the benchmark."""
        return await self.inner.seed(idx)

    async def next_stage(
        self, problem: Problem, sandbox: Sandbox
    ) -> tuple[Mapping[str, Json], Problem | None]:
        """What became of a stage, and the next one, of a benchmark whose problems go on."""
        if not isinstance(self.inner, Staged):
            raise ConfigError("its problems do not go on", where=self.name)
        return await self.inner.next_stage(problem, sandbox)

    async def verify(self, problem: Problem, solution: Solution, tools: VerifyTools) -> Score:
        """The benchmark's verdict."""
        return await self.inner.verify(problem, solution, tools)

    def identity(self) -> Mapping[str, Json]:
        """The identity of the benchmark."""
        return self.inner.identity()

    async def close(self) -> None:
        """Let the benchmark release what it has."""
        await self.inner.close()
