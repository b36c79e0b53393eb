"""The `proxy` section: interceptors, retries, limits and the log of requests to a service."""

from __future__ import annotations

import re
from typing import Any, Literal

from pydantic import Field, ValidationInfo, field_validator

from .base import ConfigRecord

_HOST = r"(\[[0-9a-fA-F:.]+\]|[\w.-]+)(:\d{1,5})?"
FORMS = {
    "pass_through": (
        re.compile(r"/|(/(?!\.{1,2}(/|$))[\w.~%:@!$&'()+,;=-]+)+/?"),
        "a path: write it as /v1/files, without * and query",
    ),
    "allowed_origins": (
        re.compile(rf"[a-zA-Z][\w+.-]*://{_HOST}"),
        "an origin: write scheme://host, or with :port",
    ),
    "allowed_hosts": (re.compile(_HOST), "a host: write name or name:port"),
}
"""How the entries of some fields are written."""
RETRY_ON_STATUS = (408, 409, 429, 500, 502, 503, 504)


def check_statuses(statuses: list[int]) -> list[int]:
    """The statuses. Raises ValueError unless all are HTTP errors."""
    if wrong := [status for status in statuses if not 400 <= status <= 599]:
        raise ValueError(f"{wrong[0]} is not an HTTP error status (400 to 599)")
    return statuses


class InterceptorConfig(ConfigRecord):
    """One step of the pipeline."""

    name: str = Field(min_length=1)
    """Name of the interceptor; `nel list interceptors` shows them."""
    config: dict[str, Any] = Field(default_factory=dict)
    """Its options."""


class ModelTrafficCaptureConfig(ConfigRecord):
    """What is kept of the traffic, in `model_traffic.jsonl` of each benchmark."""

    level: Literal["off", "summary", "full"] | None = None
    """`summary`: a line per call without texts; `full`: with them, as the `capture_` fields say;
    null: `full` where `capture_request_body` is set, else `summary`."""
    capture_tool_calls: bool = True
    """Keep the arguments of tool calls."""
    capture_reasoning: bool = True
    """Keep reasoning texts."""
    capture_messages: bool = True
    """Keep messages: the answer's, and those of the request that the session had not sent yet."""
    capture_request_body: bool = False
    """Keep whole request bodies."""
    max_content_chars: int = Field(0, ge=0)
    """Longest text kept, in characters; 0 is unlimited."""
    max_mb: int = Field(512, ge=1)
    """Size of the file from which on only summaries are written; at twice the size nothing is."""
    path: str | None = None
    """File for the traffic of a bare `nel proxy`; null: none."""

    @field_validator("level", mode="before")
    @classmethod
    def _off_is_a_word(cls, level: object) -> object:
        return "off" if level is False else level  # what YAML 1.1 makes of it

    @property
    def kept(self) -> str:
        """The level that holds."""
        return self.level or ("full" if self.capture_request_body else "summary")


class ProxyConfig(ConfigRecord):
    """Request handling of one service."""

    interceptors: list[InterceptorConfig] = Field(default_factory=list)
    """Steps of the pipeline, in order."""
    verbose: bool = False
    """Log every request."""
    extra_body: dict[str, Any] = Field(default_factory=dict)
    """Fields added to every request body; what a request sets itself wins."""
    extra_headers: dict[str, str] = Field(default_factory=dict)
    """Headers added to every request."""
    request_timeout: float | None = Field(None, gt=0)
    """Seconds for one try; null leaves only the benchmark's ``timeout``."""
    max_retries: int = Field(6, ge=0)
    """Tries after the first, for one request."""
    max_outage: float = Field(300.0, ge=0)
    """Seconds to wait for an endpoint that has answered and then cannot be reached, or fails every
    call; then the run ends as incomplete."""
    retry_on_status: list[int] = Field(default_factory=lambda: list(RETRY_ON_STATUS))
    """HTTP statuses that are tried again; failed connections always are."""
    max_concurrent_upstream: int = Field(64, ge=1)
    """Most requests in flight to the service, whatever the benchmarks allow."""
    model_traffic: ModelTrafficCaptureConfig = Field(default_factory=ModelTrafficCaptureConfig)
    """The log of the traffic: which parts of requests and responses are kept."""
    pass_through: list[str] = Field(default_factory=list)
    """Paths that the proxy forwards to the endpoint although they are not model calls, each with
    everything below it: `/v1/files`; `/` stands for all."""
    allowed_origins: list[str] = Field(default_factory=list)
    """Origins of web pages that may use the proxy from a browser: `https://ui.example.com`."""
    allowed_hosts: list[str] = Field(default_factory=list)
    """Further host names, `name` or `name:port`, that a proxy on loopback may be reached by."""
    finish_reason_fixup: bool = True
    """Fix finish reasons that contradict the answer."""

    @field_validator(*FORMS)
    @classmethod
    def _are_written_so(cls, texts: list[str], info: ValidationInfo) -> list[str]:
        pattern, what = FORMS[str(info.field_name)]
        for text in texts:
            if not pattern.fullmatch(text):
                raise ValueError(f"{text!r} is not {what}")
        return texts

    @field_validator("retry_on_status")
    @classmethod
    def _are_failures(cls, statuses: list[int]) -> list[int]:
        return check_statuses(statuses)
