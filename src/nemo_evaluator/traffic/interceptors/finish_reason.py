"""`finish_reason`: an answer that used up its token limit was cut off, whatever the server says.

Some servers say ``stop`` where the limit ended the answer. The original is kept beside it, as
``original_finish_reason`` of the choice.
"""

from __future__ import annotations

from typing import Any

from ...config.base import ConfigRecord
from ...finish import FinishReason
from ..dialects.contract import as_dict, as_int, as_tokens, dicts, finish_of
from ..types import Changes, EventFilter, Interceptor, ModelRequest, ModelResponse

CAPS = ("max_completion_tokens", "max_tokens")


class FinishReasonFixup(Interceptor):
    """Corrects ``stop`` to ``length``."""

    changes = Changes.ANSWERS

    best_effort = True

    class Options(ConfigRecord):
        """This interceptor has no options."""

    def __init__(self, options: Options) -> None:
        pass

    def on_response(self, request: ModelRequest, response: ModelResponse) -> None:
        """Correct the choices of a whole answer."""
        cap = token_cap(request.body)
        choices = response.body.get("choices")
        if cap is None or not isinstance(choices, list):
            return
        alone = as_dict(response.body.get("usage")) if len(choices) == 1 else {}
        for choice in dicts(choices):
            own = as_dict(choice.get("usage")) or (choice if "completion_tokens" in choice else {})
            _correct(choice, cap, own or alone)

    def event_filter(self, request: ModelRequest) -> EventFilter | None:
        """Correct the last chunk, which waits for the usage behind it."""
        cap = token_cap(request.body)
        several = (as_int(request.body.get("n")) or 1) > 1
        return None if cap is None or several else _HoldEnd(cap)


class _HoldEnd:
    """Holds back a chunk that says ``stop``, and all behind it, until the usage has come, or the
    end."""

    def __init__(self, cap: int) -> None:
        self._cap = cap
        self._held: list[dict[str, object]] = []

    def feed(self, event: dict[str, Any]) -> list[dict[str, Any]]:
        ends = any(_says_stop(choice) for choice in dicts(event.get("choices")))
        usage = as_dict(event.get("usage"))
        if not usage:
            if not ends and not self._held:
                return [event]
            self._held.append(event)
            return []
        passing = [*self._held, event]
        self._held = []
        for held in passing:
            for choice in dicts(held.get("choices")):
                _correct(choice, self._cap, usage)
        return passing

    def close(self) -> list[dict[str, object]]:
        held, self._held = self._held, []
        return held


def token_cap(body: dict[str, Any]) -> int | None:
    """The limit a request sets: the first of its two names that is a positive whole number."""
    for name in CAPS:
        cap = as_int(body.get(name))
        if cap is not None and cap > 0:
            return cap
    return None


def _correct(choice: dict[str, Any], cap: int, usage: dict[str, Any]) -> None:
    details = as_dict(usage.get("completion_tokens_details"))
    counts = (as_tokens(usage.get("completion_tokens")), as_tokens(details.get("reasoning_tokens")))
    generated = max((count for count in counts if count is not None), default=0)
    if generated >= cap and _says_stop(choice):
        choice["original_finish_reason"] = choice["finish_reason"]
        choice["finish_reason"] = FinishReason.LENGTH.value


def _says_stop(choice: dict[str, Any]) -> bool:
    return FinishReason.of(finish_of(choice)) is FinishReason.STOP
