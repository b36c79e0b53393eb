"""`reasoning_replay`: puts earlier reasoning back into the assistant turns of a conversation.

Many agents send the history back without what the model thought, and some models answer worse then.
An answer's reasoning is remembered, within its session only, by the ids of its tool calls, or by
its text if it has none; it is put back into a turn that has lost it. Chat completions only: a
responses history has reasoning items. List it after `reasoning`, which finds `<think>` blocks.
"""

from __future__ import annotations

import hashlib
import logging
from collections import OrderedDict
from collections.abc import Iterator
from typing import Any, Literal

from pydantic import Field

from ...config.base import ConfigRecord
from ..dialects.contract import as_dict, as_str, dicts, text_of
from ..types import CallContext, Interceptor, ModelRequest, ModelResponse

log = logging.getLogger("nemo_evaluator.traffic")

Scope = tuple[str, int]
Key = tuple[Scope, str, str]
"""Session, kind of mark (``call`` or ``text``), and the mark."""


class ReasoningReplay(Interceptor):
    """Remembers the latest answers; the least recently used go first."""

    class Options(ConfigRecord):
        """How reasoning is put back, and how much is remembered."""

        mode: Literal["think_tags", "native", "both"] = "think_tags"
        """``think_tags``: as a block before the content, unless that begins with one. ``native``:
        in the fields ``reasoning_content`` and ``reasoning``, unless one of them is there."""
        tag_open: str = Field("<think>", min_length=1)
        """Begins a block."""
        tag_close: str = Field("</think>", min_length=1)
        """Ends a block."""
        cache_max_entries: int = Field(10_000, ge=1)
        """Marks remembered in all sessions together; every tool call is one."""
        log_misses: bool = False
        """Log each assistant turn whose reasoning is not known."""

    def __init__(self, options: Options) -> None:
        self._options = options
        self._in_tags = options.mode in ("think_tags", "both")
        self._in_fields = options.mode in ("native", "both")
        self._known: OrderedDict[Key, str] = OrderedDict()
        self._sessions: dict[Scope, set[Key]] = {}
        self.hits = 0
        """Turns whose reasoning was put back."""
        self.misses = 0
        """Turns whose reasoning was not known."""

    def on_request(self, request: ModelRequest) -> None:
        """Put earlier reasoning back."""
        messages = request.body.get("messages")
        if request.protocol != "chat_completions" or not isinstance(messages, list):
            return
        scope = request.context.scope
        changed = [
            self._replayed(scope, message) if _is_assistant(message) else message
            for message in messages
        ]
        if any(new is not old for new, old in zip(changed, messages, strict=True)):
            request.body["messages"] = changed

    def on_response(self, request: ModelRequest, response: ModelResponse) -> None:
        """Remember the answer's reasoning."""
        if request.protocol != "chat_completions":
            return
        for choice in dicts(response.body.get("choices")):
            message = as_dict(choice.get("message"))
            if reasoning := _reasoning(message):
                for key in _keys(request.context.scope, message):
                    self._remember(key, reasoning)

    def end_session(self, context: CallContext) -> None:
        """Forget the session."""
        for key in self._sessions.pop(context.scope, ()):
            del self._known[key]

    async def close(self) -> None:
        """Log how often reasoning was put back."""
        if self.hits or self.misses:
            log.info("reasoning put back: %d turns, not known: %d", self.hits, self.misses)
            self.hits = self.misses = 0

    def _remember(self, key: Key, reasoning: str) -> None:
        self._known[key] = reasoning
        self._known.move_to_end(key)
        self._sessions.setdefault(key[0], set()).add(key)
        if len(self._known) > self._options.cache_max_entries:
            oldest, _ = self._known.popitem(last=False)
            left = self._sessions[oldest[0]]
            left.remove(oldest)
            if not left:
                del self._sessions[oldest[0]]

    def _replayed(self, scope: Scope, message: dict[str, Any]) -> dict[str, Any]:
        """The turn with its reasoning; itself if it needs none, or none is known."""
        options, content = self._options, message.get("content")
        fields = self._in_fields and _reasoning(message) is None
        tags = self._in_tags and not text_of(content).lstrip().startswith(options.tag_open)
        if not fields and not tags:
            return message
        keys = list(_keys(scope, message))
        key = next((key for key in keys if key in self._known), None)
        if key is None:
            self._miss(scope, bool(keys))
            return message
        self.hits += 1
        self._known.move_to_end(key)
        reasoning = self._known[key]
        changed = dict(message)
        if fields:
            changed |= {"reasoning_content": reasoning, "reasoning": reasoning}
        if tags:
            block = f"{options.tag_open}{reasoning}{options.tag_close}\n"
            if isinstance(content, list):
                changed["content"] = [{"type": "text", "text": block}, *content]
            else:
                changed["content"] = block + (as_str(content) or "")
        return changed

    def _miss(self, scope: Scope, has_keys: bool) -> None:
        self.misses += has_keys
        if has_keys and self._options.log_misses:
            log.info("session %s: the reasoning of an assistant turn is not known", scope[0])


def _is_assistant(message: Any) -> bool:
    return as_dict(message).get("role") == "assistant"


def _reasoning(message: dict[str, Any]) -> str | None:
    """The reasoning in a field of a message, unless it is blank."""
    texts = (as_str(message.get(name)) for name in ("reasoning_content", "reasoning"))
    return next((text for text in texts if text and text.strip()), None)


def _keys(scope: Scope, message: dict[str, Any]) -> Iterator[Key]:
    """The marks of an answer: its tool calls, or else its text (the whole, stripped)."""
    ids = [as_str(call.get("id")) for call in dicts(message.get("tool_calls"))]
    if known := [id_ for id_ in ids if id_]:
        yield from ((scope, "call", id_) for id_ in known)
    elif text := text_of(message.get("content")).strip():
        yield scope, "text", hashlib.sha256(text.encode(errors="replace")).hexdigest()[:32]
