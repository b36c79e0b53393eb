"""One connection of a client: requests in, answers out, in order.

The application is called when the head of a request has arrived, in a task that lives as long as
there are requests to answer; an idle connection has none. After a refusal the connection ends, but
what the client still sends is thrown away for a while, so that it gets to read why.
"""

from __future__ import annotations

import asyncio
import logging
from enum import Enum, auto
from typing import Protocol, cast

from ..asgi import AsgiApp
from .contract import Failure, Limits
from .exchange import Exchange, UnsendableError
from .messages import Incoming
from .reader import Reader

log = logging.getLogger("nemo_evaluator.http")

HELD_BYTES = 2**16
"""Bytes of a stream that are held back at most until the event loop's turn is over: a system call
costs more than the events of a stream."""


class Phase(Enum):
    """What a connection waits for."""

    IDLE = auto()
    """The next request."""
    HEAD = auto()
    BODY = auto()
    """The rest of a body that the application has asked for."""
    BUSY = auto()
    """The application's answer."""
    CLOSING = auto()
    """The client: it must read what was sent, and close."""


class Host(Protocol):
    """The owner of the connections."""

    app: AsgiApp
    failure: Failure
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
        *("_discarded", "_exchange", "_held", "_held_bytes", "_host", "_is_paused", "_is_writable"),
        *("_peers", "_phase", "_reader", "_since", "_transport", "_waited", "_waiter"),
        *("is_lost", "task"),
    )

    def __init__(self, host: Host) -> None:
        self._host = host
        self._reader = Reader(host.limits)
        self._phase, self._since = Phase.HEAD, host.loop.time()
        self._transport: asyncio.Transport = cast(asyncio.Transport, None)  # until connected
        self._peers: tuple[object, object] = (None, None)
        self.task: asyncio.Task[None] | None = None
        """Answers the requests; None while the connection is idle."""
        self._exchange: Exchange | None = None
        """The exchange that the task is answering."""
        self._waited = 0.0
        """Seconds that the application has waited for the body of this request."""
        self._waiter: asyncio.Future[None] | None = None
        self._held: list[bytes] = []
        self._held_bytes = self._discarded = 0
        self._is_writable = True
        self._is_paused = self.is_lost = False

    # -- for the host -----------------------------------------------------------------------------

    def check(self, now: float) -> None:
        """Close the connection if its client takes too long. ``now`` is a ``loop.time()``."""
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
        """Close the connection once the requests in flight are answered."""
        if self._phase in (Phase.IDLE, Phase.HEAD, Phase.CLOSING):
            self._close()

    def abort(self) -> None:
        """Close the connection now."""
        if not self.is_lost:
            self._transport.abort()

    # -- for an exchange --------------------------------------------------------------------------

    def write(self, data: bytes) -> None:
        """Send now."""
        self.flush()
        if not self.is_lost:
            self._transport.write(data)

    def hold(self, data: bytes) -> None:
        """Send at the end of the event loop's turn."""
        if not self._held:
            self._host.loop.call_soon(self.flush)
        self._held.append(data)
        self._held_bytes += len(data)
        if self._held_bytes > HELD_BYTES:
            self.flush()

    async def written(self, data: bytes) -> None:
        """Send as fast as the client reads. Raises ConnectionResetError if the client has left."""
        self.hold(data)
        if not self._is_writable:
            await self._writable()
        if self.is_lost:
            raise ConnectionResetError("the client disconnected")

    def flush(self) -> None:
        """Send the bytes that are held back."""
        if self._held:
            held, self._held, self._held_bytes = self._held, [], 0
            if not self.is_lost:
                self._transport.write(b"".join(held))

    def keeps(self, incoming: Incoming) -> bool:
        """Whether the connection stays open after the answer to a request."""
        if not (incoming.keep and incoming.is_whole):
            return False
        return not self._host.is_draining or bool(self._reader.requests)

    def asked(self) -> None:
        """The application waits for the body: from now on the client must not take too long."""
        if self._phase is Phase.BUSY:
            self._enter(Phase.BODY)
            self._since -= self._waited

    def taken(self) -> None:
        """The application has taken the bytes of the body that have arrived."""
        if self._phase is Phase.BODY:
            self._waited = self._host.loop.time() - self._since
            self._phase = Phase.BUSY
        if not self._reader.requests:
            self._read_on()

    # -- asyncio ----------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Connected."""
        self._transport = cast(asyncio.Transport, transport)
        peer, own = (transport.get_extra_info(name) for name in ("peername", "sockname"))
        self._peers = (_address(peer), _address(own))
        self._host.opened(self)

    def data_received(self, data: bytes) -> None:
        """Bytes from the client."""
        reader = self._reader
        if not reader.is_open:
            self._discard(len(data))
            return
        reader.feed(data)
        if self.task is None:
            if reader.requests:
                self._phase = Phase.BUSY
                self.task = self._host.loop.create_task(self._serve())
            else:
                self._wait()
        elif self._exchange is not None:
            if self._exchange.incoming.failed:
                self._refuse()
            else:
                self._exchange.changed()
                self._hold_back(self._exchange.incoming)

    def eof_received(self) -> None:
        """The client has closed its side: it has received everything, or does not wait any more."""
        if self.task is not None:
            self.abort()
        else:
            self._enter(Phase.CLOSING)

    def connection_lost(self, exc: Exception | None) -> None:
        """The connection is closed, by either side."""
        self.is_lost = True
        self._reader.close()
        self._reader.requests.clear()
        exchange = self._exchange
        if self.task is None or self.task.done():
            self._host.ended(self)
        elif exchange is not None and exchange.cancels and not exchange.is_complete:
            exchange.is_over = True
            self._host.loop.call_soon(self.task.cancel)
        else:
            self._wake()
            if exchange is not None:
                exchange.end()

    def pause_writing(self) -> None:
        """The client is slow."""
        self._is_writable = False

    def resume_writing(self) -> None:
        """The client has caught up."""
        self._is_writable = True
        self._wake()

    # -- answering --------------------------------------------------------------------------------

    async def _serve(self) -> None:
        """Answer the requests that have arrived."""
        requests, keep = self._reader.requests, True
        try:
            while requests:
                if not self._is_writable:
                    await self._writable()
                    continue
                keep = await self._answer(requests.popleft())
                if not keep:
                    break
                if not requests:
                    self._read_on()
        except BaseException:
            self.abort()
            raise
        finally:
            self.task = self._exchange = None
            if self.is_lost:
                self._host.ended(self)
        if keep and not self.is_lost:
            self._wait()

    async def _answer(self, incoming: Incoming) -> bool:
        """Answer one request; whether there may be another."""
        exchange = self._exchange = Exchange(incoming, self)
        self._phase, self._waited = Phase.BUSY, 0.0
        try:
            scope = incoming.in_scope(*self._peers)
            await self._host.app(scope, exchange.receive, exchange.send)
            if not exchange.has_begun and not exchange.is_over:
                raise RuntimeError("the application sent no response")
        except UnsendableError as error:
            log.error("an answer cannot be sent: %s", error)
            self._fail(exchange, f"the answer cannot be sent: {error}")
        except Exception as error:
            if not exchange.is_over:  # else it need not know what to do without its client
                log.exception("no answer: %s", type(error).__name__)
            self._fail(exchange, "the server failed")
        if exchange.is_over:
            return False
        if not exchange.is_complete:  # nothing that followed half an answer could be read
            self.abort()
        elif not incoming.is_whole:
            self._linger()
        elif not exchange.keep:
            self._close()
        else:
            return True
        return False

    def _fail(self, exchange: Exchange, message: str) -> None:
        """Answer instead of the application, if it has not begun."""
        if not (exchange.is_over or exchange.has_begun):
            exchange.respond(*self._host.failure(exchange.incoming.in_scope(), 500, message))

    # -- between answers --------------------------------------------------------------------------

    def _wait(self) -> None:
        """Decide what the connection waits for, now that no request waits for an answer."""
        reader = self._reader
        if reader.refusal is not None:
            self._refuse()
        elif not reader.is_open or self._host.is_draining:
            self._close()
        elif not reader.has_begun:
            self._enter(Phase.IDLE)
        elif self._phase is not Phase.HEAD:
            self._enter(Phase.HEAD)

    def _refuse(self) -> None:
        """Send the reader's refusal as the last response."""
        refusal, current = self._reader.refusal, self._exchange
        assert refusal is not None
        if current is not None:
            current.end()
            if current.has_begun:
                self.abort()
                return
        request = refusal.request
        scope = request.in_scope(*self._peers) if request is not None else None
        incoming = request or Incoming("GET", b"/", [], keep=False, is_old=False)
        Exchange(incoming, self).respond(*self._host.failure(scope, *refusal[1:]))
        self._linger()

    def _linger(self) -> None:
        """Send nothing more, and let the client read before it is cut off."""
        self._reader.close()
        self._enter(Phase.CLOSING)
        self._transport.write_eof()
        self._read_on()

    def _close(self) -> None:
        """Close the connection when the client has received all that was sent."""
        self._reader.close()
        self._enter(Phase.CLOSING)
        self._transport.close()

    def _discard(self, size: int) -> None:
        self._discarded += size
        if self._discarded > self._host.limits.linger_bytes:
            self.abort()

    def _hold_back(self, current: Incoming) -> None:
        """Stop reading while many requests, or much of a body, wait for the application."""
        if self._is_paused:
            return
        waiting, limits = self._reader.requests, self._host.limits
        size = current.size + sum(request.size for request in waiting)
        if len(waiting) > limits.queued or size > limits.queued_bytes:
            self._is_paused = True
            self._transport.pause_reading()

    def _read_on(self) -> None:
        if self._is_paused:
            self._is_paused = False
            self._transport.resume_reading()

    def _enter(self, phase: Phase) -> None:
        self._phase, self._since = phase, self._host.loop.time()

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    async def _writable(self) -> None:
        """Wait until the client has caught up, or has left."""
        while not self._is_writable and not self.is_lost:
            self._waiter = self._host.loop.create_future()
            await self._waiter


def _address(name: object) -> tuple[object, object] | None:
    """A socket's name in ASGI: host and port; the path of a unix socket, and None."""
    if isinstance(name, tuple):
        return name[0], name[1]
    return (name, None) if name else None
