"""Model servers beside a run in its pod: those that have an image of their own.

They are containers that start before the run and end after it, and the run waits until they are up.
A server without an image is started by the run itself, of what is in its image.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

import msgspec

from ...config.agents import ServerFields
from ...config.docker_cluster import size_in_bytes
from ...config.kubernetes_cluster import KubernetesCluster
from ...config.load import Loaded
from ...config.mistakes import Mistake
from ...services.launch import Launch, command_of, filled, filled_process
from ...services.ports import assigned_ports
from ...types import Json
from ..servers_beside import CREDENTIALS, EVERYWHERE, launches

NEL = (sys.executable, "-m", "nemo_evaluator.cli")
"""How a `Launch` of this process calls ``nel``."""
_PROBE_SECONDS = 5


def sidecar_problems(loaded: Loaded) -> Iterator[Mistake]:
    """Servers that cannot be in a pod."""
    taken: dict[int, str] = {}
    found = _in_containers(loaded)
    ports = assigned_ports(found)
    for name, launch in found.items():
        path = ("services", name)
        if len(launch.programs) > 1 or launch.nodes > 1:
            what = "a server of several programs or nodes cannot be in the pod of a run"
            yield Mistake(path, what, "start it in the cluster, and name it as `type: api`")
        if launch.mounts:
            what = "is a folder of this machine, which no pod sees"
            hint = "have the image hold what it needs, or name the model by its hub id"
            yield Mistake(path, f"{launch.mounts[0].partition(':')[0]} {what}", hint)
        for port in range(ports[name], ports[name] + launch.instances):
            if port in taken:
                what = f"wants port {port} as {taken[port]} does: containers of a pod share theirs"
                yield Mistake((*path, "port"), what, "set another port")
            taken[port] = name


def sidecars_of(loaded: Loaded, secret: str) -> Sidecars:
    """The servers of a configuration that have an image. ``secret``: the object that will hold
    their variables."""
    cluster = loaded.config.cluster
    assert isinstance(cluster, KubernetesCluster)
    found = _in_containers(loaded)
    ports = assigned_ports(found)
    made = Sidecars(secret=secret, gpu_resource=cluster.gpu_resource)
    for name, launch in found.items():
        for instance in range(launch.instances):
            made.add(loaded, name, launch, ports[name] + instance)
    return made


@dataclass(frozen=True, slots=True)
class Sidecars:
    """The servers of a pod."""

    secret: str
    gpu_resource: str
    containers: list[dict[str, Json]] = field(default_factory=list)
    volumes: list[dict[str, Json]] = field(default_factory=list)
    urls: dict[str, list[str]] = field(default_factory=dict)
    """Where the run finds them, by service."""
    secrets: dict[str, str] = field(default_factory=dict, repr=False)
    """Their variables, under names that no other server has."""

    def add(self, loaded: Loaded, name: str, launch: Launch, port: int) -> None:
        """One server."""
        number = len(self.containers)
        container: dict[str, Json] = {"name": f"server-{number}", "image": launch.image}
        container["restartPolicy"] = "Always"  # it ends with the run
        container |= _command(loaded, name, launch, port)
        container["env"] = self._variables(number, _values(loaded, name, launch))
        container["startupProbe"] = _probe(launch, port)
        if gpus := launch.gpus or launch.programs[0].gpus:
            limits: Json = {self.gpu_resource: gpus}
            container["resources"] = {"requests": limits, "limits": limits}
        if launch.shm_size is not None:
            size = str(size_in_bytes(launch.shm_size))
            memory: Json = {"medium": "Memory", "sizeLimit": size}
            self.volumes.append({"name": f"shm-{number}", "emptyDir": memory})
            container["volumeMounts"] = [{"name": f"shm-{number}", "mountPath": "/dev/shm"}]
        self.containers.append(container)
        self.urls.setdefault(name, []).append(f"http://127.0.0.1:{port}")

    def _variables(self, number: int, values: Mapping[str, str]) -> Json:
        found: list[Json] = []
        for name, value in values.items():
            key = f"NEL_SERVER_{number}_{name}"
            self.secrets[key] = value
            reference: Json = {"secretKeyRef": {"name": self.secret, "key": key}}
            found.append({"name": name, "valueFrom": reference})
        return found


def _in_containers(loaded: Loaded) -> dict[str, Launch]:
    """What has an image, each after what it depends on; a server that listens where it will does
    so in a pod too."""
    found = {}
    for name, launch in launches(loaded).items():
        if launch.image is not None and launch.container_port is not None:
            port = launch.container_port
            launch = msgspec.structs.replace(launch, port=port, port_is_fixed=True)
        if launch.image is not None:
            found[name] = launch
    return found


def _values(loaded: Loaded, name: str, launch: Launch) -> dict[str, str]:
    passed = dict.fromkeys((*CREDENTIALS, *launch.pass_env))
    values = {key: loaded.env[key] for key in passed if loaded.env.get(key)}
    model = {"model": _model(loaded, name)}
    own = {**launch.env, **launch.programs[0].env}
    return {**values, **{key: filled(text, model) for key, text in own.items()}}


def _command(loaded: Loaded, name: str, launch: Launch, port: int) -> dict[str, Json]:
    # Whether it is up is asked from outside the pod.
    values = {"port": str(port), "host": EVERYWHERE, "model": _model(loaded, name)}
    process = filled_process(launch.programs[0], values)
    words = [*command_of(process)]
    if tuple(words[: len(NEL)]) == NEL:
        words = ["nel", *words[len(NEL) :]]
    found: dict[str, Json] = {}
    if words:
        own = launch.own_entrypoint and not process.setup
        found["args" if own else "command"] = [*words]
    if launch.folder is not None and launch.folder.startswith("/"):
        found["workingDir"] = launch.folder
    return found


def _probe(launch: Launch, port: int) -> Json:
    tries = max(1, math.ceil(launch.startup_timeout / _PROBE_SECONDS))
    probe: dict[str, Json] = {"periodSeconds": _PROBE_SECONDS, "failureThreshold": tries}
    if launch.health_path is None:
        return {"tcpSocket": {"port": port}, **probe}
    return {"httpGet": {"path": launch.health_path, "port": port}, **probe}


def _model(loaded: Loaded, name: str) -> str:
    server = isinstance(loaded.config.services[name], ServerFields)
    return name if server else loaded.config.model_id(name)
