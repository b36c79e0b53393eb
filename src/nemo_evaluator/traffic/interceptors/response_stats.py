"""`response_stats`: totals of the traffic, logged every `every` calls and at the end."""

from __future__ import annotations

import logging
from collections import Counter

from pydantic import Field

from ...config.base import ConfigRecord
from ..types import Changes, Ended, Interceptor, ModelRequest, ModelResponse, usage_of

log = logging.getLogger("nemo_evaluator.traffic")


class ResponseStats(Interceptor):
    """Counts answers by finish reason and failures by kind; sums tokens and latency."""

    changes = Changes.NOTHING

    best_effort = True

    class Options(ConfigRecord):
        """How often totals are logged."""

        every: int = Field(100, ge=1)
        """Calls between two lines of the log."""

    def __init__(self, options: Options) -> None:
        self._every = options.every
        self._calls = self._answers = self._tokens = 0
        self._latency_ms = 0.0
        self._kinds: Counter[str] = Counter()

    def on_end(self, request: ModelRequest, ended: Ended) -> None:
        """Count one call."""
        self._calls += 1
        if isinstance(ended, ModelResponse):
            usage = usage_of(ended)
            self._answers += 1
            self._tokens += usage.total_tokens or 0
            self._latency_ms += ended.latency_ms
            choices = ended.body.get("choices") or [{}]
            self._kinds[str(choices[0].get("finish_reason") or "answered")] += 1
        else:
            info = getattr(ended, "info", None)
            self._kinds[info.kind.value if info else "abandoned"] += 1
        if self._calls % self._every == 0:
            self._log()

    async def close(self) -> None:
        """The last line."""
        if self._calls % self._every:
            self._log()
            self._calls = 0

    def _log(self) -> None:
        log.info(
            "%d calls: %d answers, %d tokens, %.0f ms each; %s",
            self._calls,
            self._answers,
            self._tokens,
            self._latency_ms / max(1, self._answers),
            ", ".join(f"{name} {count}" for name, count in self._kinds.most_common()),
        )
