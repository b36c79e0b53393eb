"""What container a run gets: plain data, made of the configuration, before anything is started.

Nothing secret is in it: variables with values that only the run may see go over the container's
standard input (``handed_environment``), where neither ``docker inspect`` nor the process
table nor a file shows them.
"""

from __future__ import annotations

import os
import shlex
import shutil
from collections.abc import Mapping
from pathlib import Path

import yaml

from ...config.agents import GymResourceService
from ...config.docker_cluster import DockerCluster, size_in_bytes
from ...config.load import Loaded
from ...config.mounts import Mount, parse_mount
from ...config.root import EvalConfig
from ...sandboxes.docker_bodies import Body
from ...types import Record
from ..handed_environment import ANNOUNCED
from ..handing import JobDocument
from ..named_paths import texts_in
from ..options import Options
from ..registry import INNER
from .mounts import mounts_of

LABEL = "nemo-evaluator.run"
DIRECTORY = "nemo-evaluator.run.directory"
DOCUMENT = "job.yaml"
"""The configuration that the container runs, in the directory of the run."""
PASSED_ON = (
    *("HF_HOME", "HF_HUB_CACHE", "HF_DATASETS_CACHE", "HF_ENDPOINT", "HF_HUB_OFFLINE"),
    *("HF_DATASETS_OFFLINE", "NEMO_SKILLS_DATA_DIR", "NO_PROXY", "no_proxy"),
)
"""Variables of the one who submits that say where data comes from, and that no file names."""
GYM_SHM = "2g"
HOST = "host"
_SOCKET = "/var/run/docker.sock"
_TMP = "/tmp"


class DockerPlan(Record, frozen=True, kw_only=True):
    """One container."""

    name: str
    image: str
    argv: tuple[str, ...]
    env: Mapping[str, str]
    """What may be seen by everybody."""
    folder: str
    mounts: tuple[Mount, ...]
    user: str
    groups: tuple[int, ...] = ()
    network: str = HOST
    shm_bytes: int | None = None
    gpus: str | int | tuple[int, ...] | None = None
    labels: Mapping[str, str] = {}

    def body(self) -> Body:
        """What the engine is told."""
        host: Body = {
            "NetworkMode": self.network,
            "Mounts": [_mount(mount) for mount in self.mounts],
            "GroupAdd": [str(group) for group in self.groups],
            "Init": True,
            "SecurityOpt": ["no-new-privileges"],
            "LogConfig": {
                "Type": "json-file",
                "Config": {"max-size": "16m", "max-file": "2"},
            },
        }
        if self.network != HOST:
            host["ExtraHosts"] = ["host.docker.internal:host-gateway"]
        if self.shm_bytes is not None:
            host["ShmSize"] = self.shm_bytes
        if self.gpus is not None:
            host["DeviceRequests"] = [_devices(self.gpus)]
        return {
            "Image": self.image,
            "Entrypoint": ["nel"],
            "Cmd": list(self.argv),
            "Env": [f"{name}={value}" for name, value in self.env.items()],
            "WorkingDir": self.folder,
            "User": self.user,
            "Hostname": self.name,
            "Labels": dict(self.labels),
            "OpenStdin": True,
            "StdinOnce": True,
            "Healthcheck": {"Test": ["NONE"]},
            "HostConfig": host,
        }

    def command(self) -> str:
        """The same as a command line, for a reader."""
        words = ["docker", "run", "-d", "-i", "--init", "--name", self.name, "--hostname"]
        words += [self.name, "--network", self.network, "--user", self.user]
        words += [word for group in self.groups for word in ("--group-add", str(group))]
        words += ["--security-opt", "no-new-privileges", "--workdir", self.folder]
        words += [word for mount in self.mounts for word in ("-v", str(mount))]
        words += [word for key, value in self.env.items() for word in ("-e", f"{key}={value}")]
        if self.shm_bytes is not None:
            words += ["--shm-size", str(self.shm_bytes)]
        if self.gpus is not None:
            words += ["--gpus", _gpus_word(self.gpus)]
        words += [w for key, value in self.labels.items() for w in ("--label", f"{key}={value}")]
        return shlex.join([*words, "--entrypoint", "nel", self.image, *self.argv])


def docker_plan(
    loaded: Loaded,
    options: Options,
    document: JobDocument,
    *,
    name: str,
    image: str,
    directory: Path,
    socket: str = _SOCKET,
) -> DockerPlan:
    """The container of a run. ``directory``: of this run, made already. Raises ConfigError."""
    cluster = loaded.config.cluster
    assert isinstance(cluster, DockerCluster)
    folder = Path(document.folder)
    home = Path.home() if cluster.mount_home else None
    asked = [parse_mount(text, folder) for text in cluster.container_mounts]
    named = [*texts_in(yaml.safe_load(document.text)), *handed_variables(loaded).values()]
    groups: tuple[int, ...] = ()
    if (why := engine_user(loaded.config)) is not None:
        asked += engine_mounts(socket)
        groups = (Path(socket).stat().st_gid,) if Path(socket).exists() else ()
    mounts = mounts_of(output=directory, folder=folder, asked=asked, home=home, named=named)
    command = ["eval", "run", str(directory / DOCUMENT), "--no-progress"]
    if options.resume:
        command.append("--resume")
    shm = cluster.shm_size or (GYM_SHM if _has_gym(loaded.config) else None)
    return DockerPlan(
        name=name,
        image=image,
        argv=tuple(command),
        env={
            "HOME": str(home or _TMP),
            INNER: "1",
            ANNOUNCED: "1",
            "PYTHONUNBUFFERED": "1",
        },
        folder=str(folder) if any(mount.covers(folder) for mount in mounts) else _TMP,
        mounts=mounts,
        user=f"{os.getuid()}:{os.getgid()}",
        groups=groups,
        network=cluster.network,
        shm_bytes=size_in_bytes(shm) if shm is not None else None,
        gpus=tuple(cluster.gpus) if isinstance(cluster.gpus, list) else cluster.gpus,
        labels={LABEL: name, DIRECTORY: str(directory), **({ENGINE: why} if why else {})},
    )


ENGINE = "nemo-evaluator.run.engine"
"""Label of a run that is given the engine's socket: what for."""


def engine_user(config: EvalConfig) -> str | None:
    """What in a configuration needs the Docker engine from inside the run, if something does."""
    for benchmark in config.benchmarks:
        kind = getattr(benchmark.sandbox, "type", "none")
        scheme = benchmark.name.partition("://")[0] if "://" in benchmark.name else ""
        if kind == "docker" or (kind == "none" and scheme in ("harbor", "container")):
            return f"the sandboxes of {benchmark.name}"
    for name, service in config.services.items():
        if getattr(service, "image", None) is not None:
            return f"the server of {name}"
    return None


def engine_mounts(socket: str) -> list[Mount]:
    """What a run needs to have containers made beside its own: the socket, the client, and /tmp,
    since the engine looks for folders to mount on the host."""
    mounts = [Mount(socket, _SOCKET), Mount(_TMP, _TMP)]
    client = shutil.which("docker")
    if client is not None:
        mounts.append(Mount(os.path.realpath(client), "/usr/local/bin/docker", read_only=True))
    return mounts


def handed_variables(loaded: Loaded) -> dict[str, str]:
    """Variables of this process, and of the cluster, that the run gets beside its secrets."""
    cluster = loaded.config.cluster
    assert isinstance(cluster, DockerCluster)
    found = {name: loaded.env[name] for name in PASSED_ON if name in loaded.env}
    return {**found, **cluster.container_env}


def _has_gym(config: EvalConfig) -> bool:
    return any(isinstance(service, GymResourceService) for service in config.services.values())


def _mount(mount: Mount) -> Body:
    return {
        "Type": "volume" if mount.is_volume else "bind",
        "Source": mount.source,
        "Target": mount.target,
        "ReadOnly": mount.read_only,
    }


def _devices(gpus: str | int | tuple[int, ...]) -> Body:
    request: Body = {"Driver": "", "Capabilities": [["gpu"]]}
    if isinstance(gpus, tuple):
        return {**request, "DeviceIDs": [str(number) for number in gpus]}
    return {**request, "Count": -1 if isinstance(gpus, str) else gpus}


def _gpus_word(gpus: str | int | tuple[int, ...]) -> str:
    return f'"device={",".join(map(str, gpus))}"' if isinstance(gpus, tuple) else str(gpus)
