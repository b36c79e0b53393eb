"""`system_message`: gives every request a system message of the configuration.

What a system message is depends on the dialect: in chat completions a message of role ``system`` or
``developer``; in responses also ``instructions``; in completions the text before, or after, the
prompt. Embeddings have none and stay as they are.
"""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from ...config.base import ConfigRecord
from ...errors import ConfigError
from ..dialects.contract import SYSTEM_ROLES, as_dict, as_str
from ..types import Interceptor, ModelRequest

Strategy = Literal["replace", "append", "prepend"]
GAP = "\n\n"


class SystemMessage(Interceptor):
    """Replaces, appends or prepends."""

    class Options(ConfigRecord):
        """The text of the system message, and its position."""

        system_message: str = Field(min_length=1)
        """The text."""
        strategy: Strategy = "prepend"
        """``replace`` all system messages by this one; ``append`` it after the last message; or
        ``prepend`` it before the first, which leaves the others where they are. In a text prompt
        nothing marks a system message: ``replace`` is ``prepend`` there. In responses it becomes
        the ``instructions`` (``prepend``: the beginning of them), or the last item."""

    def __init__(self, options: Options) -> None:
        self._text, self._strategy = options.system_message, options.strategy
        self._message = {"role": "system", "content": options.system_message}

    def on_request(self, request: ModelRequest) -> None:
        """Put the system message in. Raises ConfigError for a prompt of token ids."""
        body = request.body
        if request.protocol == "chat_completions":
            body["messages"] = self._in_messages(_as_messages(body.get("messages")))
        elif request.protocol == "responses":
            self._in_response(body)
        elif request.protocol == "completions":
            body["prompt"] = self._in_prompt(body.get("prompt"))

    def _in_messages(self, messages: list[object]) -> list[object]:
        if self._strategy == "append":
            return [*messages, self._message]
        if self._strategy == "replace":
            messages = _without_system(messages)
        return [self._message, *messages]

    def _in_response(self, body: dict[str, Any]) -> None:
        items = body.get("input")
        if self._strategy == "append":
            body["input"] = [*_as_messages(items), self._message]
            return
        before = as_str(body.get("instructions"))
        if self._strategy == "replace":
            before = None
            if isinstance(items, list):
                body["input"] = _without_system(items)
        body["instructions"] = f"{self._text}{GAP}{before}" if before else self._text

    def _in_prompt(self, prompt: object) -> object:
        if isinstance(prompt, list) and all(isinstance(text, str) for text in prompt):
            return [self._in_prompt(text) for text in prompt]
        if prompt is not None and not isinstance(prompt, str):
            what = "a system message cannot be put into a prompt of token ids"
            raise ConfigError(what, where="interceptor 'system_message'")
        parts = (prompt, self._text) if self._strategy == "append" else (self._text, prompt)
        return GAP.join(part for part in parts if part)


def _as_messages(messages: object) -> list[object]:
    """Messages, or the items of an input, which may be a text."""
    if isinstance(messages, str):
        return [{"role": "user", "content": messages}] if messages else []
    return messages if isinstance(messages, list) else []


def _without_system(messages: list[Any]) -> list[Any]:
    return [item for item in messages if as_dict(item).get("role") not in SYSTEM_ROLES]
