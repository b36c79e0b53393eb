"""`cluster: {type: ray}`: the shards of a run are tasks of a Ray cluster."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from .base import ConfigRecord


class RayCluster(ConfigRecord):
    """A Ray cluster that runs already, or one of this machine for this run."""

    type: Literal["ray"] = "ray"
    """Kind of cluster."""
    address: str | None = None
    """``auto`` (the cluster of this machine), ``HOST:PORT``, ``ray://HOST:PORT`` or ``local`` (one
    for this run); null: ``RAY_ADDRESS`` where it is set, else ``local``."""
    shards: int = Field(4, ge=1)
    """Tasks the problems are split over."""
    num_cpus: float = Field(1.0, ge=0)
    """CPUs that Ray sets aside for a shard."""
    num_gpus: float = Field(0.0, ge=0)
    """GPUs that Ray sets aside for a shard; model servers that a shard starts see these."""
    resources: dict[str, float] = Field(default_factory=dict)
    """Further resources of the cluster that a shard needs, by name."""
    max_retries: int = Field(3, ge=0)
    """How often a shard is started again whose worker or node was lost."""
    runtime_env: dict[str, Any] = Field(default_factory=dict)
    """Ray's runtime environment of the shards, e.g. ``pip`` or ``working_dir``; without secrets."""
