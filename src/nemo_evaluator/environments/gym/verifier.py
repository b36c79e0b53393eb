"""``verifier: NAME`` of a benchmark: its problems, with the verdicts of a gym.

Invariant: where the gym gives no verdict there is none; the benchmark's own scorer is never asked.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

import msgspec

from ...services.contract import OpenServer
from ...services.gym_wire import input_of
from ...types import Json, Problem, Score, Solution
from ..contract import Aggregates, Environment, Needs, VerifyTools
from ..decorated import Decorated
from .environment import health_of, verdict_on
from .native import native_verdict
from .seeded import plain


class VerifiedBy(Decorated):
    """The benchmark, with a gym in the place of its scorer."""

    def __init__(self, inner: Environment, name: str, server: OpenServer) -> None:
        super().__init__(inner)
        self._server, self._service = server, name
        self._health: asyncio.Task[Mapping[str, Json]] | None = None

    @property
    def needs(self) -> Needs:
        """Nothing for verification: the gym has what it needs."""
        return msgspec.structs.replace(
            self.inner.needs, sandbox=None, judge=False, own_rubric=False, inline=False
        )

    @property
    def aggregates(self) -> Aggregates | None:
        """None: the benchmark sums up what its own scorer says."""
        return None

    async def verify(self, problem: Problem, solution: Solution, tools: VerifyTools) -> Score:
        """The gym's verdict, in the protocol that it speaks. Raises InfraError."""
        calls, health = self._server.calls, await self._gym_health()
        if "dataset_size" in health:
            known = isinstance(health.get("identity"), Mapping)
            return await verdict_on(calls, problem, solution, is_known=known)
        metadata = plain(problem.metadata)
        row = {"verifier_metadata": metadata, **metadata, "expected_answer": plain(problem.target)}
        params = {"input": await asyncio.to_thread(input_of, problem)}
        return await native_verdict(calls, row, params, solution)

    async def _gym_health(self) -> Mapping[str, Json]:
        """What the gym says of itself: asked once, by whoever comes first."""
        if self._health is None or (self._health.done() and self._health.exception()):
            self._health = asyncio.ensure_future(health_of(self._server.calls))
        return await asyncio.shield(self._health)

    async def close(self) -> None:
        """Let the benchmark release what it has; the gym is the run's."""
        if self._health is not None:
            self._health.cancel()
            await asyncio.gather(self._health, return_exceptions=True)
        await self.inner.close()

    def identity(self) -> Mapping[str, Json]:
        """The identity of the benchmark, with another scorer. What the gym does is not known
        here."""
        identity = {name: v for name, v in self.inner.identity().items() if name != "packages"}
        gym: Json = dict(self._server.identity)
        return {**identity, "scorer": f"verifier:{self._service}", "verifier": gym}
