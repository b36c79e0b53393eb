"""The `endpoint` interceptor: admission, retries and errors of one service.

The last step before the transport. A call holds a slot of the limiter only while a request is on
its way, never while it waits for its next try.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Collection

from ..errors import InfraError, ModelError, PermanentError
from ..types import Failure
from .dialects import DIALECTS
from .http import TransportError
from .limiter import Limiter
from .retry import MAX_RETRY_AFTER, Action, Verdict, backoff, classify, retry_after
from .types import CallContext, Forward, ModelRequest, ModelResponse

OVERLOAD = {Failure.RATE_LIMIT, Failure.TIMEOUT}


class Endpoint:
    """Sends a request until it is answered or no further try makes sense."""

    def __init__(
        self,
        peer: str,
        limiter: Limiter,
        *,
        max_retries: int = 6,
        retry_on_status: Collection[int] = (408, 409, 425, 429, 500, 502, 503, 504),
        redact: Callable[[str], str] = str,
    ) -> None:
        self.peer, self.limiter = peer, limiter
        self._max_tries = max_retries + 1
        self._retry_on = frozenset(retry_on_status)
        self._redact = redact
        self.retries: Counter[Failure] = Counter()
        """Failed tries by kind, for the live display."""

    async def __call__(self, request: ModelRequest, forward: Forward) -> ModelResponse:
        """One answered call. Raises ModelError, PermanentError or InfraError."""
        tries = 0
        while True:
            tries += 1
            verdict, response, wait = await self._try(request, forward)
            if response is not None and verdict.action is Action.ACCEPT:
                response.tries = tries
                return response
            status = response.status if response is not None else None
            message = self._redact(verdict.message)
            if verdict.action is Action.MODEL:
                raise ModelError(message, kind=verdict.kind, peer=self.peer, status=status)
            if verdict.action is Action.PERMANENT:
                raise PermanentError(message, kind=verdict.kind, peer=self.peer, status=status)
            self.retries[verdict.kind] += 1
            delay = max(wait or 0.0, backoff(tries))
            if reason := self._no_further(tries, delay, request.context):
                text = f"{message} ({reason}; tries: {tries})"
                raise InfraError(text, kind=verdict.kind, peer=self.peer, status=status)
            await asyncio.sleep(delay)

    async def _try(
        self, request: ModelRequest, forward: Forward
    ) -> tuple[Verdict, ModelResponse | None, float | None]:
        """One request: the verdict, the response if there was one, and the wait it asked for."""
        limiter = self.limiter
        await limiter.acquire()
        if request.context.on_wait is not None:
            request.context.on_wait(self.peer)
        try:
            response = await forward(request)
        except TransportError as error:
            if error.kind in OVERLOAD:
                limiter.overloaded()
            return Verdict(Action.RETRY, error.kind, str(error)), None, None
        finally:
            limiter.release()
        verdict = classify(response.status, response.body, self._retry_on)
        if verdict.action is Action.ACCEPT:
            if DIALECTS[request.protocol].parse(response.body) is None:
                text = "the answer has no choices in it"
                return Verdict(Action.RETRY, Failure.INVALID_RESPONSE, text), response, None
            limiter.succeeded()
            return verdict, response, None
        wait = retry_after(response.headers) if verdict.action is Action.RETRY else None
        if verdict.kind is Failure.RATE_LIMIT or response.status == 503:
            limiter.overloaded(wait)
        return verdict, response, wait

    def _no_further(self, tries: int, delay: float, context: CallContext) -> str | None:
        if tries >= self._max_tries:
            return "gave up"
        if delay > MAX_RETRY_AFTER:
            return f"asked to wait {delay:.0f} s"
        if context.deadline is not None and time.monotonic() + delay > context.deadline:
            return "no time left for another try"
        return None
