"""Clients of the scripted loopback server."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from nemo_evaluator.config.services import ApiService
from nemo_evaluator.traffic.client import ModelClient
from nemo_evaluator.traffic.open import open_http_model


@pytest.fixture
async def open_model(quick_retries: None) -> AsyncIterator[Callable[..., ModelClient]]:
    """Opens clients of ``ApiService(url, **fields)`` and closes them in the end."""
    models: list[ModelClient] = []

    def open_one(url: str, *, max_concurrent: int = 32, **fields: Any) -> ModelClient:
        fields = {"protocol": "chat_completions", "model": "m", **fields}
        service = ApiService.model_validate({"url": url, **fields})
        models.append(open_http_model("service", service, max_concurrent=max_concurrent))
        return models[-1]

    yield open_one
    for model in models:
        await model.close()
