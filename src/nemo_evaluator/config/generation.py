"""Sampling parameters, shared by services and solvers."""

from __future__ import annotations

from typing import Any

from pydantic import Field

from .base import ConfigRecord


class GenerationConfig(ConfigRecord):
    """What is sent with every request; null is not sent."""

    temperature: float | None = Field(None, ge=0, le=2)
    """Sampling temperature."""
    top_p: float | None = Field(None, ge=0, le=1)
    """Nucleus sampling: the share of probability that is kept."""
    max_tokens: int | None = Field(None, gt=0)
    """Limit on the tokens of an answer, reasoning included where the endpoint counts it."""
    seed: int | None = None
    """Sampling seed. Repeat r of a problem sends seed + r: otherwise all repeats would be equal."""
    stop: list[str] | None = None
    """Texts that end the answer."""
    frequency_penalty: float | None = Field(None, ge=-2, le=2)
    """Penalty that grows with every repetition of a token."""
    presence_penalty: float | None = Field(None, ge=-2, le=2)
    """Penalty for tokens that appeared at all."""
    top_k: int | None = Field(None, ge=-1)
    """Keep only the k likeliest tokens (-1: all); not part of the OpenAI protocol."""
    min_p: float | None = Field(None, ge=0, le=1)
    """Least probability relative to the likeliest token; not part of the OpenAI protocol."""
    reasoning_effort: str | None = Field(None, min_length=1)
    """How long a reasoning model may think, e.g. ``low``, ``medium``, ``high``."""
    extra_body: dict[str, Any] | None = None
    """Further fields of the request body, sent as they are."""

    def params(self) -> dict[str, Any]:
        """The parameters that were set, as request fields (``extra_body`` spread out)."""
        names = [name for name in type(self).model_fields if name != "extra_body"]
        values = {name: getattr(self, name) for name in names if getattr(self, name) is not None}
        return {**values, **(self.extra_body or {})}
