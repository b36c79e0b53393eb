"""``cluster: {type: kubernetes}``: an indexed Job, reached by ``kubectl``."""

from __future__ import annotations

import re
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, field_validator, model_validator

from ..types import Json
from .base import ConfigRecord
from .variables import Variables
from .walltime import walltime_seconds

_LABEL = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")
_SUBDOMAIN = re.compile(rf"{_LABEL.pattern}(\.{_LABEL.pattern})*")
_QUANTITY = re.compile(r"\d+(\.\d+)?(m|k|M|G|T|P|Ki|Mi|Gi|Ti|Pi)?")
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


def _name(value: str) -> str:
    if len(value) > 253 or not _SUBDOMAIN.fullmatch(value):
        raise ValueError(f"{value!r} is no name of Kubernetes: lower case letters, digits, - and .")
    return value


def _quantity(value: str) -> str:
    if not _QUANTITY.fullmatch(value):
        raise ValueError(f"{value!r} is no quantity: write 4, 500m or 16Gi")
    return value


Name = Annotated[str, AfterValidator(_name)]
Quantity = Annotated[str, AfterValidator(_quantity)]


class KubernetesCluster(ConfigRecord):
    """A Kubernetes cluster."""

    type: Literal["kubernetes"] = "kubernetes"
    """Kind of cluster."""
    image: str = Field(min_length=1)
    """Image with this tool in it."""
    image_pull_policy: Literal["Always", "IfNotPresent", "Never"] | None = None
    """When nodes fetch the image; null: the cluster's own rule."""
    image_pull_secrets: list[Name] = Field(default_factory=list)
    """Secrets with the passwords of registries."""
    context: str | None = None
    """Context of `kubectl`; null: the current one."""
    namespace: Name | None = None
    """Namespace; null: that of the context."""
    service_account: Name | None = None
    """Service account of the pods."""
    claim: Name | None = None
    """PersistentVolumeClaim for the results; for several shards one that many nodes can write."""
    volume: dict[str, Json] | None = None
    """Any other volume for the results, as a pod has it: `{nfs: {server: ..., path: ...}}`."""
    mount_path: str = "/results"
    """Where the results are in the pods."""
    shards: int | None = Field(None, ge=1, le=100_000)
    """Pods the problems are split over."""
    max_parallel_shards: int | None = Field(None, ge=1)
    """Shards that run at the same time; null: all."""
    max_retries: int = Field(3, ge=0)
    """Times a shard is run again after it failed."""
    walltime: str | None = None
    """Time limit of the whole job, ``HH:MM:SS`` or ``D-HH:MM:SS``."""
    grace_seconds: int = Field(120, ge=1)
    """Seconds a pod that is stopped gets to finish what is in flight."""
    keep_seconds: int | None = Field(7 * 24 * 3600, ge=0)
    """Seconds until the cluster removes a job that has ended; null: it stays."""
    cpus: Quantity | None = None
    """CPUs of a pod."""
    memory: Quantity | None = None
    """Memory of a pod."""
    gpus: int | None = Field(None, ge=1)
    """GPUs of the evaluation itself; those of model servers are added to it."""
    gpu_resource: str = "nvidia.com/gpu"
    """What GPUs are called in the cluster."""
    shm_size: Quantity | None = None
    """Shared memory of a pod."""
    node_selector: dict[str, str] = Field(default_factory=dict)
    """Labels of the nodes that may be used."""
    tolerations: list[dict[str, Json]] = Field(default_factory=list)
    """Taints of nodes that do not matter, as a pod has them."""
    priority_class: Name | None = None
    """Priority class of the pods."""
    container_env: Variables = Field(default_factory=dict)
    """Environment variables of the run."""
    user: int = Field(1000, ge=1)
    """User id of the run."""
    group: int = Field(1000, ge=1)
    """Group id of the run, and of the results."""

    @field_validator("walltime")
    @classmethod
    def _is_walltime(cls, value: str | None) -> str | None:
        if value is not None:
            walltime_seconds(value)
        return value

    @field_validator("mount_path")
    @classmethod
    def _is_a_path(cls, value: str) -> str:
        if not re.fullmatch(r"/[^:\0\n]+", value) or ".." in value.split("/"):
            raise ValueError(f"{value!r} is no absolute path without colons")
        return value.rstrip("/")

    @field_validator("container_env")
    @classmethod
    def _are_variables(cls, value: dict[str, str]) -> dict[str, str]:
        for name in value:
            if not _VARIABLE.fullmatch(name):
                raise ValueError(f"{name!r} is no name of a variable")
        return value

    @model_validator(mode="after")
    def _one_place(self) -> KubernetesCluster:
        if (self.claim is None) == (self.volume is None):
            raise ValueError("set claim (a PersistentVolumeClaim) or volume: the results need one")
        return self
