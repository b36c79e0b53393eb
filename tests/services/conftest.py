"""What the tests of the simulated model share: configurations, requests and a served model."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import Any

import pytest

from nemo_evaluator.config.services import SimulatedService
from nemo_evaluator.services.simulated.model import SimulatedModel
from nemo_evaluator.services.simulated.server import serving
from nemo_evaluator.traffic.types import CallContext, ModelRequest

Serve = Callable[..., AbstractAsyncContextManager[str]]


@pytest.fixture
def ask() -> Callable[..., ModelRequest]:
    """A chat request of one rollout."""

    def make(idx: int, *, repeat: int = 0, target: Any = None, **more: Any) -> ModelRequest:
        stream = more.pop("stream", False)
        attempt = more.pop("attempt", 1)
        body = {"model": "m", "messages": [{"role": "user", "content": f"Question {idx}?"}], **more}
        context = CallContext(
            session=f"b/{idx}/{repeat}",
            benchmark="b",
            problem_idx=idx,
            repeat=repeat,
            attempt=attempt,
            target=target,
        )
        return ModelRequest("chat_completions", body, stream=stream, context=context)

    return make


@pytest.fixture
def served() -> Serve:
    """Serves a simulated model over loopback; gives its base URL."""

    def serve(
        targets: dict[str, Any] | None = None, *, vary_repeats: bool = False, **config: Any
    ) -> AbstractAsyncContextManager[str]:
        service = SimulatedService.model_validate(config)
        return serving(SimulatedModel(service, targets, vary_repeats=vary_repeats))

    return serve
