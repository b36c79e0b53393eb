"""Model servers this tool starts itself. Declared and checked here; none runs in this version."""

from __future__ import annotations

import re
from typing import Literal

from pydantic import Field, field_validator, model_validator

from .base import ConfigRecord
from .endpoints import ApiProtocol, ModelFields


class ManagedModelFields(ModelFields):
    """Fields of every model server that is started here."""

    model: str
    """Model to serve: a hub id or a path."""
    served_model_name: str | None = None
    """Model id sent in requests; null: the service's name."""
    port: int = Field(8000, ge=1, le=65535)
    """Port of the server."""
    protocol: ApiProtocol
    """API of the server."""
    tensor_parallel_size: int | None = Field(None, ge=1)
    """GPUs one layer is split over."""
    pipeline_parallel_size: int | None = Field(None, ge=1)
    """Stages the layers are split into."""
    data_parallel_size: int | None = Field(None, ge=1)
    """Copies of the model."""
    num_nodes: int = Field(1, ge=1)
    """Nodes of one server."""
    gpus: list[int] | int | None = None
    """GPU numbers, or how many."""
    image: str | None = None
    """Container image."""
    health_path: str = "/health"
    """Path asked to see whether the server is up."""
    startup_timeout: float = Field(600.0, gt=0)
    """Seconds until the server must answer."""
    extra_env: dict[str, str] = Field(default_factory=dict)
    """Environment variables of the server."""
    extra_args: list[str] = Field(default_factory=list)
    """Further arguments of the server's command."""
    setup_commands: list[str] = Field(default_factory=list)
    """Commands run before the server."""
    container_mounts: list[str] = Field(default_factory=list)
    """Mounts of the container, ``host:container``."""
    pre_cmd: str | None = None
    """Shell text run before the server, in its container."""
    ray_binary: str = "ray"
    """The ray command of multi-node servers."""
    reasoning_pattern: str | None = None
    """Regular expression that finds the reasoning in an answer."""
    depends_on: list[str] = Field(default_factory=list)
    """Services that must be up before."""
    node_pool: str | None = None
    """Node pool of the Slurm cluster it runs in."""

    @field_validator("reasoning_pattern")
    @classmethod
    def _compiles(cls, pattern: str | None) -> str | None:
        try:
            re.compile(pattern or "")
        except re.error as error:
            raise ValueError(f"not a regular expression: {error}") from None
        return pattern


class VllmService(ManagedModelFields):
    """A vLLM server."""

    type: Literal["vllm"] = "vllm"
    """Kind of service."""


class SglangService(ManagedModelFields):
    """An SGLang server."""

    type: Literal["sglang"] = "sglang"
    """Kind of service."""


class NimService(ManagedModelFields):
    """A NIM container."""

    type: Literal["nim"] = "nim"
    """Kind of service."""


class TrtLlmService(ManagedModelFields):
    """A TensorRT-LLM server."""

    type: Literal["trt_llm"] = "trt_llm"
    """Kind of service."""


class DockerModelService(ManagedModelFields):
    """Any model container."""

    type: Literal["docker_model"] = "docker_model"
    """Kind of service."""


class DynamoWorkerConfig(ConfigRecord):
    """Workers of one Dynamo role."""

    tensor_parallel_size: int | None = Field(None, ge=1)
    """GPUs one layer is split over."""
    pipeline_parallel_size: int | None = Field(None, ge=1)
    """Stages the layers are split into."""
    data_parallel_size: int | None = Field(None, ge=1)
    """Copies of the model."""
    num_nodes: int = Field(1, ge=1)
    """Nodes of one worker."""
    num_workers: int = Field(1, ge=1)
    """Workers of the role."""
    node_pool: str | None = None
    """Node pool of the Slurm cluster they run in."""
    extra_args: list[str] = Field(default_factory=list)
    """Further arguments of the workers' command."""
    extra_env: dict[str, str] = Field(default_factory=dict)
    """Environment variables of the workers."""


class DynamoService(ManagedModelFields):
    """A Dynamo deployment: aggregated, or with prefill and decode workers apart."""

    type: Literal["dynamo"] = "dynamo"
    """Kind of service."""
    engine: Literal["sglang"] = "sglang"
    """Engine of the workers."""
    prefill: DynamoWorkerConfig | None = None
    """Workers that read prompts."""
    decode: DynamoWorkerConfig | None = None
    """Workers that write answers."""

    @model_validator(mode="after")
    def _both_or_none(self) -> DynamoService:
        if (self.prefill is None) != (self.decode is None):
            raise ValueError("prefill and decode go together: set both or none")
        return self
