"""What the exporters to trackers share: the script in an interpreter that has the tracker's
package, and the numbers that a tracker is told of a benchmark.
"""

from __future__ import annotations

import math
import os
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

from ..config.base import ConfigRecord
from ..errors import ConfigError
from ..foreign import ForeignError, Wanted, Worker, WorkerLost, find_interpreter
from ..results.published import Published
from ..results.tables import plain_text
from ..types import Json

VARIABLE = "NEL_EXPORT_PYTHON"
BATCH = 200
"""Rollouts that are handed over at once."""
MESSAGE = 600


class TrackerOptions(ConfigRecord):
    """What every exporter to a tracker has."""

    python: str | None = None
    """An interpreter that has the tracker's package; null: this one, or `NEL_EXPORT_PYTHON`."""


def wanted(package: str, version: tuple[int, int]) -> Wanted:
    """A tracker's package, as it is looked for."""
    return Wanted(
        package=package, version=version, python=(3, 10), variable=VARIABLE, where="python"
    )


@asynccontextmanager
async def tracker(
    package: Wanted, script: Path, python: str | None, env: Mapping[str, str]
) -> AsyncIterator[Worker]:
    """The script, running. ``env``: what is set for it, where the environment does not say.

    Raises ConfigError where there is no such package, and for what its calls raise.
    """
    found = await find_interpreter(package, python)
    try:
        worker = await Worker.start(
            script, python=found.python, name=package.package, env={**env, **os.environ}
        )
        try:
            yield worker
        finally:
            await worker.close()
    except (ForeignError, WorkerLost) as error:
        raise ConfigError(" ".join(str(error).split())[:MESSAGE]) from None


def numbers(bundle: Published) -> dict[str, float]:
    """Every number of a benchmark by a name: metrics as the bundle names them, with their
    intervals, coverage, categories, tokens, cost and times."""
    found: dict[str, float | None] = {}
    for name, measure in bundle.metrics.items():
        found[name] = measure.value
        found[f"{name}_ci_lower"] = measure.ci_lower
        found[f"{name}_ci_upper"] = measure.ci_upper
        found[f"{name}_stderr"] = measure.stderr
    for breakdown, groups in bundle.categories.items():
        found |= {f"{breakdown}/{group}": one.value for group, one in groups.items()}
    used = bundle.runtime
    found |= {
        "coverage": bundle.coverage,
        "n_scored": bundle.n_scored,
        "n_rollouts": bundle.n_rollouts,
        "total_tokens": used.total_tokens,
        "prompt_tokens": used.total_prompt_tokens,
        "completion_tokens": used.total_completion_tokens,
        "cost_usd": used.cost_usd,
        "elapsed_seconds": used.elapsed_seconds,
        "tokens_per_second": used.tokens_per_second,
        "latency_p50_ms": used.latency_percentiles_ms.get("p50"),
        "ttft_p50_ms": used.ttft_percentiles_ms.get("p50"),
    }
    return {
        name: float(value)
        for name, value in found.items()
        if value is not None and math.isfinite(value)
    }


def facts(bundle: Published, run_id: str) -> dict[str, Json]:
    """What a benchmark of a run is: what trackers keep as parameters."""
    fields: dict[str, Json] = {
        "run_id": run_id,
        "benchmark": bundle.name,
        "model": bundle.model,
        "timestamp": bundle.created,
        "sdk_version": bundle.version,
        "config_hash": bundle.digest,
        "n_results": bundle.n_scored,
        "samples": bundle.n_problems,
        "repeats": bundle.repeats,
        "headline": bundle.headline,
        "solver": bundle.solver,
        "service": bundle.service,
        "simulated": bundle.simulated,
    }
    for name in ("temperature", "top_p", "max_tokens", "seed", "system_prompt"):
        fields[name] = bundle.config.get(name)
    return {name: value for name, value in fields.items() if value is not None}


def flattened(config: Json, depth: int, prefix: str = "") -> dict[str, str]:
    """A nested configuration as dotted names; what is nested deeper stands as JSON.

    >>> flattened({"a": {"b": [1, 2]}}, 2)
    {'a.b': '[1,2]'}
    """
    inner: list[tuple[str, Json]] = []
    if isinstance(config, Mapping):
        inner = [(str(name), value) for name, value in config.items()]
    elif isinstance(config, list | tuple):
        inner = [(str(place), value) for place, value in enumerate(config)]
    if not inner or depth == 0:
        return {prefix: plain_text(config) or "null"} if prefix else {}
    found: dict[str, str] = {}
    for name, value in inner:
        found |= flattened(value, depth - 1, f"{prefix}.{name}" if prefix else name)
    return found
