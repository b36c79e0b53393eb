"""Serves the simulated model, with the answers of a benchmark where one is named."""

from __future__ import annotations

from ..config.services import SimulatedService
from ..environments.registry import resolve
from ..services.simulated.model import SimulatedModel
from ..types import Json


async def serve_simulated(
    service: SimulatedService, *, bench: str | None, host: str, port: int
) -> None:
    """Serve until cancelled. Raises ConfigError for an unknown benchmark or a port in use."""
    from ..errors import ConfigError
    from ..services.simulated.server import serve

    targets = await _targets(bench) if bench else {}
    try:
        await serve(SimulatedModel(service, targets), host=host, port=port)
    except OSError as error:
        raise ConfigError(f"cannot listen: {error.strerror}", where=f"{host}:{port}") from None


async def _targets(bench: str) -> dict[str, Json]:
    targets: dict[str, Json] = {}
    for environment in resolve(bench, params={}):
        await environment.prepare()
        for idx in range(await environment.size()):
            problem = await environment.seed(idx)
            targets[problem.prompt.strip()] = problem.target
        await environment.close()
    return targets
