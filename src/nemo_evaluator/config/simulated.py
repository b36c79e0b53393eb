"""The settings of the simulated model."""

from __future__ import annotations

from typing import Literal, get_args

from pydantic import Field, model_validator

from .base import ConfigRecord

FaultKind = Literal[
    "rate_limit",
    "server_error",
    "drop",
    "hang",
    "invalid_json",
    "truncated_json",
    "empty",
    "length",
]
FAULTS: tuple[FaultKind, ...] = get_args(FaultKind)
"""What can go wrong with a request, by design: each a field with its probability."""


class LatencyConfig(ConfigRecord):
    """How long the simulated model takes, in milliseconds."""

    distribution: Literal["constant", "uniform", "lognormal"] = "constant"
    """Shape of the latencies."""
    mean_ms: float = Field(0.0, ge=0)
    """Mean latency in milliseconds."""
    sigma: float = Field(0.5, ge=0)
    """Standard deviation of the logarithm (lognormal); half the width over the mean (uniform)."""
    max_ms: float | None = Field(None, gt=0)
    """Longest latency in milliseconds; null is unlimited."""


class TokensConfig(ConfigRecord):
    """Completion tokens of a simulated answer."""

    mean: int = Field(64, ge=1)
    """Mean number of tokens."""
    sigma: float = Field(0.0, ge=0)
    """Standard deviation of the logarithm of that number; 0 makes all answers alike."""


def check_faults(rates: object) -> None:
    """Raise ValueError where the probabilities of all faults exceed 1."""
    # A hair of slack: 0.1 ten times is not exactly 1.
    if sum(getattr(rates, name) for name in FAULTS) > 1 + 1e-9:
        raise ValueError("the probabilities of all faults together exceed 1")


class FaultsConfig(ConfigRecord):
    """Faults of the simulated model, each with its probability per request."""

    rate_limit: float = Field(0.0, ge=0, le=1)
    """429 with Retry-After."""
    server_error: float = Field(0.0, ge=0, le=1)
    """500 or 503."""
    drop: float = Field(0.0, ge=0, le=1)
    """The connection is dropped."""
    hang: float = Field(0.0, ge=0, le=1)
    """Nothing comes for ``hang_s`` seconds."""
    invalid_json: float = Field(0.0, ge=0, le=1)
    """200 with a body that is not JSON."""
    truncated_json: float = Field(0.0, ge=0, le=1)
    """200 with a body cut in the middle."""
    empty: float = Field(0.0, ge=0, le=1)
    """An empty answer."""
    length: float = Field(0.0, ge=0, le=1)
    """An answer cut by the token limit (finish reason ``length``)."""
    retry_after_s: float = Field(0.05, ge=0)
    """Seconds named in Retry-After."""
    hang_s: float = Field(60.0, gt=0)
    """Seconds a hanging request takes."""

    @model_validator(mode="after")
    def _sum_is_a_probability(self) -> FaultsConfig:
        check_faults(self)
        return self
