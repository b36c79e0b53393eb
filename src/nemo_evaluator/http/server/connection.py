"""One connection of a client: requests in, answers out, in order.

A request is answered when all of it has arrived, by a task that lives as long as there are requests
to answer; an idle connection has none. After a refusal the connection ends, but what the client
still sends is thrown away for a while, so that it gets to read why.
"""

from __future__ import annotations

import asyncio
import logging
from enum import Enum, auto
from typing import Protocol, cast

from .contract import App, Limits
from .messages import CONTINUE, Request, Response, Stream
from .reader import Reader

log = logging.getLogger("nemo_evaluator.traffic")

HELD_BYTES = 2**16
"""Bytes of a stream that are held back at most until the event loop's turn is over: a system call
costs more than the events of a stream."""


class Phase(Enum):
    """What a connection waits for."""

    IDLE = auto()
    """The next request."""
    HEAD = auto()
    BODY = auto()
    BUSY = auto()
    """An answer."""
    CLOSING = auto()
    """The client, to take what it was sent and go."""


class Host(Protocol):
    """The owner of the connections."""

    app: App
    limits: Limits
    loop: asyncio.AbstractEventLoop
    is_draining: bool

    def opened(self, connection: Connection) -> None:
        """Called when a connection is opened."""

    def ended(self, connection: Connection) -> None:
        """Called when a connection is closed and its task is over."""


class Connection(asyncio.Protocol):
    """One connection."""

    __slots__ = (
        "_discarded",
        "_held",
        "_held_bytes",
        "_host",
        "_is_lost",
        "_is_paused",
        "_is_writable",
        "_phase",
        "_reader",
        "_since",
        "_transport",
        "_waiter",
        "task",
    )

    def __init__(self, host: Host) -> None:
        self._host = host
        self._reader = Reader(host.app, host.limits)
        self._phase, self._since = Phase.HEAD, host.loop.time()
        self._transport: asyncio.Transport = cast(asyncio.Transport, None)  # until connected
        self.task: asyncio.Task[None] | None = None
        """Answers."""
        self._waiter: asyncio.Future[None] | None = None
        self._held: list[bytes] = []
        self._held_bytes = self._discarded = 0
        self._is_writable = True
        self._is_paused = self._is_lost = False

    # -- for the host -----------------------------------------------------------------------------

    def check(self, now: float) -> None:
        """Close what takes too long. ``now`` is a ``loop.time()``."""
        limits, seconds = self._host.limits, now - self._since
        match self._phase:
            case Phase.IDLE if seconds > limits.idle_seconds:
                self._close()
            case Phase.HEAD if seconds > limits.head_seconds:
                self._close()
            case Phase.BODY if seconds > limits.body_seconds:
                message = f"the request did not arrive within {limits.body_seconds:g} s"
                self._reader.fail(408, message)
                self._refuse()
            case Phase.CLOSING if seconds > limits.linger_seconds:
                self.abort()

    def drain(self) -> None:
        """Close it once what is in flight is answered."""
        if self._phase in (Phase.IDLE, Phase.HEAD, Phase.CLOSING):
            self._close()

    def abort(self) -> None:
        """Close it now."""
        if not self._is_lost:
            self._transport.abort()

    # -- for streams ------------------------------------------------------------------------------

    def send(self, data: bytes) -> None:
        """Send soon, without waiting."""
        if not self._held:
            self._host.loop.call_soon(self._flush)
        self._held.append(data)
        self._held_bytes += len(data)
        if self._held_bytes > HELD_BYTES:
            self._flush()

    async def write(self, data: bytes) -> None:
        """Send soon, as fast as the client reads. Raises ConnectionResetError if it is gone."""
        if self._is_lost:
            raise ConnectionResetError("the client disconnected")
        self.send(data)
        if not self._is_writable:
            await self._writable()

    def keeps(self, request: Request) -> bool:
        """Whether it stays open after the answer to a request."""
        reader = self._reader
        waiting = reader.requests or reader.request is not None
        return request.keep and (not self._host.is_draining or bool(waiting))

    # -- asyncio ----------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Connected."""
        self._transport = cast(asyncio.Transport, transport)
        self._host.opened(self)

    def data_received(self, data: bytes) -> None:
        """Bytes from the client."""
        reader = self._reader
        if not reader.is_open:
            self._discard(len(data))
            return
        reader.feed(data)
        if self.task is not None:
            self._hold_back()
        elif reader.requests:
            self._phase = Phase.BUSY
            self.task = self._host.loop.create_task(self._serve())
        else:
            self._wait()

    def eof_received(self) -> None:
        """The client has closed its side: it has received everything, or does not wait any more."""
        if self.task is not None:
            self.abort()
        else:
            self._enter(Phase.CLOSING)

    def connection_lost(self, exc: Exception | None) -> None:
        """The connection is closed, by whomever."""
        self._is_lost = True
        self._reader.close()
        self._reader.requests.clear()
        if self.task is None or self.task.done():
            self._host.ended(self)
        else:  # soon: not before it has begun, for then it could not note its end
            self._host.loop.call_soon(self.task.cancel)

    def pause_writing(self) -> None:
        """The client is slow."""
        self._is_writable = False

    def resume_writing(self) -> None:
        """The client has caught up."""
        self._is_writable = True
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    # -- answering --------------------------------------------------------------------------------

    async def _serve(self) -> None:
        """Answer what has arrived."""
        requests, keep = self._reader.requests, False
        try:
            while requests:
                request = requests.popleft()
                request.wire = self
                if not self._is_writable:
                    await self._writable()
                keep = self._finish(request, await self._answer(request))
                if not keep:
                    break
                if self._is_paused and not requests:
                    self._is_paused = False
                    self._transport.resume_reading()
        except ConnectionResetError:
            keep = False
            self.abort()
        except BaseException:
            self.abort()
            raise
        finally:
            self.task = None
            if self._is_lost:
                self._host.ended(self)
        if keep and not self._is_lost:
            self._wait()

    async def _answer(self, request: Request) -> Response | Stream:
        try:
            return await self._host.app.answer(request)
        except ConnectionResetError:
            raise
        except Exception as error:
            log.exception("no answer: %s", type(error).__name__)
            return self._host.app.failure(request, 500, "the server failed")

    def _finish(self, request: Request, answer: Response | Stream) -> bool:
        """Send what is left to send; whether there may be another request."""
        keep, stream = self.keeps(request), request.stream
        if stream is None and isinstance(answer, Response):
            self._transport.write(self._encoded(request, answer, keep))
        elif stream is answer and not stream.is_broken:
            stream.end()
            self._flush()
            keep = keep and stream.keep
        else:  # half an answer; nothing that could follow would be understood
            self.abort()
            return False
        if not keep:
            self._close()
        return keep

    def _flush(self) -> None:
        held, self._held, self._held_bytes = self._held, [], 0
        if held and not self._is_lost:
            self._transport.write(b"".join(held))

    def _encoded(self, request: Request, answer: Response, keep: bool) -> bytes:
        try:
            return answer.wire(request, keep=keep)
        except ValueError as error:
            log.error("an answer cannot be sent: %s", error)
            answer = self._host.app.failure(request, 500, f"the answer cannot be sent: {error}")
            return answer.wire(request, keep=keep)

    # -- between answers --------------------------------------------------------------------------

    def _wait(self) -> None:
        """Nothing to answer now: for what do we wait?"""
        reader = self._reader
        if reader.refusal is not None:
            self._refuse()
        elif not reader.is_open:
            self._close()
        elif (request := reader.request) is not None:
            if self._phase is not Phase.BODY:
                self._enter(Phase.BODY)
                if not reader.has_body and request.expects_continue:
                    self._transport.write(CONTINUE)
        elif self._host.is_draining:
            self._close()
        elif not reader.has_begun:
            self._enter(Phase.IDLE)
        elif self._phase is not Phase.HEAD:
            self._enter(Phase.HEAD)

    def _refuse(self) -> None:
        """Send the refusal, and nothing after it."""
        assert self._reader.refusal is not None
        request, response = self._reader.refusal
        self._enter(Phase.CLOSING)
        self._transport.write(response.wire(request, keep=False))
        self._transport.write_eof()

    def _close(self) -> None:
        """Close it when all that was sent is taken."""
        self._reader.close()
        self._enter(Phase.CLOSING)
        self._transport.close()

    def _discard(self, size: int) -> None:
        self._discarded += size
        if self._discarded > self._host.limits.linger_bytes:
            self.abort()

    def _hold_back(self) -> None:
        """Read no more while enough waits to be answered."""
        waiting, limits = self._reader.requests, self._host.limits
        if waiting and not self._is_paused:
            size = sum(len(request.body) for request in waiting)
            if len(waiting) > limits.queued or size > limits.queued_bytes:
                self._is_paused = True
                self._transport.pause_reading()

    def _enter(self, phase: Phase) -> None:
        self._phase, self._since = phase, self._host.loop.time()

    async def _writable(self) -> None:
        """Until the client has caught up; if it leaves instead, this is cancelled."""
        while not self._is_writable:
            self._waiter = self._host.loop.create_future()
            await self._waiter
