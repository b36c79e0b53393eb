"""`fault`: injects failures below the endpoint's retries, to test a run on real traffic.

Which try fails, and how, follows from the seed, the request, its rollout and attempt, and the
number of the try: a test can be repeated, and a retry can succeed. Only ``empty``, ``length``
and a ``drop`` of a live stream ask the upstream at all.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import AsyncGenerator
from contextlib import aclosing
from hashlib import blake2b

from pydantic import Field, model_validator

from ...config.base import ConfigRecord
from ...config.simulated import FAULTS, FaultKind, check_faults
from ...records import Json
from ...types import Failure
from ..dialects.contract import as_dict, dicts, text_of
from ..errors import TransportError
from ..store.keys import Keys
from ..store.recording_file import Occurrences, Scope
from ..types import CallContext, Changes, Forward, Interceptor, ModelRequest, ModelResponse, Place

log = logging.getLogger("nemo_evaluator.traffic")


class Fault(Interceptor):
    """Lets tries fail."""

    changes = Changes.ANSWERS

    class Options(ConfigRecord):
        """Probability of each fault per try; together at most 1."""

        rate_limit: float = Field(0.0, ge=0, le=1)
        """429 with Retry-After."""
        server_error: float = Field(0.0, ge=0, le=1)
        """500 or 503."""
        drop: float = Field(0.0, ge=0, le=1)
        """The connection is dropped; that of a live stream after its first event."""
        hang: float = Field(0.0, ge=0, le=1)
        """Nothing comes for ``hang_s`` seconds, then the try has timed out."""
        invalid_json: float = Field(0.0, ge=0, le=1)
        """200 with a body that is not JSON."""
        truncated_json: float = Field(0.0, ge=0, le=1)
        """200 with a body cut in the middle."""
        empty: float = Field(0.0, ge=0, le=1)
        """The upstream's answer without its content."""
        length: float = Field(0.0, ge=0, le=1)
        """The first half of the upstream's answer, with finish reason ``length``."""
        retry_after_s: float = Field(0.05, ge=0)
        """Seconds named in Retry-After."""
        hang_s: float = Field(60.0, gt=0)
        """Seconds a hanging try takes."""
        seed: int = 0
        """Another seed gives other faults."""

        @model_validator(mode="after")
        def _sum_is_a_probability(self) -> Fault.Options:
            check_faults(self)
            return self

    def __init__(self, options: Options) -> None:
        self._options = options
        self._keys = Keys("fault", str(options.seed))
        self._tries = Occurrences()
        self.injected: Counter[FaultKind] = Counter()
        """How often each fault was injected."""

    def open(self, place: Place) -> None:
        """Warn: with injected faults the scores mean nothing."""
        log.warning("%s: faults are injected into the traffic (interceptor `fault`)", place.service)

    def wrap_transport(self, transport: Forward) -> Forward:
        """The transport, at times a broken one."""

        async def broken(request: ModelRequest) -> ModelResponse:
            drawn = self._draw_fault(request)
            if drawn is None:
                return await transport(request)
            kind, variant = drawn
            self.injected[kind] += 1
            if kind == "drop" and request.live:
                return await _drop_in_the_middle(request, transport)
            if kind == "empty" or kind == "length":
                return _with_fault(await transport(_whole(request)), kind)
            return await self._failed(kind, variant)

        return broken

    def end_session(self, context: CallContext) -> None:
        """Forget the session's tries."""
        self._tries.forget(context)

    async def close(self) -> None:
        """Tell what was injected."""
        counts = ", ".join(f"{kind} {count}" for kind, count in self.injected.items())
        log.info("faults injected: %s", counts or "none")

    def _draw_fault(self, request: ModelRequest) -> tuple[FaultKind, int] | None:
        """The fault of this try, and which of its two forms."""
        scope = Scope.of(request.context)
        key = self._keys(request.protocol, request.form())
        number = self._tries.next(scope, key)
        text = "\0".join(map(str, (*scope, number))).encode("utf-8", "surrogatepass")
        bits = int.from_bytes(blake2b(key + text, digest_size=8).digest())
        drawn = bits / 2**64
        for kind in FAULTS:
            drawn -= getattr(self._options, kind)
            if drawn < 0:
                return kind, bits & 1
        return None

    async def _failed(self, kind: FaultKind, variant: int) -> ModelResponse:
        match kind:
            case "rate_limit":
                headers = {"retry-after": f"{self._options.retry_after_s:g}"}
                text = "rate limit reached: too many requests per minute (injected)"
                return ModelResponse(429, _error(text), headers)
            case "server_error":
                return ModelResponse(
                    503 if variant else 500, _error("the server failed (injected)")
                )
            case "hang":
                await asyncio.sleep(self._options.hang_s)
                text = f"timeout: no answer within {self._options.hang_s:g} s (injected)"
                raise TransportError(Failure.TIMEOUT, text)
            case "invalid_json":
                text = "the response is not a JSON object: '<html>' (injected)"
                raise TransportError(Failure.INVALID_RESPONSE, text)
            case "truncated_json":
                text = "the response is not a JSON object: it is cut off (injected)"
                raise TransportError(Failure.INVALID_RESPONSE, text)
            case _:
                text = "the connection was dropped (injected)"
                raise TransportError(Failure.CONNECTION, text)


async def _drop_in_the_middle(request: ModelRequest, transport: Forward) -> ModelResponse:
    response = await transport(request)
    text = "the response broke off (injected)"
    if response.chunks is None:
        raise TransportError(Failure.CONNECTION, text)

    async def begun(chunks: AsyncGenerator[bytes]) -> AsyncGenerator[bytes]:
        async with aclosing(chunks):
            async for chunk in chunks:
                first, mark, _ = chunk.partition(b"\n\n")
                yield first + mark
                raise TransportError(Failure.CONNECTION, text)

    response.chunks = begun(response.chunks)
    return response


def _whole(request: ModelRequest) -> ModelRequest:
    """The same request of a caller who takes no stream."""
    return ModelRequest(
        request.protocol,
        request.body,
        request.headers,
        stream=request.stream,
        context=request.context,
    )


def _with_fault(response: ModelResponse, kind: FaultKind) -> ModelResponse:
    """The answer without its content, or half of it; what is no answer stays."""
    if response.status != 200:
        return response
    body, finish = response.body, "length" if kind == "length" else "stop"
    if isinstance(body.get("choices"), list):
        choices = [_spoilt_choice(choice, finish) for choice in dicts(body["choices"])]
        response.body = {**body, "choices": choices}
    elif isinstance(body.get("output"), list):
        response.body = _spoilt_output(body, finish)
    return response


def _spoilt_choice(choice: dict[str, Json], finish: str) -> dict[str, Json]:
    ended = {**choice, "finish_reason": finish}
    ended.pop("logprobs", None)
    if "message" not in choice:
        return {**ended, "text": _part(text_of(choice.get("text")), finish)}
    message = as_dict(choice["message"])
    content = _part(text_of(message.get("content")), finish)
    return {**ended, "message": {"role": message.get("role", "assistant"), "content": content}}


def _spoilt_output(body: dict[str, Json], finish: str) -> dict[str, Json]:
    messages = []
    for item in dicts(body["output"]):
        if item.get("type") == "message":
            text = _part(text_of(item.get("content")), finish)
            content = [{"type": "output_text", "text": text, "annotations": []}]
            messages.append({**item, "content": content})
    empty = {"type": "message", "role": "assistant", "content": []}
    spoilt = {**body, "output": messages or [empty]}
    if finish == "length":
        spoilt |= {"status": "incomplete", "incomplete_details": {"reason": "max_output_tokens"}}
    return spoilt


def _part(text: str, finish: str) -> str:
    return text[: len(text) // 2] if finish == "length" else ""


def _error(text: str) -> dict[str, Json]:
    return {"error": {"message": text, "type": "injected", "param": None, "code": None}}
