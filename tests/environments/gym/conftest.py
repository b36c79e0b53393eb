"""A client of a benchmark that is served in this process."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from gyms import serving

from nemo_evaluator.services.json_server import JsonServer


@pytest.fixture
async def calls() -> AsyncIterator[JsonServer]:
    """The served sums."""
    async with serving() as (url, _):
        client = JsonServer(url)
        yield client
        await client.close()
