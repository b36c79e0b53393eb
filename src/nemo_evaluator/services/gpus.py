"""Which GPUs the servers of a shard get: several shards of a run may be on one machine, and each
takes those that no other one has. Where a scheduler gave the process its own, these are used."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path

from ..config.cluster import LocalCluster
from ..config.document import Document
from ..config.local_servers import STARTED, VISIBLE, gpus_by_service, gpus_to_choose
from ..errors import ConfigError
from .machine_claims import claimed

KIND = "gpus"
DEVICES = Path("/dev")
MANY = 1024
"""GPUs of a machine that does not say how many it has."""


def gpus_of_a_shard(config: Document, held: ExitStack) -> Mapping[str, tuple[int, ...]]:
    """The numbers of the GPUs of each service; no other shard on the machine gets them until
    ``held`` is closed. Raises ConfigError where there are too few."""
    count, named = gpus_to_choose(config)
    given = VISIBLE in os.environ or bool(os.environ.get(STARTED))
    if not count or given or not isinstance(config.cluster, LocalCluster):
        return gpus_by_service(config)
    mine: list[int] = []
    for gpu in (number for number in _pool(config.cluster) if number not in named):
        if len(mine) < count and (claim := claimed(KIND, [gpu])) is not None:
            held.enter_context(claim)
            mine.append(gpu)
    if len(mine) < count:
        what = f"its servers need {count} GPUs, and other shards on this machine leave {len(mine)}"
        hint = f"run fewer shards at once, or give each its own GPUs ({VISIBLE})"
        raise ConfigError(what, where="services", hint=hint)
    return gpus_by_service(config, mine)


def _pool(cluster: LocalCluster) -> Sequence[int]:
    if cluster.gpus is not None:
        return cluster.gpus
    names = (re.fullmatch(r"nvidia(\d+)", path.name) for path in DEVICES.iterdir())
    return sorted(int(name[1]) for name in names if name is not None) or range(MANY)
