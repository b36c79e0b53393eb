"""Runs the proxy alone, for any client."""

from __future__ import annotations

import asyncio
import os
import secrets
from collections.abc import Callable, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from ..config.mistakes import as_error
from ..config.proxy_file import load_proxy_file
from ..config.scrubber import KNOWN
from ..errors import ConfigError
from ..traffic.client import ModelClient
from ..traffic.door.access import is_loopback
from ..traffic.door.server import ProxyServer
from ..traffic.interceptors.opening import check_interceptors
from ..traffic.ledger import Totals
from ..traffic.open import open_http_model
from .stopping import stop_signal

PREFERRED_PORT = 4000
TOKEN = "NEL_PROXY_TOKEN"


@dataclass(frozen=True, slots=True)
class Door:
    """Where and how to listen."""

    host: str = "127.0.0.1"
    port: int | None = None
    """The port. None stands for 4000 if it is free, else any."""
    max_body_mb: int = 64
    drain_seconds: float = 30.0


class Audience(Protocol):
    """Callbacks about what the proxy does."""

    def listening(self, url: str, token: str | None) -> None:
        """Called when the proxy can be reached. ``token``: what clients must send, or where the
        token is set."""

    def say(self, text: str) -> None:
        """Called with a text for the user."""

    def ended(self, totals: Totals, sessions: int) -> None:
        """Called when the proxy has stopped, with the totals of all calls."""


async def serve_proxy(
    path: Path | None, flags: Mapping[str, Any], door: Door, audience: Audience
) -> None:
    """Serve until SIGINT or SIGTERM; a second one does not wait for what is in flight.

    Raises ConfigError. An upstream that cannot be reached is only said: it may start later.
    """
    file = load_proxy_file(path, flags)
    service = file.service
    if service.proxy is not None:
        problems = check_interceptors(service.proxy.interceptors, ("proxy",))
        if (failure := as_error(problems, file.locate)) is not None:
            raise failure
    limit = service.proxy.max_concurrent_upstream if service.proxy else 64
    async with AsyncExitStack() as stack:
        model = open_http_model("", service, max_concurrent=limit)
        stack.push_async_callback(model.close)
        stack.callback(lambda: audience.ended(model.ledger.total, model.ledger.sessions))
        given = os.environ.get(TOKEN, "")
        KNOWN.learn(given)
        token = None if is_loopback(door.host) else given or secrets.token_hex(16)
        server = await _started(
            lambda port: ProxyServer(
                model,
                host=door.host,
                port=port,
                token=token,
                max_body_mb=door.max_body_mb,
                drain_seconds=door.drain_seconds,
            ),
            door.port,
        )
        stack.push_async_callback(server.stop)
        stop = stop_signal()
        audience.listening(server.url, f"the value of {TOKEN}" if token and given else token)
        check = asyncio.create_task(_check(model, audience))
        try:
            await stop.wait()
        finally:
            check.cancel()


async def _check(model: ModelClient, audience: Audience) -> None:
    """Is the upstream there, and does it take the key? Clients are served meanwhile."""
    try:
        warning = await model.check()
    except ConfigError as error:
        warning = str(error)
    if warning is not None:
        audience.say(f"warning: the upstream: {warning}")


async def _started(make: Callable[[int], ProxyServer], port: int | None) -> ProxyServer:
    if port is None:
        try:
            return await _started(make, PREFERRED_PORT)
        except ConfigError:
            port = 0
    server = make(port)
    await server.start()
    return server
