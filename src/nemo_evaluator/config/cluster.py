"""Clusters: where a whole run is executed. This version runs `local`."""

from __future__ import annotations

import re
from typing import Annotated, Literal

from pydantic import Field, field_validator

from .base import ConfigRecord

Flag = str | int | float | bool
WALLTIME = re.compile(r"^(\d+-)?\d{1,2}:\d{2}:\d{2}$")
FLAG = re.compile(r"^[a-zA-Z][a-zA-Z0-9_-]*$")


class LocalCluster(ConfigRecord):
    """This machine, in the foreground."""

    type: Literal["local"] = "local"
    gpus: list[int] | None = None
    max_memory: str | None = None
    container_env: dict[str, str] = Field(default_factory=dict)


class DockerCluster(ConfigRecord):
    """A container on this machine."""

    type: Literal["docker"]
    image: str | None = None
    container_mounts: list[str] = Field(default_factory=list)
    container_env: dict[str, str] = Field(default_factory=dict)
    mount_home: bool = True
    shm_size: str | None = None


class NodePool(ConfigRecord):
    """Nodes of one kind."""

    partition: str
    nodes: int = Field(1, ge=1)
    ntasks_per_node: int = Field(1, ge=1)
    gres: str | None = None
    gpus_per_node: int | None = None
    sbatch_extra_flags: dict[str, Flag] = Field(default_factory=dict)


class SlurmCluster(ConfigRecord):
    """A Slurm cluster."""

    type: Literal["slurm"]
    account: str | None = None
    walltime: str = "04:00:00"
    node_pools: dict[str, NodePool] = Field(min_length=1)
    conda_env: str | None = None
    eval_image: str | None = None
    container_mounts: list[str] = Field(default_factory=list)
    container_env: dict[str, str] = Field(default_factory=dict)
    shm_size: str | None = None
    mount_home: bool = True
    auto_resume: bool = True
    max_retries: int = Field(3, ge=0)
    max_walltime: str | None = None
    shards: int | None = Field(None, ge=1)
    sbatch_comment: str | None = None
    sbatch_extra_flags: dict[str, Flag] = Field(default_factory=dict)
    hostname: str | None = None
    username: str | None = None

    @field_validator("walltime", "max_walltime")
    @classmethod
    def _is_walltime(cls, value: str | None) -> str | None:
        if value is not None and not WALLTIME.match(value):
            raise ValueError(f"{value!r} is not HH:MM:SS or D-HH:MM:SS")
        return value

    @field_validator("sbatch_extra_flags")
    @classmethod
    def _are_flags(cls, flags: dict[str, Flag]) -> dict[str, Flag]:
        for name, value in flags.items():
            if not FLAG.match(name) or (isinstance(value, str) and "\n" in value):
                raise ValueError(f"{name!r} is not a flag with a one-line value")
        return flags


Cluster = Annotated[LocalCluster | DockerCluster | SlurmCluster, Field(discriminator="type")]
