"""Clusters: where a whole run is executed. This version runs `local`."""

from __future__ import annotations

import re
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, field_validator

from ..kinds import EXECUTORS
from .base import ConfigRecord
from .docker_cluster import DockerCluster
from .kubernetes_cluster import KubernetesCluster
from .plugins import ByType, PluginFields
from .ray_cluster import RayCluster
from .variables import Variables
from .walltime import walltime_seconds

_BREAKS = r"\x00-\x1f\x7f-\x9f\u2028\u2029"
"""Control characters, and all that some programs take for the end of a line."""
_CONTROL = re.compile(f"[{_BREAKS}]")
_OPTION = re.compile(f"--[a-zA-Z][a-zA-Z0-9-]*(=[^{_BREAKS}]*)?")
_FLAG = re.compile(r"^[a-zA-Z][a-zA-Z0-9_-]*$")


def _one_line(text: str, what: str = "the value") -> str:
    if _CONTROL.search(text):
        raise ValueError(f"{what} must be one line without control characters")
    return text


def _checked_flags(
    flags: dict[str, str | int | float | bool],
) -> dict[str, str | int | float | bool]:
    for name, value in flags.items():
        if not _FLAG.match(name):
            raise ValueError(f"{name!r} is not the name of a flag (letters, digits, _ and -)")
        if isinstance(value, str):
            _one_line(value, f"the value of {name}")
    return flags


def _checked_options(options: list[str]) -> list[str]:
    for option in options:
        if not _OPTION.fullmatch(option):
            raise ValueError(f"{option!r} is not one option of sbatch, such as --constraint=h100")
    return options


Flags = Annotated[dict[str, str | int | float | bool], AfterValidator(_checked_flags)]
SbatchOptions = Annotated[list[str], AfterValidator(_checked_options)]
OneLine = Annotated[str, AfterValidator(_one_line)]


class LocalCluster(ConfigRecord):
    """This machine, in the foreground."""

    type: Literal["local"] = "local"
    """Kind of cluster."""
    gpus: list[int] | None = None
    """Numbers of the GPUs that servers may use; null: those of CUDA_VISIBLE_DEVICES, else all."""
    max_memory: str | None = None
    """Memory that may be used."""
    container_env: Variables = Field(default_factory=dict)
    """Environment variables of the servers that are started for the run."""


class NodePool(ConfigRecord):
    """Nodes of one kind."""

    partition: OneLine
    """Slurm partition."""
    nodes: int = Field(1, ge=1)
    """Nodes of the pool."""
    ntasks_per_node: int = Field(1, ge=1)
    """Tasks per node."""
    gres: OneLine | None = None
    """Generic resources per node, e.g. ``gpu:8``."""
    gpus_per_node: int | None = Field(None, ge=0)
    """GPUs per node."""
    sbatch_extra_flags: Flags = Field(default_factory=dict)
    """Further sbatch flags of the pool."""


class SlurmCluster(ConfigRecord):
    """A Slurm cluster."""

    type: Literal["slurm"] = "slurm"
    """Kind of cluster."""
    account: OneLine | None = None
    """Account that is charged."""
    qos: OneLine | None = None
    """Quality of service."""
    reservation: OneLine | None = None
    """Reservation the job runs in."""
    exclusive: bool = False
    """Whole nodes, shared with no other job."""
    walltime: str = "04:00:00"
    """Time limit of a job, ``HH:MM:SS`` or ``D-HH:MM:SS``."""
    node_pools: dict[str, NodePool] = Field(min_length=1)
    """Nodes by pool."""
    conda_env: str | None = None
    """Conda environment of the run."""
    eval_image: str | None = None
    """Container image of the run; ``auto``: the published one that has what the benchmarks need."""
    container_runtime: Literal["auto", "pyxis", "apptainer"] = "auto"
    """What runs images: pyxis (``srun --container-image``), or Apptainer; ``auto``: Apptainer for
    what is a file ``*.sif``, else pyxis."""
    container_mounts: list[str] = Field(default_factory=list)
    """Mounts, ``host:container``."""
    container_env: Variables = Field(default_factory=dict)
    """Environment variables of the run."""
    shm_size: str | None = None
    """Shared memory of containers."""
    mount_home: bool = True
    """Mount the home directory."""
    auto_resume: bool = True
    """Go on in a follow-up job when the time limit is reached, a node fails, or the like."""
    max_retries: int = Field(3, ge=0)
    """Most follow-up jobs of a job."""
    max_walltime: str | None = None
    """Limit on the time of all jobs together."""
    shards: int | None = Field(None, ge=1)
    """Jobs the problems are split over."""
    max_parallel_shards: int | None = Field(None, ge=1)
    """Most shards that run at the same time; null: as many as the scheduler starts."""
    sbatch_comment: OneLine | None = None
    """Comment of the job."""
    sbatch_extra: SbatchOptions = Field(default_factory=list)
    """Further options of sbatch, as on its command line: ``--constraint=h100``."""
    sbatch_extra_flags: Flags = Field(default_factory=dict)
    """The same by name; true: an option without a value, false: none."""
    hostname: str | None = None
    """Login node, reached over ssh; null: this machine."""
    username: str | None = None
    """User on the login node."""

    @field_validator("walltime", "max_walltime")
    @classmethod
    def _is_walltime(cls, value: str | None) -> str | None:
        if value is not None:
            walltime_seconds(value)
        return value


class PluginCluster(PluginFields):
    """A place of an installed package, or your own (``type: module:Class``).

    Further fields are its options."""

    kind = EXECUTORS


Cluster = Annotated[
    LocalCluster | DockerCluster | SlurmCluster | RayCluster | KubernetesCluster | PluginCluster,
    ByType(EXECUTORS),
]
