"""`log_tokens`: one line of the log for the tokens of every answer."""

from __future__ import annotations

import logging

from ...config.base import ConfigRecord
from ..types import Changes, Ended, Interceptor, ModelRequest, ModelResponse, usage_of

log = logging.getLogger("nemo_evaluator.traffic")


class LogTokens(Interceptor):
    """Logs usage as the provider reports it."""

    changes = Changes.NOTHING

    best_effort = True

    class Options(ConfigRecord):
        """This interceptor has no options."""

    def __init__(self, options: Options) -> None:
        pass

    def on_end(self, request: ModelRequest, ended: Ended) -> None:
        """Log one answer."""
        if not isinstance(ended, ModelResponse) or not isinstance(ended.body.get("usage"), dict):
            return
        usage = usage_of(ended)
        log.info(
            "tokens: prompt %s, completion %s, total %s, %.0f ms, %s",
            usage.prompt_tokens,
            usage.completion_tokens,
            usage.total_tokens,
            ended.latency_ms,
            ended.body.get("model"),
        )
