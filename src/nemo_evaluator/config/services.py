"""Services: everything with an address."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, SecretStr, field_validator, model_validator

from .base import ConfigRecord
from .generation import GenerationConfig
from .proxy import ProxyConfig

ApiProtocol = Literal["chat_completions", "completions", "responses"]
SUFFIXES = {
    "/chat/completions": "chat_completions",
    "/completions": "completions",
    "/responses": "responses",
}
"""Path of each protocol; the longest matching one counts."""


class TimeoutsConfig(ConfigRecord):
    """Seconds for the parts of one request; null leaves only the rollout's timeout."""

    connect: float | None = Field(10.0, gt=0)
    first_byte: float | None = Field(None, gt=0)
    total: float | None = Field(None, gt=0)


class PriceConfig(ConfigRecord):
    """US dollars per million tokens."""

    prompt: float = Field(ge=0)
    completion: float = Field(ge=0)
    cached: float | None = Field(None, ge=0)
    """Price of cached prompt tokens; null: the prompt price."""


class _ModelFields(ConfigRecord):
    max_input_tokens: int | None = None
    max_output_tokens: int | None = None
    tokenizer: str | None = None
    generation: GenerationConfig = Field(default_factory=GenerationConfig)
    proxy: ProxyConfig | None = None


class ApiService(_ModelFields):
    """A model endpoint that is already running."""

    type: Literal["api"]
    url: str
    """Base URL (``.../v1``) or the full path of the protocol."""
    protocol: ApiProtocol
    model: str | None = None
    """Model id sent to the endpoint; null: the service's name."""
    api_key: SecretStr | None = None
    """Best given as ``${VARIABLE}``."""
    api_key_env: str | None = None
    """Name of the environment variable that holds the key."""
    health_path: str | None = None
    stream: bool = False
    """Ask for server-sent events, and record the time to the first token."""
    timeouts: TimeoutsConfig = Field(default_factory=TimeoutsConfig)
    price: PriceConfig | None = None

    @field_validator("url")
    @classmethod
    def _has_scheme(cls, url: str) -> str:
        if not url.startswith(("http://", "https://")):
            raise ValueError(f"{url!r} must start with http:// or https://")
        return url.rstrip("/")

    @property
    def suffix_mismatch(self) -> str | None:
        """A warning where the URL's path belongs to another protocol."""
        for suffix, protocol in SUFFIXES.items():
            if self.url.endswith(suffix):
                if protocol != self.protocol:
                    return f"url ends in {suffix} but protocol is {self.protocol}"
                return None
        return None


class LatencyConfig(ConfigRecord):
    """How long the simulated model takes, in milliseconds."""

    distribution: Literal["constant", "uniform", "lognormal"] = "constant"
    mean_ms: float = Field(0.0, ge=0)
    sigma: float = Field(0.5, ge=0)
    """Standard deviation of the logarithm (lognormal), or half the width over the mean (uniform)."""
    max_ms: float | None = Field(None, gt=0)


class TokensConfig(ConfigRecord):
    """Completion tokens of a simulated answer."""

    mean: int = Field(64, ge=1)
    sigma: float = Field(0.0, ge=0)


class FaultsConfig(ConfigRecord):
    """Probabilities of faults of the simulated model, per request."""

    rate_limit: float = Field(0.0, ge=0, le=1)
    server_error: float = Field(0.0, ge=0, le=1)
    drop: float = Field(0.0, ge=0, le=1)
    hang: float = Field(0.0, ge=0, le=1)
    invalid_json: float = Field(0.0, ge=0, le=1)
    truncated_json: float = Field(0.0, ge=0, le=1)
    empty: float = Field(0.0, ge=0, le=1)
    length: float = Field(0.0, ge=0, le=1)
    retry_after_s: float = Field(0.05, ge=0)
    hang_s: float = Field(60.0, gt=0)

    @model_validator(mode="after")
    def _sum_is_a_probability(self) -> FaultsConfig:
        names = "rate_limit server_error drop hang invalid_json truncated_json empty length".split()
        if sum(getattr(self, name) for name in names) > 1:
            raise ValueError("the probabilities of all faults together exceed 1")
        return self


class SimulatedService(_ModelFields):
    """A model without a model, inside this process: for trying things out and for drills."""

    type: Literal["simulated"]
    model: str = "simulated"
    protocol: ApiProtocol = "chat_completions"
    seed: int = 0
    accuracy: float = Field(0.7, ge=0, le=1)
    """Share of problems answered right."""
    latency: LatencyConfig = Field(default_factory=LatencyConfig)
    completion_tokens: TokensConfig = Field(default_factory=TokensConfig)
    reasoning: bool = False
    tool_call_rate: float = Field(0.0, ge=0, le=1)
    """Share of requests with tools that are answered by a tool call."""
    faults: FaultsConfig = Field(default_factory=FaultsConfig)
    stream: bool = False
    price: PriceConfig | None = None


class _ManagedModel(_ModelFields):
    """A model server this tool starts itself (not in this version)."""

    model: str
    served_model_name: str | None = None
    port: int = 8000
    protocol: ApiProtocol
    tensor_parallel_size: int | None = None
    pipeline_parallel_size: int | None = None
    data_parallel_size: int | None = None
    num_nodes: int = Field(1, ge=1)
    gpus: list[int] | int | None = None
    image: str | None = None
    health_path: str = "/health"
    startup_timeout: float = 600.0
    extra_env: dict[str, str] = Field(default_factory=dict)
    extra_args: list[str] = Field(default_factory=list)
    setup_commands: list[str] = Field(default_factory=list)
    container_mounts: list[str] = Field(default_factory=list)
    pre_cmd: str | None = None
    ray_binary: str = "ray"
    reasoning_pattern: str | None = None
    depends_on: list[str] = Field(default_factory=list)
    node_pool: str | None = None


class VllmService(_ManagedModel):
    """A vLLM server."""

    type: Literal["vllm"]


class SglangService(_ManagedModel):
    """An SGLang server."""

    type: Literal["sglang"]


class NimService(_ManagedModel):
    """A NIM container."""

    type: Literal["nim"]


class TrtLlmService(_ManagedModel):
    """A TensorRT-LLM server."""

    type: Literal["trt_llm"]


class DockerModelService(_ManagedModel):
    """Any model container."""

    type: Literal["docker_model"]


class DynamoWorkerConfig(ConfigRecord):
    """Workers of one Dynamo role."""

    tensor_parallel_size: int | None = None
    pipeline_parallel_size: int | None = None
    data_parallel_size: int | None = None
    num_nodes: int = Field(1, ge=1)
    num_workers: int = Field(1, ge=1)
    node_pool: str | None = None
    extra_args: list[str] = Field(default_factory=list)
    extra_env: dict[str, str] = Field(default_factory=dict)


class DynamoService(_ManagedModel):
    """A Dynamo deployment, aggregated or disaggregated."""

    type: Literal["dynamo"]
    engine: Literal["sglang"] = "sglang"
    prefill: DynamoWorkerConfig | None = None
    decode: DynamoWorkerConfig | None = None

    @model_validator(mode="after")
    def _both_or_none(self) -> DynamoService:
        if (self.prefill is None) != (self.decode is None):
            raise ValueError("prefill and decode go together: set both or none")
        return self


class GymResourceService(ConfigRecord):
    """A gym resource server."""

    type: Literal["gym"]
    url: str | None = None
    port: int = 8000
    image: str | None = None
    benchmark: str | None = None
    server_cmd: str | None = None
    startup_timeout: float = 120.0
    depends_on: list[str] = Field(default_factory=list)
    node_pool: str | None = None


class NatAgentService(ConfigRecord):
    """A NeMo Agent Toolkit server."""

    type: Literal["nat"]
    port: int = 8000
    image: str | None = None
    nat_config_file: str | None = None
    startup_timeout: float = 120.0
    depends_on: list[str] = Field(default_factory=list)
    node_pool: str | None = None


class CustomService(ConfigRecord):
    """A service of your own class."""

    type: Literal["custom"]
    class_path: str
    config: dict[str, Any] = Field(default_factory=dict)


ModelService = (
    ApiService
    | SimulatedService
    | VllmService
    | SglangService
    | NimService
    | TrtLlmService
    | DockerModelService
    | DynamoService
)
Service = Annotated[
    ModelService | GymResourceService | NatAgentService | CustomService,
    Field(discriminator="type"),
]
