"""One request to an address that is asked seldom: a webhook, say. No connection is kept."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

from ..headers import Headers
from ..urls import basic_authorization, split_credentials
from .clock import Clock
from .errors import Limit
from .origin import Origin
from .pool import Pool


async def request(
    method: str,
    url: str,
    body: bytes = b"",
    headers: Mapping[str, str] | None = None,
    *,
    seconds: float,
) -> tuple[int, bytes]:
    """Status and body of the response. Redirects are not followed. Raises NetError, and ConfigError
    for a URL that cannot be requested."""
    url, credentials = split_credentials(url)
    origin = Origin.of(url)
    own = {"Connection": "close"}
    if credentials is not None:
        own["Authorization"] = basic_authorization(*credentials)
    head = origin.head(method, url, Headers.of(own, headers or {}))
    clock = Clock(asyncio.get_running_loop(), Limit.TOTAL, seconds)
    pool = Pool(origin, 1, seconds)
    try:
        response = await pool.request(head(len(body)), body, clocks=[clock])
        return response.status, await response.read()
    finally:
        clock.close()
        await pool.close()
