"""The connection to a Ray cluster: one that runs, or one of this machine for this run alone."""

from __future__ import annotations

import contextlib
import importlib.util
import logging
import os
import socket
from collections.abc import Iterator
from typing import Any

from ...config.ray_cluster import RayCluster
from ...errors import ConfigError

LOCAL = "local"
LOOPBACK = "127.0.0.1"
CLIENT = "ray://"
ANSWER_SECONDS = 10.0
INSTALL = "pip install 'nemo-evaluator[ray]'"


def installed() -> bool:
    """Whether the package is there."""
    return importlib.util.find_spec("ray") is not None


@contextlib.contextmanager
def connected(cluster: RayCluster) -> Iterator[None]:
    """A connection while the block lasts. Raises ConfigError."""
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    import ray

    address = cluster.address or os.environ.get("RAY_ADDRESS") or LOCAL
    more: dict[str, Any] = {}
    if address == LOCAL:
        more = {"include_dashboard": False, "_node_ip_address": LOOPBACK}
    if cluster.runtime_env:
        more["runtime_env"] = cluster.runtime_env
    elif (what := _unreachable(address)) is not None:
        raise _unusable(address, what)
    try:
        ray.init(address=address, log_to_driver=False, logging_level=logging.ERROR, **more)
    except Exception as error:  # of many kinds, each with a page of advice
        first = next(iter(str(error).strip().splitlines()), type(error).__name__)
        raise _unusable(address, first) from None
    try:
        yield
    finally:
        with contextlib.suppress(Exception):  # what is lost needs no farewell
            ray.shutdown()


def _unusable(address: str, why: str) -> ConfigError:
    what = f"the Ray cluster {address!r} cannot be used: {why}"
    hint = "start one (ray start --head), or set it to local for one of this machine"
    return ConfigError(what, where="cluster.address", hint=hint)


def _unreachable(address: str) -> str | None:
    """Why nothing answers at ``HOST:PORT``: Ray itself would ask for minutes."""
    host, _, port = address.removeprefix(CLIENT).rpartition(":")
    if not host or not port.isdecimal():
        return None
    try:
        socket.create_connection((host, int(port)), timeout=ANSWER_SECONDS).close()
    except (OSError, OverflowError) as error:
        return getattr(error, "strerror", None) or str(error)
    return None


def misfit(cluster: RayCluster) -> str | None:
    """Why no node can run a shard now, if so; one may come."""
    import ray

    asked = {"CPU": cluster.num_cpus, "GPU": cluster.num_gpus, **cluster.resources}
    nodes = [node["Resources"] for node in ray.nodes() if node.get("Alive", True)]
    if any(all(node.get(name, 0) >= n for name, n in asked.items()) for node in nodes):
        return None
    wanted = ", ".join(f"{name} {number:g}" for name, number in asked.items() if number)
    return f"no node of the cluster has what a shard asks for ({wanted}): it waits for one"
