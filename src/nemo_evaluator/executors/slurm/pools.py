"""Which nodes the programs of a job get: its components, and a seat for each server on them.

A service goes to the pool it names, or to the first one. Servers fill the nodes of their pool in
order; where the GPUs are counted, none is given twice.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from ...config.cluster import NodePool, SlurmCluster
from ...config.root import EvalConfig
from ...config.slurm_checks import gpus_of, pools_of
from ...services.launch import Launch, Process


@dataclass(frozen=True, slots=True)
class Seat:
    """Where an instance of a server is."""

    group: int
    """Component of the job."""
    node: int
    """The first of its nodes there."""
    devices: tuple[int, ...] = ()
    """The numbers of its GPUs; none: not said."""


@dataclass(slots=True)
class _Pool:
    gpus: int | None
    """Of each node; None: unknown."""
    used: dict[int, int] = field(default_factory=dict)
    """GPUs that are given away, by node; a node of a server with several is given as a whole."""
    whole: set[int] = field(default_factory=set)


class Seats:
    """Gives nodes to servers, in the order in which they ask."""

    def __init__(self, config: EvalConfig, cluster: SlurmCluster) -> None:
        used = dict.fromkeys(pool for _, pool in pools_of(config))
        self.names = list(used) or list(cluster.node_pools)[:1]
        """The pools of the job, in the order of its components."""
        self._cluster = cluster
        self._pools = {name: _Pool(_gpus(cluster.node_pools[name])) for name in self.names}

    def pool(self, launch: Launch, process: Process | None = None) -> str:
        """The pool of a service, or of one of its programs."""
        own = process.node_pool if process is not None else None
        return own or launch.node_pool or self.names[0]

    def seats(self, launch: Launch) -> Iterator[Mapping[str, Seat]]:
        """For each instance of a service where its programs are, by pool."""
        for number in range(launch.instances):
            wide = _width(self, launch)
            yield {
                name: self._wide(name, count)
                if count > 1 or len(wide) > 1
                else self._narrow(name, launch, number)
                for name, count in wide.items()
            }

    def nodes(self) -> dict[str, int]:
        """The nodes of each pool: those it has, or as many as the servers need."""
        pools = self._cluster.node_pools
        return {name: max(pools[name].nodes, self.taken(name)) for name in self.names}

    def taken(self, name: str) -> int:
        """How many nodes of a pool, from the first on, have servers."""
        pool = self._pools[name]
        return max([*pool.used, *pool.whole], default=-1) + 1

    def _wide(self, name: str, count: int) -> Seat:
        pool, first = self._pools[name], 0
        while any(first + i in pool.whole or pool.used.get(first + i) for i in range(count)):
            first += 1
        pool.whole |= {first + i for i in range(count)}
        return Seat(self.names.index(name), first)

    def _narrow(self, name: str, launch: Launch, number: int) -> Seat:
        pool, group = self._pools[name], self.names.index(name)
        if launch.devices:
            each = len(launch.devices) // launch.instances
            node = self._free(pool, 0, launch.gpus)
            return Seat(group, node, launch.devices[number * each : (number + 1) * each])
        node = self._free(pool, launch.gpus, launch.gpus)
        begin = pool.used.get(node, 0)
        pool.used[node] = begin + launch.gpus
        return Seat(group, node, tuple(range(begin, begin + launch.gpus)))

    @staticmethod
    def _free(pool: _Pool, wanted: int, gpus: int) -> int:
        """The first node with this many GPUs left; one that has too few at all takes none."""
        node = 0
        while node in pool.whole or (
            pool.gpus is not None and gpus <= pool.gpus < pool.used.get(node, 0) + wanted
        ):
            node += 1
        return node


def _width(seats: Seats, launch: Launch) -> dict[str, int]:
    """How many nodes of each pool one instance takes."""
    found: dict[str, int] = {}
    for process in launch.programs:
        if process.nodes:
            name = seats.pool(launch, process)
            found[name] = max(found.get(name, 0), process.first_node + process.nodes)
    return found or {seats.pool(launch): 1}


def _gpus(pool: NodePool) -> int | None:
    return pool.gpus_per_node if pool.gpus_per_node is not None else gpus_of(pool.gres)
