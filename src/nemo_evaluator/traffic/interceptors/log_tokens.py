"""`log_tokens`: one line of the log for the tokens of every answer."""

from __future__ import annotations

import logging

from ...config.base import ConfigRecord
from ..dialects.contract import parse_usage
from ..types import Changes, Interceptor, ModelRequest, ModelResponse

log = logging.getLogger("nemo_evaluator.traffic")


class LogTokens(Interceptor):
    """Logs usage as the provider reports it."""

    changes = Changes.NOTHING

    best_effort = True

    class Options(ConfigRecord):
        """It has no options."""

    def __init__(self, options: Options) -> None:
        pass

    def on_response(self, request: ModelRequest, response: ModelResponse) -> None:
        """Log one answer."""
        if not isinstance(response.body.get("usage"), dict):
            return
        usage = parse_usage(response.body["usage"])
        log.info(
            "tokens: prompt %s, completion %s, total %s, %.0f ms, %s",
            usage.prompt_tokens,
            usage.completion_tokens,
            usage.total_tokens,
            response.latency_ms,
            response.body.get("model"),
        )
