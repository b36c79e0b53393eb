"""`turn_counter`: limits the turns of a session, and tells the model how many are left.

A turn is an answered call that generates text. A call without an answer gives its turn back, so
neither retries nor failures use up the limit; parallel calls hold a turn each while they are in
flight. The count belongs to the session, not to the messages: a compacted conversation does not
reset it.
"""

from __future__ import annotations

import hashlib
import logging
from collections import OrderedDict
from typing import Literal

from pydantic import Field

from ...config.base import ConfigRecord
from ...errors import BudgetExceeded
from ...types import EndedBy
from ..dialects.contract import SYSTEM_ROLES, dicts, text_of
from ..types import CallContext, Changes, Ended, Interceptor, ModelRequest, ModelResponse

log = logging.getLogger("nemo_evaluator.traffic")

MAX_SESSIONS = 100_000
"""Sessions that are kept if none are ended (a bare `nel proxy`); the least recently used are
forgotten first."""
WARN, URGENT = 0.80, 0.95
GENERATING = ("chat_completions", "completions", "responses")


class TurnCounter(Interceptor):
    """Counts, announces, and ends a session that is out of turns with BudgetExceeded."""

    changes = Changes.ANSWERS

    class Options(ConfigRecord):
        """Without ``max_turns`` turns are only counted and logged."""

        max_turns: int | None = Field(None, ge=1)
        """Turns a session may take."""
        every: int = Field(1, ge=1)
        """Turns between two log lines."""
        position: Literal["system_message", "user_message"] = "system_message"
        """Where the notice is put: in a system message at the end, or in the last user message."""
        trigger: Literal["threshold", "periodic"] = "threshold"
        """When the notice is given: at 80 % and 95 % of the turns, or every ``interval`` turns."""
        interval: int = Field(1, ge=1)
        """Turns between two notices of ``trigger: periodic``."""

    def __init__(self, options: Options) -> None:
        self._options = options
        self._turns: OrderedDict[tuple[str, int], int] = OrderedDict()
        self._held: dict[int, tuple[str, int]] = {}

    def on_request(self, request: ModelRequest) -> None:
        """Take a turn, or raise BudgetExceeded."""
        if request.protocol not in GENERATING:
            return
        key = request.context.scope if request.context.session else (conversation(request), 0)
        turn, limit = self._turns.get(key, 0) + 1, self._options.max_turns
        if limit is not None and turn > limit:
            text = f"Turn budget exhausted: {turn}/{limit} turns"
            raise BudgetExceeded(text).of(EndedBy.TURNS)
        self._turns[key] = turn
        self._turns.move_to_end(key)
        if len(self._turns) > MAX_SESSIONS:
            self._turns.popitem(last=False)
        self._held[id(request)] = key
        if turn == 1 or turn % self._options.every == 0:
            log.info("session %s: turn %d%s", key[0], turn, f" of {limit}" if limit else "")
        if limit is not None and (notice := self._notice(turn, limit)):
            self._tell(request, notice)

    def on_end(self, request: ModelRequest, ended: Ended) -> None:
        """Give the turn back if there was no answer."""
        key = self._held.pop(id(request), None)
        if key is not None and not isinstance(ended, ModelResponse) and self._turns.get(key):
            self._turns[key] -= 1

    def end_session(self, context: CallContext) -> None:
        """Forget the session."""
        self._turns.pop(context.scope, None)

    def _notice(self, turn: int, limit: int) -> str | None:
        left = limit - turn
        if self._options.trigger == "periodic":
            due = turn % self._options.interval == 0
            return f"Turn budget: {_turns(left)} left." if due else None
        if turn / limit >= URGENT:
            text = f"URGENT: this is turn {turn}/{limit}, {_turns(left)} left. Answer now."
        elif turn / limit >= WARN:
            text = f"This is turn {turn}/{limit}, {_turns(left)} left. Begin to wrap up."
        else:
            return None
        return f"[SYSTEM] {text}" if self._options.position == "system_message" else text

    def _tell(self, request: ModelRequest, notice: str) -> None:
        name = "input" if request.protocol == "responses" else "messages"
        messages = request.body.get(name)
        if name == "input" and isinstance(messages, str):
            messages = [{"role": "user", "content": messages}]
        if not isinstance(messages, list):
            return  # a text completion knows no roles
        if self._options.position == "system_message":
            request.body[name] = [*messages, {"role": "system", "content": notice}]
            return
        for index in range(len(messages) - 1, -1, -1):
            if isinstance(messages[index], dict) and messages[index].get("role") == "user":
                with_notice = _with_notice(messages[index], notice, responses=name == "input")
                request.body[name] = [*messages[:index], with_notice, *messages[index + 1 :]]
                return


def conversation(request: ModelRequest) -> str:
    """Stands for the session of a caller who names none: the first message that is not the
    system's."""
    body = request.body
    messages = body.get("messages", body.get("input", body.get("prompt")))
    texts = [messages] if isinstance(messages, str) else []
    for message in dicts(messages):
        if message.get("role") not in SYSTEM_ROLES:
            texts.append(text_of(message.get("content")))
    first = next((text for text in texts if text), "unknown")
    return hashlib.sha256(first.encode("utf-8", "replace")).hexdigest()[:8]


def _turns(count: int) -> str:
    return f"{count} turn{'' if count == 1 else 's'}"


def _with_notice(message: dict[str, object], notice: str, *, responses: bool) -> dict[str, object]:
    content = message.get("content")
    if isinstance(content, list):
        kind = "input_text" if responses else "text"
        last = content[-1] if content else None
        if isinstance(last, dict) and last.get("type") == kind:
            tail = {**last, "text": f"{last.get('text') or ''}\n\n{notice}"}
            return {**message, "content": [*content[:-1], tail]}
        return {**message, "content": [*content, {"type": kind, "text": notice}]}
    old = content if isinstance(content, str) else ""
    return {**message, "content": f"{old}\n\n{notice}" if old else notice}
