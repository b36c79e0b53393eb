"""A model that answers from a script: for tests of solvers, agents and benchmarks."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager

from ..records import Json
from ..traffic.client import ModelClient
from ..traffic.errors import CannotPassThrough
from ..traffic.settings import ModelSettings
from ..traffic.transport import RawRequest, RawResponse
from ..traffic.types import ModelRequest, ModelResponse

Script = Callable[[ModelRequest], "str | dict[str, Json] | ModelResponse | Exception"]
"""What a model answers to a request: a text, a message (tool calls and all), a whole response, or
an error to raise."""
TOKENS = {"prompt_tokens": 7, "completion_tokens": 3, "total_tokens": 10}


class ScriptedTransport:
    """Answers requests by a script, in the place of an endpoint."""

    own_headers: frozenset[str] = frozenset()

    def __init__(self, script: Script, *, seconds: float = 0.0) -> None:
        self._script, self._seconds = script, seconds
        self.requests: list[ModelRequest] = []
        """What was asked so far."""

    async def __call__(self, request: ModelRequest) -> ModelResponse:
        """See ``Transport``."""
        self.requests.append(request)
        await asyncio.sleep(self._seconds)
        reply = self._script(request)
        if isinstance(reply, Exception):
            raise reply
        return (
            reply if isinstance(reply, ModelResponse) else ModelResponse(200, _body(request, reply))
        )

    def pass_through(self, request: RawRequest) -> AbstractAsyncContextManager[RawResponse]:
        """See ``Transport``."""
        raise CannotPassThrough

    async def check(self, model: str) -> str | None:
        """See ``Transport``."""
        return None

    async def close(self) -> None:
        """See ``Transport``."""


def scripted_model(script: Script, *, protocol: str = "chat_completions") -> ModelClient:
    """A model behind the whole pipeline: retries, limits and accounts are those of any other.

    >>> model = scripted_model(lambda request: "42")
    """
    settings = ModelSettings(model="scripted", protocol=protocol, max_retries=0)
    return ModelClient(settings, ScriptedTransport(script))


def _body(request: ModelRequest, said: str | dict[str, Json]) -> dict[str, Json]:
    message = {"content": said} if isinstance(said, str) else said
    finish = "tool_calls" if message.get("tool_calls") else "stop"
    choice: dict[str, Json] = {"index": 0, "finish_reason": finish}
    if request.protocol == "completions":
        choice["text"] = message.get("content")
    else:
        choice["message"] = {"role": "assistant", **message}
    return {"id": "scripted", "model": "scripted", "choices": [choice], "usage": TOKENS}
