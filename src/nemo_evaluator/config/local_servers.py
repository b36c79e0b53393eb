"""The servers that are started where the run itself runs: on one machine, whose ports and GPUs they
share. What one machine cannot give them is refused before anything is started."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence

from .agents import ServerFields
from .cluster import LocalCluster, SlurmCluster
from .custom_service import CustomService
from .document import Document
from .mistakes import Mistake
from .needed_services import needed_services
from .servers import DynamoService, ManagedModelFields

ONE_MACHINE = "a run on one machine has one node"
MANY = 64
"""More GPUs than the numbers that somebody says take away."""
VISIBLE = "CUDA_VISIBLE_DEVICES"
STARTED = "NEL_SERVICE_URLS"
"""Names the servers that the job around this process has started, on nodes of its own."""


def machine_problems(config: Document) -> Iterator[Mistake]:
    """What one machine cannot give the servers of a configuration."""
    if isinstance(config.cluster, SlurmCluster) or os.environ.get(STARTED):
        return
    for name, service in _servers(config).items():
        yield from _nodes(name, service)
    yield from _ports(config)
    yield from _gpu_problems(config)


def gpus_by_service(
    config: Document, mine: Sequence[int] | None = None
) -> dict[str, tuple[int, ...]]:
    """The numbers of the GPUs that each model server gets, where that is to be decided: by its
    ``gpus``, else the next ones of those that may be used, or of ``mine``. A server that is alone
    and says nothing takes what it finds."""
    allowed, servers = _allowed(config) if mine is None else mine, _servers(config)
    if allowed is None and os.environ.get(VISIBLE):  # by other names than numbers
        servers = {name: s for name, s in servers.items() if isinstance(s.gpus, list)}
    named = {name: s.gpus for name, s in servers.items() if isinstance(s.gpus, list)}
    found = {name: tuple(gpus) for name, gpus in named.items()}
    open_ones = {name: s for name, s in servers.items() if name not in found}
    if allowed is None and len(servers) == 1 and not any(map(_needed, open_ones.values())):
        return found
    taken = {gpu for gpus in found.values() for gpu in gpus}
    free = [gpu for gpu in allowed or _numbers(config) if gpu not in taken]
    if allowed is not None and len(open_ones) == 1 and not any(map(_needed, open_ones.values())):
        return {**found, **{name: tuple(free) for name in open_ones}}
    for name, service in open_ones.items():
        count = _needed(service) or service.instances
        found[name], free = tuple(free[:count]), free[count:]
    return found


def gpus_to_choose(config: Document) -> tuple[int, set[int]]:
    """How many GPUs the servers without `gpus` take, and the numbers that the others name."""
    servers = _servers(config).values()
    named = {gpu for server in servers if isinstance(server.gpus, list) for gpu in server.gpus}
    chosen = (server for server in servers if not isinstance(server.gpus, list))
    return sum(_needed(server) or server.instances for server in chosen), named


def _servers(config: Document) -> dict[str, ManagedModelFields]:
    """The model servers that the run needs."""
    managed = config.managed_services()
    return {name: managed[name] for name in needed_services(config) if name in managed}


def _needed(service: ManagedModelFields) -> int:
    """GPUs of all its servers; 0 where nothing says."""
    if service.gpu_count is not None:
        return service.gpu_count
    if isinstance(service, DynamoService) and service.prefill is not None:
        roles = (service.prefill, service.decode)
        return sum(role.num_workers * service.worker_size(role) for role in roles if role)
    return (service.world_size or 0) * service.instances


def _allowed(config: Document) -> Sequence[int] | None:
    """The GPUs that servers may use, where somebody says."""
    if isinstance(config.cluster, LocalCluster) and config.cluster.gpus is not None:
        return config.cluster.gpus
    visible = [word.strip() for word in os.environ.get(VISIBLE, "").split(",")]
    return [int(word) for word in visible] if all(map(str.isdecimal, visible)) else None


def _numbers(config: Document) -> Sequence[int]:
    """Numbers for all servers of a machine about whose GPUs nothing is known."""
    return range(sum(_needed(s) or s.instances for s in _servers(config).values()) + MANY)


def _nodes(name: str, service: ManagedModelFields) -> Iterator[Mistake]:
    if service.num_nodes > 1:
        yield Mistake(("services", name, "num_nodes"), ONE_MACHINE, "use cluster: {type: slurm}")
    if isinstance(service, DynamoService):
        for role in ("prefill", "decode"):
            worker = getattr(service, role)
            if worker is not None and worker.num_nodes > 1:
                path = ("services", name, role, "num_nodes")
                yield Mistake(path, ONE_MACHINE, "use cluster: {type: slurm}")


def _ports(config: Document) -> Iterator[Mistake]:
    """Two servers that are both told the same port."""
    owners: dict[int, str] = {}
    for name in needed_services(config):
        service = config.services[name]
        started = isinstance(service, ManagedModelFields | CustomService) or (
            isinstance(service, ServerFields) and service.url is None
        )
        port = getattr(service, "port", None)
        if not started or port is None or "port" not in service.model_fields_set:
            continue
        for each in range(port, port + getattr(service, "instances", 1)):
            other = owners.setdefault(each, name)
            if other != name:
                what = f"port {each} is that of {other!r} too"
                yield Mistake(("services", name, "port"), what, "leave out port to take a free one")
                break


def _gpu_problems(config: Document) -> Iterator[Mistake]:
    allowed = _allowed(config)
    given: Mapping[str, tuple[int, ...]] = gpus_by_service(config)
    for name, service in _servers(config).items():
        path = ("services", name, "gpus")
        strange = [gpu for gpu in given.get(name, ()) if allowed is not None and gpu not in allowed]
        needed = _needed(service)
        if strange:
            where = "cluster.gpus" if _of_cluster(config) else VISIBLE
            yield Mistake(path, f"{strange[0]} is not one of the GPUs that {where} names")
        elif name in given and needed > len(given[name]):
            left = len(given[name])
            what = f"needs {needed} GPUs, {left} of those that may be used are left"
            yield Mistake(path, what, "give it fewer, or name more in cluster.gpus")


def _of_cluster(config: Document) -> bool:
    return isinstance(config.cluster, LocalCluster) and config.cluster.gpus is not None
