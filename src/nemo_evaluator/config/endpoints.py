"""Services with a model behind an address: `api`, and the `simulated` one that needs none."""

from __future__ import annotations

from typing import ClassVar, Literal
from urllib.parse import urlsplit

from pydantic import Field, SecretStr, field_validator, model_validator

from .base import VARIABLE, ConfigRecord
from .generation import GenerationConfig
from .proxy import ProxyConfig
from .secrecy import hidden_urls
from .simulated import FaultsConfig, LatencyConfig, TokensConfig

ApiProtocol = Literal["chat_completions", "completions", "responses"]
SUFFIXES = {
    "/chat/completions": "chat_completions",
    "/completions": "completions",
    "/responses": "responses",
}
"""Path of each protocol; the first one that matches counts."""


def url_protocol(url: str) -> str | None:
    """The protocol a URL's path belongs to, or None (``.../v1``, a bare host)."""
    path = urlsplit(url).path.rstrip("/")
    return next((protocol for end, protocol in SUFFIXES.items() if path.endswith(end)), None)


def check_url(url: str) -> str:
    """The URL without trailing slash. Raises ValueError unless it is http(s) with a host."""
    shown = hidden_urls(url)
    if not url.startswith(("http://", "https://")):
        hint = f"; did you mean http://{shown}?" if "://" not in url else ""
        raise ValueError(f"{shown!r} must start with http:// or https://{hint}")
    if not urlsplit(url).hostname:
        raise ValueError(f"{shown!r} names no host")
    check_port(url)
    return url.rstrip("/")


def check_port(url: str) -> None:
    """Raises ValueError unless the port of a URL, if it names one, is a number from 1 to 65535."""
    parts = urlsplit(url)
    try:
        wrong = parts.port == 0
    except ValueError:
        wrong = True
    if wrong:
        shown = parts.netloc.rpartition("@")[2]
        raise ValueError(f"the port in {shown!r} must be a number from 1 to 65535")


class TimeoutsConfig(ConfigRecord):
    """Seconds for the parts of one request; null leaves only the benchmark's ``timeout``."""

    connect: float | None = Field(10.0, gt=0)
    """Seconds until the connection stands."""
    first_byte: float | None = Field(None, gt=0)
    """Seconds until the first byte of the answer."""
    total: float | None = Field(None, gt=0)
    """Seconds for one try, from connecting to the last byte."""
    idle: float | None = Field(600.0, gt=0)
    """Seconds between two pieces of an answer once it has begun; a response that stalls longer is
    aborted and requested again."""


class PriceConfig(ConfigRecord):
    """US dollars per million tokens."""

    prompt: float = Field(ge=0)
    """Price of prompt tokens."""
    completion: float = Field(ge=0)
    """Price of completion tokens."""
    cached: float | None = Field(None, ge=0)
    """Price of cached prompt tokens; null: the prompt price."""


class ModelFields(ConfigRecord):
    """Fields of every service that is a model."""

    max_input_tokens: int | None = Field(None, ge=1)
    """Longest prompt the model takes, in tokens: agents of harbor are told."""
    max_output_tokens: int | None = Field(None, ge=1)
    """Longest answer the model gives, in tokens: agents of harbor are told."""
    tokenizer: str | None = None
    """The model's tokenizer: ``remote`` (the endpoint's own ``/tokenize``), a path, or a hub id.
    Used by ``lm-eval://`` to tell a context from its continuation."""
    generation: GenerationConfig = Field(default_factory=GenerationConfig)
    """Sampling parameters sent with every request."""
    proxy: ProxyConfig | None = None
    """Interceptors, retries, limits and the log of the requests."""
    inert: ClassVar[tuple[str, ...]] = ("max_input_tokens", "max_output_tokens")
    """Fields without an effect: limits that agents are told; a benchmark that asks the model
    directly does not need them."""
    refused_in_proxy: ClassVar[tuple[str, ...]] = ()
    """Fields of ``proxy`` that it cannot take."""

    @property
    def answers(self) -> tuple[str, str] | None:
        """What answers: address and model, where that is known; equal ones are the same model."""
        return None

    @property
    def address(self) -> str:
        """Where the service is reached, as far as the configuration says."""
        return f"http://localhost:{getattr(self, 'port', None) or 8000}/v1"

    def warnings(self) -> list[str]:
        """What is odd about it but can be run."""
        return []


class ApiService(ModelFields):
    """A model endpoint that is already running."""

    type: Literal["api"] = "api"
    """Kind of service."""
    url: str
    """Base URL (``.../v1``), bare host, or the full path of the protocol."""
    replicas: list[str] = Field(default_factory=list)
    """URLs of further endpoints that serve the same model. Each request goes to the one with the
    fewest in flight, and on to another where nothing was paid: no connection, or overload."""
    protocol: ApiProtocol
    """API of the endpoint."""
    model: str | None = None
    """Model id sent to the endpoint; null: the service's name."""
    api_key: SecretStr | None = None
    """Key of the endpoint, best written as ``${VARIABLE}``."""
    api_key_env: str | None = Field(None, pattern=VARIABLE)
    """Name of the environment variable that holds the key, instead of ``api_key``."""
    api_key_command: str | list[str] | None = None
    """Where the key comes from if it expires: a line for the shell, a list of words that is run as
    it is, or a function ``python:module:function``. What it prints is the key."""
    api_key_ttl: float = Field(300.0, gt=0)
    """Seconds after which ``api_key_command`` is run again; a key that is refused (401) is
    renewed at once."""
    ca_file: str | None = None
    """PEM file of certificates that are trusted beside those of the system."""
    client_cert: str | None = None
    """PEM file of the certificate that is shown to the endpoint; it may hold the key too."""
    client_key: str | None = None
    """PEM file of the key of ``client_cert``, not encrypted."""
    http_proxy: str | None = None
    """HTTP proxy before the endpoint, ``http://HOST:PORT``; ``direct`` for none; null: the one that
    the environment names (HTTPS_PROXY, NO_PROXY and the like)."""
    health_path: str | None = None
    """Path asked to see whether the endpoint is up."""
    stream: bool = False
    """Ask for server-sent events, and record the time to the first token."""
    timeouts: TimeoutsConfig = Field(default_factory=TimeoutsConfig)
    """Limits on the parts of one request."""
    price: PriceConfig | None = None
    """Price per million tokens; null: the cost is unknown and not shown."""

    @field_validator("url")
    @classmethod
    def _is_http(cls, url: str) -> str:
        return check_url(url)

    @field_validator("replicas")
    @classmethod
    def _are_http(cls, urls: list[str]) -> list[str]:
        return [check_url(url) for url in urls]

    @field_validator("http_proxy")
    @classmethod
    def _is_plain_proxy(cls, url: str | None) -> str | None:
        if url is None or url == "direct":
            return url
        if "://" in url and not url.startswith("http://"):
            raise ValueError("only http:// proxies are supported")
        return check_url(url if "://" in url else f"http://{url}")

    @field_validator("api_key")
    @classmethod
    def _empty_is_none(cls, key: SecretStr | None) -> SecretStr | None:
        return key if key and key.get_secret_value() else None

    @model_validator(mode="after")
    def _go_together(self) -> ApiService:
        if self.api_key is not None and self.api_key_command is not None:
            raise ValueError("api_key and api_key_command are both set: remove one of them")
        if self.client_key is not None and self.client_cert is None:
            raise ValueError("client_key needs the client_cert it belongs to")
        files = [name for name in ("ca_file", "client_cert") if getattr(self, name) is not None]
        if files and not all(url.startswith("https://") for url in (self.url, *self.replicas)):
            raise ValueError(f"{files[0]} has no effect on an http:// url: use https://")
        if len(set(self.urls)) < len(self.urls):
            raise ValueError("replicas name an endpoint twice")
        return self

    inert: ClassVar[tuple[str, ...]] = (*ModelFields.inert, "health_path")

    @property
    def answers(self) -> tuple[str, str] | None:
        """See ``ModelFields``."""
        return (self.url.rstrip("/"), self.model) if self.model is not None else None

    @property
    def address(self) -> str:
        """The URL."""
        return self.url

    @property
    def urls(self) -> tuple[str, ...]:
        """The URLs of all endpoints."""
        return (self.url, *self.replicas)

    def warnings(self) -> list[str]:
        """One where the URL's path belongs to another protocol."""
        protocol = url_protocol(self.url)
        if protocol is None or protocol == self.protocol:
            return []
        url = hidden_urls(self.url)
        return [f"the path of {url} belongs to {protocol}, but protocol is {self.protocol}"]


class SimulatedService(ModelFields):
    """A simulated model inside this process, for trying things out and for testing with faults."""

    type: Literal["simulated"] = "simulated"
    """Kind of service."""
    model: str = "simulated"
    """Model id shown in results."""
    protocol: ApiProtocol = "chat_completions"
    """API that is simulated."""
    seed: int = 0
    """Seed of all random choices."""
    accuracy: float = Field(0.7, ge=0, le=1)
    """Share of problems answered right."""
    latency: LatencyConfig = Field(default_factory=LatencyConfig)
    """How long an answer takes."""
    completion_tokens: TokensConfig = Field(default_factory=TokensConfig)
    """How long an answer is."""
    reasoning: bool = False
    """Add a reasoning text to each answer."""
    tool_call_rate: float = Field(0.0, ge=0, le=1)
    """Share of requests with tools that are answered by a tool call."""
    faults: FaultsConfig = Field(default_factory=FaultsConfig)
    """Faults to simulate, with their probabilities."""
    stream: bool = False
    """Answer as server-sent events."""
    price: PriceConfig | None = None
    """Price per million tokens, to try out the cost display."""

    refused_in_proxy: ClassVar[tuple[str, ...]] = ("request_timeout", "extra_headers")
    """There is no connection that could take them."""

    @property
    def address(self) -> str:
        """A simulated service has no address."""
        return "simulated:"
