"""Steps take effect in the promised order, end exactly once, and are found by name."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nemo_evaluator.config.base import ConfigRecord
from nemo_evaluator.config.proxy import InterceptorConfig
from nemo_evaluator.errors import ConfigError, InfraError
from nemo_evaluator.kinds import INTERCEPTORS
from nemo_evaluator.traffic.errors import TransportError
from nemo_evaluator.traffic.interceptors.opening import open_interceptors
from nemo_evaluator.traffic.pipeline import Pipeline
from nemo_evaluator.traffic.sse import encode_event
from nemo_evaluator.traffic.types import (
    Ended,
    EventFilter,
    Forward,
    Interceptor,
    ModelRequest,
    ModelResponse,
)
from nemo_evaluator.types import Failure


class Mark(Interceptor):
    """Notes its name wherever it is called."""

    class Options(ConfigRecord):
        name: str

    def __init__(self, options: Options) -> None:
        self.name = options.name
        self.ends: list[str] = []

    def on_request(self, request: ModelRequest) -> None:
        request.body.setdefault("seen", []).append(f"request {self.name}")

    async def around(self, request: ModelRequest, forward: Forward) -> ModelResponse:
        request.body["seen"].append(f"around {self.name}")
        return await forward(request)

    def on_response(self, request: ModelRequest, response: ModelResponse) -> None:
        request.body["seen"].append(f"response {self.name}")

    def on_end(self, request: ModelRequest, ended: Ended) -> None:
        request.body["seen"].append(f"end {self.name}")
        self.ends.append(type(ended).__name__)


async def middleware(request: ModelRequest, forward: Forward) -> ModelResponse:
    """A plain function is a step too."""
    request.body.setdefault("seen", []).append("middleware")
    return await forward(request)


class Careless(Interceptor):
    def on_request(self, request: ModelRequest) -> None:
        raise KeyError("oops")


class BestEffort(Interceptor):
    best_effort = True

    def on_response(self, request: ModelRequest, response: ModelResponse) -> None:
        raise KeyError("oops")

    def on_end(self, request: ModelRequest, ended: Ended) -> None:
        raise KeyError("oops")


class Upper(Interceptor):
    def event_filter(self, request: ModelRequest) -> EventFilter:
        return _UpperFilter()


class _UpperFilter:
    def feed(self, event: dict[str, Any]) -> list[dict[str, Any]]:
        for choice in event.get("choices", ()):
            if text := choice["delta"].get("content"):
                choice["delta"]["content"] = text.upper()
        return [event]

    def close(self) -> list[dict[str, Any]]:
        return []


class Picky:
    def __init__(self) -> None:
        raise ValueError("never happy")


async def terminal(request: ModelRequest) -> ModelResponse:
    request.body.setdefault("seen", []).append("terminal")
    return ModelResponse(200, {})


def marks(*names: str) -> list[tuple[str, Mark]]:
    return [(name, Mark(Mark.Options(name=name))) for name in names]


def ask(live: bool = False) -> ModelRequest:
    return ModelRequest("chat_completions", {}, stream=live, live=live)


@given(st.lists(st.sampled_from("abcdef"), unique=True))
async def test_every_side_goes_in_the_listed_order(names: list[str]) -> None:
    request = ask()
    await Pipeline(marks(*names), terminal)(request)
    sides = [[f"{side} {name}" for name in names] for side in ("request", "around")]
    ends = [[f"{side} {name}" for name in names] for side in ("response", "end")]
    expected = [*sides[0], *sides[1], "terminal", *ends[0], *ends[1]]
    assert request.body["seen"] == expected


async def test_an_answer_from_within_still_passes_all_response_sides() -> None:
    async def cache(request: ModelRequest, forward: Forward) -> ModelResponse:
        return ModelResponse(200, {}, source="cache")

    request = ask()
    (name, first), (_, last) = marks("a", "b")
    await Pipeline([(name, first), ("cache", cache), ("b", last)], terminal)(request)
    assert request.body["seen"] == [
        *("request a", "request b", "around a"),
        *("response a", "response b", "end a", "end b"),
    ]


async def test_failures_end_once_and_pass_no_response_side() -> None:
    async def broken(request: ModelRequest) -> ModelResponse:
        raise InfraError("gone", kind=Failure.CONNECTION)

    [(name, mark)] = marks("a")
    with pytest.raises(InfraError, match="gone"):
        await Pipeline([(name, mark)], broken)(ask())
    assert mark.ends == ["InfraError"]


async def test_a_failing_step_is_named() -> None:
    with pytest.raises(InfraError, match="interceptor 'my_step' failed: KeyError: 'oops'"):
        await Pipeline([("my_step", Careless())], terminal)(ask())


async def test_best_effort_never_fails_a_call() -> None:
    response = await Pipeline([("notes", BestEffort())], terminal)(ask())
    assert response.status == 200


def stream(*pieces: str, done: bool = True) -> list[bytes]:
    chunks = [
        encode_event({"id": "1", "choices": [{"index": 0, "delta": {"content": piece}}]})
        for piece in pieces
    ]
    return [*chunks, b"data: [DONE]\n\n"] if done else chunks


def streaming(chunks: list[bytes], error: Exception | None = None) -> Forward:
    async def send(request: ModelRequest) -> ModelResponse:
        async def generate() -> AsyncGenerator[bytes]:
            for chunk in chunks:
                yield chunk
            if error is not None:
                raise error

        return ModelResponse(200, {}, chunks=generate())

    return send


async def read(response: ModelResponse) -> bytes:
    assert response.chunks is not None
    return b"".join([chunk async for chunk in response.chunks])


async def test_a_stream_passes_untouched_and_is_seen_whole_at_its_end() -> None:
    [(name, mark)] = marks("a")
    chunks = stream("The ", "answer")
    response = await Pipeline([(name, mark)], streaming(chunks))(ask(live=True))
    assert mark.ends == []
    assert await read(response) == b"".join(chunks)
    assert response.body["choices"][0]["message"]["content"] == "The answer"
    assert response.ttft_ms is not None
    assert mark.ends == ["ModelResponse"]


async def test_filters_change_events_on_their_way() -> None:
    response = await Pipeline([("upper", Upper())], streaming(stream("a", "b")))(ask(live=True))
    data = await read(response)
    assert b'"A"' in data and b'"B"' in data and data.endswith(b"data: [DONE]\n\n")


@pytest.mark.parametrize(
    ("chunks", "error"),
    [
        (stream("a", done=False), None),
        (stream("a"), TransportError(Failure.CONNECTION, "reset")),
        ([*stream("a", done=False), b"data: {not json}\n\n"], None),
        ([*stream("a", done=False), encode_event({"error": {"message": "boom"}})], None),
    ],
    ids=["cut", "reset", "not json", "error event"],
)
async def test_a_broken_stream_is_a_failure(chunks: list[bytes], error: Exception | None) -> None:
    [(name, mark)] = marks("a")
    response = await Pipeline([(name, mark)], streaming(chunks, error))(ask(live=True))
    with pytest.raises(InfraError):
        await read(response)
    assert mark.ends == ["InfraError"]


async def test_a_caller_who_leaves_ends_the_call_once() -> None:
    [(name, mark)] = marks("a")
    response = await Pipeline([(name, mark)], streaming(stream("a", "b")))(ask(live=True))
    assert response.chunks is not None
    await anext(response.chunks)
    await response.chunks.aclose()
    assert mark.ends == ["GeneratorExit"]


def configured(*configs: dict[str, Any]) -> list[InterceptorConfig]:
    return [InterceptorConfig.model_validate(config) for config in configs]


async def test_interceptors_of_ones_own() -> None:
    steps = open_interceptors(
        configured(
            {"name": f"{__name__}:Mark", "config": {"name": "x"}},
            {"name": "endpoint"},
        )
    )
    request = ask()
    await Pipeline([*steps, ("fn", middleware)], terminal)(request)
    assert request.body["seen"] == [
        *("request x", "around x", "middleware", "terminal", "response x", "end x")
    ]


@pytest.mark.parametrize(
    ("config", "message"),
    [
        (
            {"name": "cachin"},
            "interceptors[0].name: there is no interceptor 'cachin' — did you mean 'caching'?;"
            " your own is named module:Class",
        ),
        (
            {"name": "no_such_module:X"},
            "interceptors[0].name: cannot be loaded: ModuleNotFoundError:"
            " No module named 'no_such_module' — the module must be importable from here",
        ),
        ({"name": f"{__name__}:Picky"}, f"interceptor '{__name__}:Picky': ValueError: never happy"),
        ({"name": f"{__name__}:Mark"}, "interceptors[0].config.name: is required"),
        (
            {"name": "endpoint", "config": {"max_retry": 1}},
            "interceptors[0].config.max_retry: unknown field — did you mean 'max_retries'?",
        ),
    ],
    ids=["unknown", "no module", "raises", "missing option", "unknown option"],
)
def test_errors_name_interceptor_and_option(config: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        open_interceptors(configured(config))
    assert str(caught.value) == message


def test_interceptors_are_listed_endpoint_first() -> None:
    names = INTERCEPTORS.names()
    assert names[0] == "endpoint" and "caching" in names
