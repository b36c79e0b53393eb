"""The pipeline: the steps of a service in their promised order, around its endpoint.

Request sides as listed, then the ``around`` of those that have one (the first listed outermost)
around the endpoint, then response sides as listed, then ``on_end`` exactly once. A stream goes
through chunk by chunk; when it is exhausted, the response sides see its accumulated body.
"""

from __future__ import annotations

import logging
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import aclosing
from typing import Any

from ..errors import InfraError, NelError
from ..types import Failure
from .errors import TransportError
from .live_stream import relay
from .types import (
    CallContext,
    Ended,
    EventFilter,
    Forward,
    Interceptor,
    ModelRequest,
    ModelResponse,
    Place,
    Step,
)

log = logging.getLogger(__name__)


class Pipeline:
    """A ``Forward`` through all steps. ``steps`` are (name, step); the name stands in errors.

    ``terminal`` is the transport, or what ``endpoint`` makes of it.
    """

    def __init__(
        self,
        steps: Sequence[tuple[str, Step]],
        terminal: Forward,
        endpoint: Callable[[ModelRequest, Forward], Awaitable[ModelResponse]] | None = None,
    ) -> None:
        named = [(name, step) for name, step in steps if isinstance(step, Interceptor)]
        self._interceptors = [step for _, step in named]
        self._requests = _overridden(named, "on_request")
        self._responses = _overridden(named, "on_response")
        self._ends = _overridden(named, "on_end")
        self._filters = _overridden(named, "event_filter")
        self._sessions = _overridden(named, "end_session")
        self._best_effort = {name for name, step in named if step.best_effort}
        source = terminal
        for _, interceptor in reversed(named):
            source = interceptor.wrap_transport(source)
        if endpoint is not None:
            source = _bound("endpoint", endpoint, source)
        for name, step in reversed(steps):
            if not isinstance(step, Interceptor) or _overrides(step, "around"):
                around = step.around if isinstance(step, Interceptor) else step
                source = _bound(name, around, source)
        self._source = source

    @property
    def offline(self) -> bool:
        """Whether no call will reach the endpoint."""
        return any(step.offline for step in self._interceptors)

    def open(self, place: Place) -> None:
        """Call once, before the first request."""
        for step in self._interceptors:
            step.open(place)

    async def __call__(self, request: ModelRequest) -> ModelResponse:
        """One call. Raises ModelError, InfraError, PermanentError or BudgetExceeded."""
        try:
            if (may_go_on := request.context.may_go_on) is not None:
                may_go_on()
            for name, on_request in self._requests:
                try:
                    on_request(request)
                except Exception as error:
                    raise _attributed(name, error) from error
            started = time.perf_counter()
            response = await self._source(request)
            if response.chunks is not None:
                response.chunks = self._live(request, response, response.chunks, started)
                return response
            self._respond(request, response)
        except BaseException as error:
            self._end(request, error)
            raise
        self._end(request, response)
        return response

    def end_session(self, context: CallContext) -> None:
        """End a session and attempt: no more calls of it will follow."""
        for name, end in self._sessions:
            _guarded(name, end, context)

    async def close(self) -> None:
        """Close all steps, the last listed first."""
        for step in reversed(self._interceptors):
            await step.close()

    def filters(self, request: ModelRequest) -> list[EventFilter]:
        """The event filters of one live call, as listed."""
        found = (make(request) for _, make in self._filters)
        return [item for item in found if item is not None]

    def _respond(self, request: ModelRequest, response: ModelResponse) -> None:
        for name, on_response in self._responses:
            try:
                on_response(request, response)
            except Exception as error:
                if name not in self._best_effort:
                    raise _attributed(name, error) from error
                log.warning("interceptor %r failed: %s", name, error)

    def _end(self, request: ModelRequest, ended: Ended) -> None:
        for name, on_end in self._ends:
            try:
                on_end(request, ended)
            except Exception as error:  # notes never fail a call
                _note_failure(name, error)

    async def _live(
        self,
        request: ModelRequest,
        response: ModelResponse,
        chunks: AsyncGenerator[bytes],
        started: float,
    ) -> AsyncGenerator[bytes]:
        """The stream to the caller; however it ends, ``on_end`` is called once."""
        ended: Ended = response
        try:
            passing = relay(chunks, request, response, self.filters(request), started)
            async with aclosing(passing):
                async for chunk in passing:
                    yield chunk
        except TransportError as error:
            ended = InfraError(str(error), kind=error.kind)
            raise ended from None
        except BaseException as error:
            ended = error
            raise
        finally:
            response.chunks = None
            response.latency_ms = (time.perf_counter() - started) * 1000
            for tell in response.watchers:
                _guarded("stream", tell, ended)
            if isinstance(ended, ModelResponse):
                self._respond_late(request, response)
            self._end(request, ended)

    def _respond_late(self, request: ModelRequest, response: ModelResponse) -> None:
        """The caller has the answer already: a failure of a step can only be noted."""
        try:
            self._respond(request, response)
        except NelError as error:
            log.warning("after a stream: %s", error)


def _overrides(step: Interceptor, hook: str) -> bool:
    return getattr(type(step), hook) is not getattr(Interceptor, hook)


def _overridden(
    steps: Sequence[tuple[str, Interceptor]], hook: str
) -> list[tuple[str, Callable[..., Any]]]:
    return [(name, getattr(step, hook)) for name, step in steps if _overrides(step, hook)]


def _bound(name: str, around: Callable[..., Any], forward: Forward) -> Forward:
    async def step(request: ModelRequest) -> ModelResponse:
        try:
            response: ModelResponse = await around(request, forward)
        except (NelError, TransportError):
            raise
        except Exception as error:
            raise _attributed(name, error) from error
        return response

    return step


def _attributed(name: str, error: Exception) -> NelError:
    if isinstance(error, NelError):
        return error
    text = f"interceptor {name!r} failed: {type(error).__name__}: {error}"
    return InfraError(text, kind=Failure.BUG)


def _guarded(name: str, call: Callable[..., object], *args: object) -> None:
    try:
        call(*args)
    except Exception as error:  # notes never fail a call
        _note_failure(name, error)


def _note_failure(name: str, error: Exception) -> None:
    log.warning("interceptor %r failed: %s: %s", name, type(error).__name__, error)
