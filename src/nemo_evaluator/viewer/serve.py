"""Serves the pages until it is stopped: `nel view`."""

from __future__ import annotations

import os
import secrets
from collections.abc import Callable, Sequence
from pathlib import Path

from ..http.server.server import Server
from ..http.urls import bracketed
from ..tasks.stopping import stop_signal
from .app import viewer_app
from .guard import Guard
from .library import Library
from .rendering import Viewer
from .unfinished_runs import cache_folder

TOKEN = "NEL_VIEW_TOKEN"
"""Variable with the token; without it one is made for each viewer."""
DRAIN_SECONDS = 1.0


async def serve(
    paths: Sequence[Path], host: str, port: int, listening: Callable[[str], None]
) -> None:
    """Serve the runs below some folders. ``listening`` is told the address to open. Raises
    ConfigError."""
    viewer = Viewer(Library(paths), cache_folder())
    token = os.environ.get(TOKEN) or secrets.token_urlsafe(16)
    app = Guard(viewer_app(viewer), token)
    server = Server(app)
    stop = stop_signal()
    port = await server.start(host, port)
    try:
        app.open_at(host, port)
        listening(f"http://{bracketed(host)}:{port}/?token={token}")
        await stop.wait()
    finally:
        await server.stop(DRAIN_SECONDS)
