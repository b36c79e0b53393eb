"""The `endpoint` interceptor: admission, retries and errors of one service.

The last step before the transport. A call holds a slot of the limiter only while a request is on
its way, never while it waits for its next try.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import Counter
from collections.abc import Callable, Collection
from functools import partial

from ..errors import EndpointDown, InfraError, ModelError, PermanentError
from ..types import Failure
from .dialects import DIALECTS
from .dialects.contract import parse_usage
from .errors import TransportError
from .limiter import Limiter, Share
from .outage import Outage
from .retry import (
    ACCEPTED,
    MAX_RETRY_AFTER,
    NAMED,
    Action,
    TryOutcome,
    backoff,
    classify,
    error_in_body,
)
from .transport import until_done
from .types import CallContext, Forward, ModelRequest, ModelResponse

MESSAGE_CHARS = 300
log = logging.getLogger("nemo_evaluator.endpoint")
MAX_OUTAGE = 300.0
OVERLOAD_STATUS = frozenset((429, 503, 504, 529))
OVERLOAD_KINDS = frozenset((Failure.RATE_LIMIT, Failure.TIMEOUT))


class Endpoint:
    """Sends a request until it is answered or no further try makes sense."""

    def __init__(
        self,
        peer: str,
        limiter: Limiter,
        *,
        max_retries: int = 6,
        retry_on_status: Collection[int] = NAMED,
        redact: Callable[[str], str] = str,
        outage: Outage | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """``clock`` counts seconds as the timers of the event loop do."""
        self.peer, self.limiter = peer, limiter
        self._clock = clock
        self.outage = outage or Outage(peer, MAX_OUTAGE)
        self._max_tries = max_retries + 1
        self._retry_on = frozenset(retry_on_status)
        self._redact = redact
        self.failed_tries: Counter[Failure] = Counter()
        """Tries that got no answer, by kind, for the live display."""

    async def __call__(self, request: ModelRequest, forward: Forward) -> ModelResponse:
        """One answered call. Raises ModelError, PermanentError or InfraError."""
        tries, outage = 0, self.outage
        while True:
            if outage.waits(tries):
                outcome, response = await self._in_turn(request, forward)
            else:
                outcome, response = await self._try(request, forward)
            tries += 1
            if response is not None and outcome is ACCEPTED:
                outage.answered()
                response.tries = tries
                if log.isEnabledFor(logging.DEBUG):
                    log.debug(
                        "%s: %d in %.0f ms, tries: %d (%s)",
                        self.peer,
                        response.status,
                        response.latency_ms,
                        tries,
                        request.context.session or request.protocol,
                    )
                return response
            self.failed_tries[outcome.kind] += 1
            if response is not None and 200 <= response.status < 300:
                used = parse_usage(response.body.get("usage"))
                request.rejected = used if request.rejected is None else request.rejected + used
            if response is None or response.status >= 500:
                outage.failed(outcome, id(request))
            else:
                outage.answered()
            if outage.down() and outage.over:
                raise self._given_up(outcome)
            if outage.unreachable:
                tries = 0
                continue
            delay = backoff(tries, outcome.wait)
            if outcome.action is not Action.RETRY:
                raise self._error(outcome, response)
            if reason := self._no_further(tries, delay, outcome, request.context):
                raise self._error(outcome, response, f" ({reason}; tries: {tries})")
            log.info(
                "%s: no answer for %s at try %d (%s), next in %.1f s",
                self.peer,
                request.context.session or request.protocol,
                tries,
                self._redact(outcome.message)[:MESSAGE_CHARS],
                delay,
            )
            await asyncio.sleep(delay)

    async def _in_turn(
        self, request: ModelRequest, forward: Forward
    ) -> tuple[TryOutcome, ModelResponse | None]:
        """The same, once the endpoint answers again, or to see whether it does. The time until
        then is not the call's."""
        held = request.context.on_hold
        if held is not None:
            held(True)
        try:
            ours = await self.outage.turn()
        finally:
            if held is not None:
                held(False)
        try:
            return await self._try(request, forward)
        finally:
            if ours:
                self.outage.done()

    async def _admitted(self, share: Share, held: Callable[[bool], None] | None) -> None:
        """Wait for admission; the time until then is not the call's."""
        if held is None:
            await self.limiter.acquire(share)
            return
        held(True)
        try:
            await self.limiter.acquire(share)
        finally:
            held(False)

    async def _try(
        self, request: ModelRequest, forward: Forward
    ) -> tuple[TryOutcome, ModelResponse | None]:
        """One request: the outcome, and the response if there was one."""
        limiter, on_wait = self.limiter, request.context.on_wait
        share = limiter.share(request.context.benchmark)
        response: ModelResponse | None = None
        streaming = False
        if not limiter.enter(share):
            await self._admitted(share, request.context.on_hold)
        began = self._clock()
        try:
            if on_wait is not None:
                on_wait(self.peer)
            try:
                response = await forward(request)
            except TransportError as error:
                outcome = TryOutcome(
                    Action.RETRY, error.kind, str(error), unreachable=error.unreachable
                )
            else:
                outcome = self._judge(request, response)
            if outcome is ACCEPTED:
                limiter.succeeded()
                if on_wait is not None:
                    on_wait(None)
                if response is not None and response.chunks is not None:
                    response.chunks = until_done(response.chunks, partial(limiter.release, share))
                    streaming = True
                return outcome, response
            share.failed_tries += 1
            if outcome.kind in OVERLOAD_KINDS or outcome.status in OVERLOAD_STATUS:
                limiter.overloaded(outcome.wait, after=self._clock() - began)
            return outcome, response
        finally:
            if not streaming:
                limiter.release(share)

    def _judge(self, request: ModelRequest, response: ModelResponse) -> TryOutcome:
        outcome = classify(response.status, response.body, response.headers, self._retry_on)
        if response.chunks is not None:
            return outcome  # a live stream: its first event was checked on opening
        if outcome is ACCEPTED and not DIALECTS[request.protocol].has_answer(response.body):
            return error_in_body(response.body, self._retry_on)
        return outcome

    def _no_further(
        self, tries: int, delay: float, outcome: TryOutcome, context: CallContext
    ) -> str | None:
        if tries >= self._max_tries:
            return "gave up"
        if outcome.wait is not None and outcome.wait > MAX_RETRY_AFTER:
            return f"asked to wait {outcome.wait:.0f} s"
        deadline = context.deadline if context.until is None else context.until()
        if deadline is not None and self._clock() + delay > deadline:
            return "no time left for another try"
        return None

    def _given_up(self, outcome: TryOutcome) -> EndpointDown:
        message = self._redact(self.outage.outcome())[:MESSAGE_CHARS]
        return EndpointDown(message, kind=outcome.kind, peer=self.peer, status=outcome.status)

    def _error(
        self, outcome: TryOutcome, response: ModelResponse | None, more: str = ""
    ) -> ModelError | InfraError:
        message = self._redact(outcome.message)[:MESSAGE_CHARS] + more
        kind: type[ModelError | InfraError] = InfraError
        if outcome.action is Action.MODEL:
            kind = ModelError
        elif outcome.action is Action.PERMANENT:
            kind = PermanentError
        return kind(
            message, kind=outcome.kind, peer=self.peer, status=outcome.status, upstream=response
        )
