"""Sampling parameters, shared by services and solvers."""

from __future__ import annotations

from typing import Any

from pydantic import Field

from .base import ConfigRecord


class GenerationConfig(ConfigRecord):
    """What is sent with every request; null is not sent."""

    temperature: float | None = Field(None, ge=0, le=2)
    top_p: float | None = Field(None, ge=0, le=1)
    max_tokens: int | None = Field(None, gt=0)
    seed: int | None = None
    """Repeat r of a problem sends seed + r, so that repeats do not collapse into one answer."""
    stop: list[str] | None = None
    frequency_penalty: float | None = Field(None, ge=-2, le=2)
    presence_penalty: float | None = Field(None, ge=-2, le=2)
    top_k: int | None = Field(None, ge=-1)
    min_p: float | None = Field(None, ge=0, le=1)
    reasoning_effort: str | None = None
    extra_body: dict[str, Any] | None = None
    """Further fields of the request body, sent as they are."""

    def params(self) -> dict[str, Any]:
        """The parameters that were set, as request fields (``extra_body`` spread out)."""
        values = self.model_dump(exclude_none=True, exclude={"extra_body"})
        return {**values, **(self.extra_body or {})}
