"""Chat-template fields in a text completion: a server ignores them, and the score is of another
prompt than the one that was meant.

``chat_template_kwargs`` with a true or false in it asks for a mode of thinking that a text
completion has not: refused. Otherwise ``chat_template`` and ``chat_template_kwargs`` are removed,
wherever in the body they are, with a warning. ``NEMO_EVALUATOR_ALLOW_COMPLETIONS_CHAT_TEMPLATE``
(1, true, yes, on) removes them in any case.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from typing import Any

from ..errors import PermanentError
from ..types import Failure
from .types import Interceptor, ModelRequest

log = logging.getLogger("nemo_evaluator.traffic")

FIELDS = ("chat_template_kwargs", "chat_template")
ALLOW = "NEMO_EVALUATOR_ALLOW_COMPLETIONS_CHAT_TEMPLATE"


class CompletionsGuard(Interceptor):
    """After the request sides of all other steps."""

    def __init__(self) -> None:
        self._warned = False

    def on_request(self, request: ModelRequest) -> None:
        """Raises PermanentError for what a text completion cannot do."""
        if request.protocol != "completions":
            return
        found = list(_places(request.body, ""))
        if not found:
            return
        request.body = guarded(request.body)
        if not self._warned:
            self._warned = True
            log.warning("removed from a text completion: %s", ", ".join(found))


def guarded(body: dict[str, Any]) -> dict[str, Any]:
    """The body of a text completion without chat-template fields. Raises PermanentError."""
    switches = [place for place in _places(body, "") if _has_switch(_value_at(body, place))]
    if switches and os.environ.get(ALLOW, "").strip().lower() not in ("1", "true", "yes", "on"):
        raise PermanentError(
            f"{', '.join(switches)} switches a chat template, which a text completion has not;"
            f" use protocol chat_completions, or set {ALLOW}=1 to send it without",
            kind=Failure.BAD_REQUEST,
        )
    cleaned: dict[str, Any] = _without_fields(body)
    return cleaned


def _places(value: object, path: str) -> Iterator[str]:
    """Where the fields are, as ``a.0.chat_template``."""
    if isinstance(value, dict):
        for name, item in value.items():
            here = f"{path}.{name}" if path else str(name)
            if name in FIELDS:
                yield here
            else:
                yield from _places(item, here)
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from _places(item, f"{path}.{index}")


def _value_at(body: Any, place: str) -> Any:
    for part in place.split("."):
        body = body[int(part)] if isinstance(body, list) else body[part]
    return body


def _has_switch(value: object) -> bool:
    if isinstance(value, bool):
        return True
    items = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return any(_has_switch(item) for item in items)


def _without_fields(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _without_fields(item) for name, item in value.items() if name not in FIELDS}
    return [_without_fields(item) for item in value] if isinstance(value, list) else value
