"""The simulated model as a transport in this process: below the real retries and limits."""

from __future__ import annotations

import asyncio
import time
from contextlib import AbstractAsyncContextManager

from ...config.services import SimulatedService
from ...traffic.errors import CannotPassThrough, TransportError
from ...traffic.transport import RawRequest, RawResponse
from ...traffic.types import ModelRequest, ModelResponse
from ...types import Failure
from .faults import error_response
from .model import Fault, SimulatedModel
from .wire import response

FIRST_TOKEN = 0.25
"""Part of a streamed answer's time that passes before its first token."""

_BROKEN = {
    Fault.DROP: (Failure.CONNECTION, "the connection was dropped (simulated)"),
    Fault.HANG: (Failure.CONNECTION, "the connection hung and was dropped (simulated)"),
    Fault.INVALID_JSON: (Failure.INVALID_RESPONSE, "the response is not JSON (simulated)"),
    Fault.TRUNCATED_JSON: (Failure.INVALID_RESPONSE, "the response is cut off (simulated)"),
}


class SimulatedTransport:
    """Calls the simulated model."""

    def __init__(self, config: SimulatedService) -> None:
        self._model = SimulatedModel(config, vary_repeats=True)
        self._name = config.model
        self._faults = config.faults
        self.own_headers: frozenset[str] = frozenset()

    async def __call__(self, request: ModelRequest) -> ModelResponse:
        """One try. Raises TransportError for the faults of a connection."""
        started = time.perf_counter()
        turn = self._model.turn(request.body, request.context)
        if turn.fault is Fault.RATE_LIMIT or turn.fault is Fault.SERVER_ERROR:
            await asyncio.sleep(0)
            status, body, headers = error_response(turn, self._faults)
            return ModelResponse(status=status, body=body, headers=headers)
        if turn.fault is not None:
            hang = turn.fault is Fault.HANG
            await asyncio.sleep(self._faults.hang_s if hang else 0)
            raise TransportError(*_BROKEN[turn.fault])
        seconds = self._model.seconds(turn.key)
        first_token = None
        if request.stream:
            await asyncio.sleep(seconds * FIRST_TOKEN)
            first_token = (time.perf_counter() - started) * 1000
            seconds *= 1 - FIRST_TOKEN
        # Even without latency others get their turn, as they would with a real connection.
        await asyncio.sleep(seconds)
        answer = self._model.answer(request.body, turn.key, request.context.target)
        return ModelResponse(
            status=200,
            body=response(answer, request.protocol, self._name),
            latency_ms=(time.perf_counter() - started) * 1000,
            ttft_ms=first_token,
        )

    def pass_through(self, request: RawRequest) -> AbstractAsyncContextManager[RawResponse]:
        """There is no HTTP endpoint. Raises CannotPassThrough."""
        raise CannotPassThrough

    async def check(self, model: str) -> str | None:
        """The simulated model is always available."""
        return None

    async def close(self) -> None:
        """Nothing is open."""
