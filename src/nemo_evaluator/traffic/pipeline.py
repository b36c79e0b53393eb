"""The pipeline: interceptors around a terminal, in the order they are listed."""

from __future__ import annotations

from collections.abc import Sequence

from .types import Forward, Interceptor, ModelRequest, ModelResponse


def compose(interceptors: Sequence[Interceptor], terminal: Forward) -> Forward:
    """One ``Forward`` that passes a request through every interceptor to the terminal."""
    forward = terminal
    for interceptor in reversed(interceptors):
        forward = _bind(interceptor, forward)
    return forward


def _bind(interceptor: Interceptor, forward: Forward) -> Forward:
    async def step(request: ModelRequest) -> ModelResponse:
        return await interceptor(request, forward)

    return step
