"""`progress_tracking`: counts answers; logs the count and calls a webhook every few answers.

The webhook is called in the background: it delays no answer, and its failure is only logged. Calls
do not pile up: while one is in flight, only the newest count is kept and sent next.
"""

from __future__ import annotations

import asyncio
import logging

from pydantic import Field, field_validator

from ...config.base import ConfigRecord
from ...config.endpoints import check_url
from ...errors import ConfigError
from ...http.client.errors import NetError
from ...http.client.single import request
from ..types import Changes, Ended, Interceptor, ModelRequest, ModelResponse
from ..wire import encode

log = logging.getLogger("nemo_evaluator.traffic")
WEBHOOK_SECONDS = 30.0
HEADERS = {"Content-Type": "application/json"}


class ProgressTracking(Interceptor):
    """``POST {"completed": n}`` to the webhook."""

    changes = Changes.NOTHING

    best_effort = True

    class Options(ConfigRecord):
        """Where progress is reported, and how often."""

        webhook_url: str | None = None
        """Address to call; null: only the log."""
        every: int = Field(10, ge=1)
        """Answers between two calls."""

        @field_validator("webhook_url")
        @classmethod
        def _is_url(cls, url: str | None) -> str | None:
            return check_url(url) if url is not None else None

    def __init__(self, options: Options) -> None:
        self._options = options
        self._completed = self._told = 0
        self._task: asyncio.Task[None] | None = None

    def on_end(self, request: ModelRequest, ended: Ended) -> None:
        """Count an answer."""
        if not isinstance(ended, ModelResponse):
            return
        self._completed += 1
        if self._completed % self._options.every == 0:
            log.info("%d answers", self._completed)
            self._told = self._completed
            if self._options.webhook_url and (self._task is None or self._task.done()):
                self._task = asyncio.get_running_loop().create_task(self._post())

    async def close(self) -> None:
        """Tell the last count, unless nothing was counted, as in a dry run."""
        if not self._options.webhook_url:
            return
        if self._task is not None:
            await self._task
        if self._completed != self._told:
            self._told = self._completed
            await self._post()

    async def _post(self) -> None:
        url, sent = self._options.webhook_url, -1
        assert url is not None
        while sent != self._told:
            sent = self._told
            body = encode({"completed": sent})
            try:
                status, _ = await request("POST", url, body, HEADERS, seconds=WEBHOOK_SECONDS)
            except (NetError, ConfigError) as error:
                log.warning("progress webhook failed: %s", error)
                return
            if not 200 <= status < 300:
                log.warning("progress webhook failed: HTTP %d", status)
                return
