"""Checks of a document that is to run on Slurm: pools exist, are large enough, and shards fit."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from ..errors import suggest
from .cluster import SlurmCluster
from .document import Document
from .mistakes import Mistake
from .services import DynamoService, ManagedModelFields
from .tree import KeyPath
from .walltime import walltime_seconds


def slurm_checks(config: Document) -> Iterator[Mistake]:
    """Every problem with node pools; nothing where the cluster is another one."""
    cluster = config.cluster
    if not isinstance(cluster, SlurmCluster):
        return
    used = list(pools_of(config))
    for path, pool in used:
        if pool not in cluster.node_pools:
            yield Mistake(
                path, f"there is no node pool {pool!r}", suggest(pool, cluster.node_pools)
            )
    yield from _sizes(config, cluster)
    if cluster.shards is not None and len({pool for _, pool in used}) > 1:
        what = "shards are incompatible with heterogeneous jobs (several node pools are used)"
        yield Mistake(("cluster", "shards"), what, "use one pool, or no shards")
    if cluster.shards is not None and config.gate is not None:
        what = "cannot be decided on shards: each has a part of the answers only"
        yield Mistake(("gate",), what, "leave it out, and use nel gate on the merged run")
    if cluster.hostname is not None and not Path(config.output.dir).is_absolute():
        what = f"must be absolute with cluster.hostname (got {config.output.dir!r})"
        yield Mistake(("output", "dir"), what)


def slurm_warnings(config: Document) -> Iterator[str]:
    """What may not fit into the time limit of a job."""
    if not isinstance(config.cluster, SlurmCluster):
        return
    starts = [getattr(service, "startup_timeout", 0.0) for service in config.services.values()]
    longest = max((benchmark.timeout for benchmark in config.benchmarks), default=0.0)
    needed = max(starts, default=0.0) + longest
    if needed > walltime_seconds(config.cluster.walltime):
        yield (
            f"cluster.walltime {config.cluster.walltime} is shorter than the start of the services "
            f"and one rollout may take ({needed:g} s)"
        )


def pools_of(config: Document) -> Iterator[tuple[KeyPath, str]]:
    """Every pool that is named, with its place in the document."""
    for name, service in config.services.items():
        path: KeyPath = ("services", name)
        records: list[tuple[KeyPath, object]] = [(path, service)]
        if isinstance(service, DynamoService):
            records += [((*path, role), getattr(service, role)) for role in ("prefill", "decode")]
        for where, record in records:
            if pool := getattr(record, "node_pool", None):
                yield (*where, "node_pool"), pool
    for name, sandbox in config.sandboxes.items():
        if pool := getattr(sandbox, "node_pool", None):
            yield ("sandboxes", name, "node_pool"), pool
    for index, benchmark in enumerate(config.benchmarks):
        if pool := getattr(benchmark.sandbox, "node_pool", None):
            yield ("benchmarks", index, "sandbox", "node_pool"), pool


def _sizes(config: Document, cluster: SlurmCluster) -> Iterator[Mistake]:
    wide: dict[str, str] = {}
    for name, service in config.services.items():
        if not isinstance(service, ManagedModelFields) or service.node_pool is None:
            continue
        pool = cluster.node_pools.get(service.node_pool)
        if pool is None:
            continue
        path = ("services", name)
        gpus = gpus_of(pool.gres) if pool.gpus_per_node is None else pool.gpus_per_node
        count, needed = service.num_nodes, service.tensor_parallel_size or 1
        if gpus is not None and gpus * count < needed:
            have = "a node of {} has" if count == 1 else f"{count} nodes of {{}} have"
            what = f"needs {needed} GPUs, {have.format(repr(service.node_pool))}"
            yield Mistake((*path, "tensor_parallel_size"), f"{what} {gpus * count}")
        if service.num_nodes > pool.nodes:
            what = f"needs {service.num_nodes} nodes, the pool {service.node_pool!r} has"
            yield Mistake((*path, "num_nodes"), f"{what} {pool.nodes}")
        if service.num_nodes > 1:
            first = wide.setdefault(service.node_pool, name)
            if first != name:
                what = f"{first!r} takes several nodes of the pool {service.node_pool!r} already"
                yield Mistake((*path, "node_pool"), what, "give each its own pool")


def gpus_of(gres: str | None) -> int | None:
    """GPUs in ``gpu:8`` or ``gpu:h100:8``; None where it does not say."""
    match = re.fullmatch(r"gpu(?::[^:]+)?:(\d+)", gres or "")
    return int(match[1]) if match else None
