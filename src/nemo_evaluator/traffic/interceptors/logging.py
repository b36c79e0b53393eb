"""`logging`: one line of the log for every request, and one for how it ended."""

from __future__ import annotations

import logging

from pydantic import Field

from ...config.base import ConfigRecord
from ..scrub import Scrubber, without_secret_places
from ..types import Changes, Ended, Interceptor, ModelRequest, ModelResponse, Place
from ..wire import encode

MARGIN = 1000
log = logging.getLogger("nemo_evaluator.traffic")


class Logging(Interceptor):
    """Logs previews, cleaned of secrets."""

    changes = Changes.NOTHING

    best_effort = True

    class Options(ConfigRecord):
        """How much is logged."""

        preview_chars: int = Field(512, ge=0)
        """Characters of each body that are shown."""

    def __init__(self, options: Options) -> None:
        self._chars = options.preview_chars
        self._scrub = Scrubber()

    def open(self, place: Place) -> None:
        """Keep the scrubber of this service."""
        self._scrub = place.scrub

    def on_request(self, request: ModelRequest) -> None:
        """Log the request."""
        if not log.isEnabledFor(logging.INFO):
            return
        session = request.context.session or "-"
        log.info("→ %s %s %s", session, request.protocol, self._preview(request.body))

    def on_end(self, request: ModelRequest, ended: Ended) -> None:
        """Log how the call ended."""
        if not log.isEnabledFor(logging.INFO):
            return
        session = request.context.session or "-"
        if isinstance(ended, ModelResponse):
            text = f"{ended.status} from {ended.source}, {ended.latency_ms:.0f} ms"
            log.info("← %s %s %s", session, text, self._preview(ended.body))
        elif isinstance(ended, Exception):
            log.info("← %s failed: %s", session, self._scrub(str(ended)))
        else:
            log.info("← %s abandoned by the caller", session)

    def _preview(self, body: dict[str, object]) -> str:
        whole = encode(without_secret_places(body)).decode()
        # What reaches into the preview from behind it must be seen whole to be cleaned.
        text = self._scrub(whole[: self._chars + MARGIN])
        if len(whole) <= self._chars + MARGIN and len(text) <= self._chars:
            return text
        return text[: self._chars] + "..."
