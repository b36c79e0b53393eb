"""One interceptor, opened from its configuration, in a real pipeline around a scripted endpoint."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator, Callable, Sequence
from typing import Any

from nemo_evaluator.config.proxy import InterceptorConfig
from nemo_evaluator.config.scrubber import KNOWN
from nemo_evaluator.traffic.interceptors.opening import open_interceptors
from nemo_evaluator.traffic.pipeline import Pipeline
from nemo_evaluator.traffic.scrub import Scrubber
from nemo_evaluator.traffic.sse import SseParser
from nemo_evaluator.traffic.types import CallContext, ModelRequest, ModelResponse

Body = dict[str, Any]
Answer = Body | Exception


def configured(name: str, config: Body | None = None) -> InterceptorConfig:
    return InterceptorConfig.model_validate({"name": name, "config": config or {}})


def knowing(*secrets: str) -> Scrubber:
    """What cleans the traffic of a process that knows these secrets."""
    KNOWN.learn(*secrets)
    return Scrubber()


class Scripted:
    """A pipeline of some steps around an endpoint that answers as told and keeps what it got."""

    def __init__(self, *configs: InterceptorConfig) -> None:
        self.steps = open_interceptors(configs)
        self.pipeline = Pipeline(self.steps, self._terminal)
        self.answer: Callable[[ModelRequest], Answer] = lambda _: {"choices": []}
        self.events: Sequence[Body] | None = None
        self.done = True
        self.got: list[ModelRequest] = []

    @property
    def step(self) -> Any:
        return self.steps[0][1]

    async def send(
        self,
        body: Body,
        answer: Answer | None = None,
        *,
        session: str = "s",
        protocol: str = "chat_completions",
        headers: dict[str, str] | None = None,
    ) -> Body:
        """The body of the whole answer."""
        if answer is not None:
            self.answer = lambda _: answer
        context = CallContext(session=session)
        request = ModelRequest(protocol, body, headers or {}, context=context)
        return (await self.pipeline(request)).body

    async def stream(
        self,
        events: Sequence[Body],
        body: Body | None = None,
        *,
        protocol: str = "chat_completions",
        done: bool = True,
    ) -> tuple[list[Body], Body]:
        """The events the caller got, and the body the response sides made."""
        self.events, self.done = events, done
        context = CallContext(session="s")
        request = ModelRequest(protocol, body or {}, stream=True, live=True, context=context)
        response = await self.pipeline(request)
        self.events = None
        assert response.chunks is not None
        parser = SseParser()
        found = [event async for chunk in response.chunks for event in parser.feed(chunk)]
        assert parser.done is done
        return found, response.body

    async def _terminal(self, request: ModelRequest) -> ModelResponse:
        self.got.append(request)
        if self.events is not None:
            return ModelResponse(200, {}, {}, chunks=self._chunks(self.events))
        answer = self.answer(request)
        if isinstance(answer, Exception):
            raise answer
        return ModelResponse(200, answer)

    async def _chunks(self, events: Sequence[Body]) -> AsyncGenerator[bytes]:
        for event in events:
            yield b"data: " + json.dumps(event).encode() + b"\n\n"
        if self.done:
            yield b"data: [DONE]\n\n"


async def sent(
    name: str, config: Body, body: Body, *, protocol: str = "chat_completions"
) -> ModelRequest:
    """What the endpoint gets of a request."""
    pipeline = Scripted(configured(name, config))
    await pipeline.send(body, protocol=protocol)
    return pipeline.got[0]
