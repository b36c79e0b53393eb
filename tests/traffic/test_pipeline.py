"""Interceptors wrap the terminal in the order they are listed, and are found by name."""

from __future__ import annotations

from typing import Any

import pytest

from nemo_evaluator.config.proxy import InterceptorConfig
from nemo_evaluator.errors import ConfigError
from nemo_evaluator.traffic.interceptors import list_interceptors, open_interceptors
from nemo_evaluator.traffic.pipeline import compose
from nemo_evaluator.traffic.types import Forward, ModelRequest, ModelResponse


class Mark:
    """Notes its name in the request on the way in."""

    def __init__(self, name: str, stop: bool = False) -> None:
        self.name, self.stop = name, stop

    async def __call__(self, request: ModelRequest, forward: Forward) -> ModelResponse:
        request.body["seen"] = [*request.body.get("seen", ()), self.name]
        if self.stop:
            return ModelResponse(200, {"from": self.name})
        return await forward(request)


class Picky:
    def __init__(self) -> None:
        raise ValueError("never happy")


async def terminal(request: ModelRequest) -> ModelResponse:
    return ModelResponse(200, {"seen": request.body.get("seen", [])})


def request() -> ModelRequest:
    return ModelRequest("chat_completions", {})


async def test_order() -> None:
    forward = compose([Mark("a"), Mark("b")], terminal)
    assert (await forward(request())).body == {"seen": ["a", "b"]}


async def test_not_calling_forward_ends_the_way() -> None:
    forward = compose([Mark("a", stop=True), Mark("b")], terminal)
    assert (await forward(request())).body == {"from": "a"}


async def test_no_interceptors() -> None:
    assert compose([], terminal) is terminal


def configured(*configs: dict[str, Any]) -> list[InterceptorConfig]:
    return [InterceptorConfig.model_validate(config) for config in configs]


async def test_interceptors_of_ones_own() -> None:
    path = f"{__name__}:Mark"
    found = open_interceptors(
        configured({"name": path, "config": {"name": "x"}}, {"name": "endpoint"})
    )
    assert (await compose(found, terminal)(request())).body == {"seen": ["x"]}


def test_errors_name_the_interceptor() -> None:
    with pytest.raises(ConfigError) as caught:
        open_interceptors(configured({"name": "cache"}))
    assert str(caught.value) == "no interceptor 'cache' — there are: endpoint"
    with pytest.raises(ConfigError, match="'no_such_module:X': ModuleNotFoundError"):
        open_interceptors(configured({"name": "no_such_module:X"}))
    with pytest.raises(ConfigError, match="ValueError: never happy"):
        open_interceptors(configured({"name": f"{__name__}:Picky"}))


def test_listing() -> None:
    assert list_interceptors() == [("endpoint", "retries, rate limits, concurrency")]
