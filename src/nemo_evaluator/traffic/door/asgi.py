"""The proxy for another ASGI server than ours, or as a part of another application."""

from __future__ import annotations

from ...http.app import Application
from ...http.server.contract import MEGABYTE
from ..client import ModelClient
from .server import MAX_BODY_MB, ProxyServer


def proxy_app(
    model: ModelClient,
    *,
    host: str = "127.0.0.1",
    port: int = 8000,
    token: str | None = None,
    max_body_mb: int = MAX_BODY_MB,
) -> Application:
    """An ASGI application that serves a client, and closes it when its server stops.

    ``host`` and ``port`` are what the server listens on: on loopback, only requests that name it
    so are answered. Raises ConfigError for a host beyond loopback without a ``token``.
    """
    door = ProxyServer(model, host=host, port=port, token=token, max_body_mb=max_body_mb)
    return Application(door, body_bytes=max_body_mb * MEGABYTE, on_stop=model.close)
