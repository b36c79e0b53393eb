"""Serves the simulated model, with the right answers of benchmarks where some are named."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from ..config.services import SimulatedService
from ..environments.registry import resolve
from ..services.simulated.model import SimulatedModel
from ..services.simulated.server import serve
from ..traffic.dialects.contract import text_of
from ..types import Json, Problem


async def serve_simulated(
    service: SimulatedService,
    *,
    benches: Sequence[str],
    host: str,
    port: int,
    vary_repeats: bool,
    announce: Callable[[str], None],
) -> None:
    """Serve until interrupted. Raises ConfigError for an unknown benchmark or a port in use."""
    targets: dict[str, Json] = {}
    for bench in benches:
        targets |= await _targets(bench)
    model = SimulatedModel(service, targets, vary_repeats=vary_repeats)
    await serve(model, host=host, port=port, announce=announce)


async def _targets(bench: str) -> dict[str, Json]:
    """Target by what a request of the problem ends with: the last text of its user."""
    targets: dict[str, Json] = {}
    for environment in resolve(bench, params={}):
        await environment.prepare()
        for idx in range(await environment.size()):
            problem = await environment.seed(idx)
            targets[_question_of(problem)] = problem.target
        await environment.close()
    return targets


def _question_of(problem: Problem) -> str:
    for message in reversed(problem.messages):
        if message.get("role") == "user":
            return text_of(message.get("content")).strip()
    return problem.prompt.strip()
