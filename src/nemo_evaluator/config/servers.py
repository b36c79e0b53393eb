"""Model servers that this tool starts itself: what a configuration may say of each engine.

What an engine cannot honour is refused here, before anything is started.
"""

from __future__ import annotations

import math
import re
from typing import ClassVar, Literal

from pydantic import Field, SecretStr, field_validator, model_validator

from .base import ConfigRecord
from .endpoints import ApiProtocol, ModelFields, PriceConfig, TimeoutsConfig
from .server_life import ServerLife
from .variables import Variables

DP_ATTENTION = "--enable-dp-attention"
"""With it the copies of SGLang's servers share GPUs."""
SIZES = ("tensor_parallel_size", "pipeline_parallel_size", "data_parallel_size")


class ManagedModelFields(ModelFields, ServerLife):
    """Fields of every model server that is started here."""

    model: str
    """Model to serve: a hub id or a path."""
    served_model_name: str | None = None
    """Model id sent in requests; null: the service's name."""
    port: int = Field(8000, ge=1, le=65535)
    """Port of the server, and of its first instance. Where it is not set, the next free one."""
    protocol: ApiProtocol
    """API of the server."""
    instances: int = Field(1, ge=1)
    """Servers of the same model, on ports one after the other. Each request goes to the one with
    the fewest in flight; the others go on when one ends."""
    tensor_parallel_size: int | None = Field(None, ge=1)
    """GPUs one layer is split over."""
    pipeline_parallel_size: int | None = Field(None, ge=1)
    """Stages the layers are split into."""
    data_parallel_size: int | None = Field(None, ge=1)
    """Copies of the model inside one server."""
    num_nodes: int = Field(1, ge=1)
    """Nodes of one server."""
    gpus: list[int] | int | None = None
    """GPU numbers (CUDA_VISIBLE_DEVICES), or how many; of each node, and of all instances there."""
    image: str | None = None
    """Container image; null: the engine's command is looked for on this machine."""
    health_path: str = "/health"
    """Path asked to see whether the server is up."""
    startup_timeout: float = Field(600.0, gt=0)
    """Seconds until the server must answer."""
    stop_timeout: float = Field(15.0, ge=0)
    """Seconds the server gets to end by itself before it is killed."""
    extra_env: Variables = Field(default_factory=dict)
    """Environment variables of the server."""
    extra_args: list[str] = Field(default_factory=list)
    """Further arguments of the server's command."""
    setup_commands: list[str] = Field(default_factory=list)
    """Lines of shell run before the server, where it runs (in its container); one that fails ends
    the start."""
    container_mounts: list[str] = Field(default_factory=list)
    """Mounts of the container, ``host:container``."""
    shm_size: str | None = None
    """Shared memory of the container, e.g. ``16g``."""
    pre_cmd: str | None = None
    """Shell text run before the server, in the same shell. It may be the server itself."""
    ray_binary: str = "ray"
    """The ray command of servers with several nodes."""
    api_key: SecretStr | None = None
    """Key the server asks for, best written as ``${VARIABLE}``; sent with every request."""
    stream: bool = False
    """Ask for server-sent events, and record the time to the first token."""
    timeouts: TimeoutsConfig = Field(default_factory=TimeoutsConfig)
    """Limits on the parts of one request."""
    price: PriceConfig | None = None
    """Price per million tokens; null: the cost is unknown and not shown."""
    reasoning_pattern: str | None = None
    """Regular expression that finds the reasoning in an answer."""
    depends_on: list[str] = Field(default_factory=list)
    """Services that must be up before."""
    node_pool: str | None = None
    """Node pool of the Slurm cluster it runs in."""

    lacks: ClassVar[tuple[str, ...]] = ()
    """Fields that the engine cannot honour."""
    needs_image: ClassVar[bool] = False
    """It runs in a container only, whose own command starts the server."""

    @field_validator("reasoning_pattern")
    @classmethod
    def _compiles(cls, pattern: str | None) -> str | None:
        try:
            re.compile(pattern or "")
        except re.error as error:
            raise ValueError(f"not a regular expression: {error}") from None
        return pattern

    @field_validator("gpus")
    @classmethod
    def _are_gpus(cls, gpus: list[int] | int | None) -> list[int] | int | None:
        if isinstance(gpus, list) and (len({*gpus}) < len(gpus) or min(gpus, default=0) < 0):
            raise ValueError("a GPU is named twice, or has a negative number")
        if gpus in (0, []):
            raise ValueError("needs a GPU, or null to leave the choice to the server")
        return gpus

    @model_validator(mode="after")
    def _can_be_honoured(self) -> ManagedModelFields:
        for name in self.lacks:
            if name in self.changed():
                raise ValueError(f"{name} has no effect on {self._engine}")
        if self.needs_image and self.image is None:
            raise ValueError(f"{self._engine} runs in a container: set image")
        if self.needs_image and self.setup_commands and self.pre_cmd is None:
            what = "setup_commands replace what the image starts by itself"
            raise ValueError(f"{what}: set pre_cmd to the command of the server too")
        if self.needs_image and self.pre_cmd is not None and self.extra_args:
            raise ValueError("extra_args follow the image's own command, which pre_cmd replaces")
        if self.image is None:
            for name in ("container_mounts", "shm_size"):
                if name in self.changed():
                    raise ValueError(f"{name} has no effect without an image")
        self._check_gpus()
        return self

    def _check_gpus(self) -> None:
        count = self.gpu_count
        if count is None:
            return
        if count % self.instances:
            raise ValueError(f"{count} GPUs cannot be split over {self.instances} instances")
        if (needed := self.world_size) is not None:
            have = count // self.instances * self.num_nodes
            if needed > have:
                raise ValueError(f"the parallel sizes need {needed} GPUs, a server has {have}")

    @property
    def gpu_count(self) -> int | None:
        """GPUs of a node for all instances, where that is said."""
        return len(self.gpus) if isinstance(self.gpus, list) else self.gpus

    @property
    def world_size(self) -> int | None:
        """GPUs that one server needs, where a parallel size is said."""
        sizes = [size for name in SIZES if (size := getattr(self, name)) is not None]
        return math.prod(sizes) if sizes else None

    @property
    def _engine(self) -> str:
        return str(getattr(self, "type", "this service"))


class VllmService(ManagedModelFields):
    """A vLLM server (``vllm serve``)."""

    type: Literal["vllm"] = "vllm"
    """Kind of service."""


class SglangService(ManagedModelFields):
    """An SGLang server (``sglang serve``)."""

    type: Literal["sglang"] = "sglang"
    """Kind of service."""

    lacks: ClassVar[tuple[str, ...]] = ("ray_binary",)

    @property
    def world_size(self) -> int | None:
        """See ``ManagedModelFields``; with attention in parallel the copies share GPUs."""
        return _of_sglang(self, super().world_size)


class NimService(ManagedModelFields):
    """A NIM container."""

    type: Literal["nim"] = "nim"
    """Kind of service."""
    health_path: str = "/v1/health/ready"
    """Path asked to see whether the server is up."""

    lacks: ClassVar[tuple[str, ...]] = ("ray_binary", "data_parallel_size", "num_nodes")
    needs_image: ClassVar[bool] = True


class TrtLlmService(ManagedModelFields):
    """A TensorRT-LLM server (``trtllm-serve``)."""

    type: Literal["trt_llm"] = "trt_llm"
    """Kind of service."""

    lacks: ClassVar[tuple[str, ...]] = ("ray_binary", "data_parallel_size")


class DockerModelService(ManagedModelFields):
    """Any container with a model server: ``extra_args`` follow the image's own command."""

    type: Literal["docker_model"] = "docker_model"
    """Kind of service."""

    lacks: ClassVar[tuple[str, ...]] = ("ray_binary", *SIZES, "num_nodes")
    needs_image: ClassVar[bool] = True


class DynamoWorkerConfig(ConfigRecord):
    """Workers of one Dynamo role."""

    tensor_parallel_size: int | None = Field(None, ge=1)
    """GPUs one layer is split over; null: the service's."""
    pipeline_parallel_size: int | None = Field(None, ge=1)
    """Stages the layers are split into; null: the service's."""
    data_parallel_size: int | None = Field(None, ge=1)
    """Copies of the model; null: the service's."""
    num_nodes: int = Field(1, ge=1)
    """Nodes of one worker."""
    num_workers: int = Field(1, ge=1)
    """Workers of the role."""
    node_pool: str | None = None
    """Node pool of the Slurm cluster they run in; null: the service's."""
    extra_args: list[str] = Field(default_factory=list)
    """Further arguments of the workers' command, after the service's."""
    extra_env: Variables = Field(default_factory=dict)
    """Environment variables of the workers, beside the service's."""


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

    lacks: ClassVar[tuple[str, ...]] = ("ray_binary", "instances")

    @model_validator(mode="after")
    def _both_or_none(self) -> DynamoService:
        if (self.prefill is None) != (self.decode is None):
            raise ValueError("prefill and decode go together: set both or none")
        if self.prefill is not None and "num_nodes" in self.changed():
            raise ValueError("num_nodes is that of prefill and of decode where both are set")
        return self

    @property
    def world_size(self) -> int | None:
        """See ``ManagedModelFields``; of workers apart each has its own."""
        return None if self.prefill is not None else _of_sglang(self, super().world_size)

    def worker_size(self, worker: DynamoWorkerConfig) -> int:
        """GPUs that one worker of a role needs."""
        sizes = {name: getattr(worker, name) or getattr(self, name) for name in SIZES}
        args = [*self.extra_args, *worker.extra_args]
        if DP_ATTENTION in args:
            sizes.pop("data_parallel_size")
        return math.prod(size or 1 for size in sizes.values())


def _of_sglang(options: ManagedModelFields, world: int | None) -> int | None:
    copies = options.data_parallel_size
    shared = DP_ATTENTION in options.extra_args
    return world // copies if world is not None and copies is not None and shared else world
