"""How requests to a service are handled on their way: the `proxy` section."""

from __future__ import annotations

from typing import Any

from pydantic import Field

from .base import ConfigRecord


class InterceptorConfig(ConfigRecord):
    """One step of the pipeline."""

    name: str
    config: dict[str, Any] = Field(default_factory=dict)


class ModelTrafficCaptureConfig(ConfigRecord):
    """What is kept of the traffic."""

    capture_tool_calls: bool = True
    capture_reasoning: bool = True
    capture_messages: bool = True
    capture_request_body: bool = False
    max_content_chars: int = Field(0, ge=0)


class ProxyConfig(ConfigRecord):
    """Request handling of one service."""

    interceptors: list[InterceptorConfig] = Field(default_factory=list)
    verbose: bool = False
    extra_body: dict[str, Any] = Field(default_factory=dict)
    """Fields added to every request body; what a request sets itself wins."""
    extra_headers: dict[str, str] = Field(default_factory=dict)
    """Headers added to every request."""
    request_timeout: float | None = Field(None, gt=0)
    """Seconds for one try; null leaves only the rollout's timeout."""
    max_retries: int = Field(6, ge=0)
    """Tries after the first, for one request."""
    retry_on_status: list[int] = Field(
        default_factory=lambda: [408, 409, 425, 429, 500, 502, 503, 504]
    )
    max_concurrent_upstream: int = Field(64, ge=1)
    """Most requests in flight to the service, whatever the benchmarks allow."""
    model_traffic: ModelTrafficCaptureConfig = Field(default_factory=ModelTrafficCaptureConfig)
    finish_reason_fixup: bool = True
