"""`consolidate_system`: one system message, at the beginning, as many chat templates demand.

Acts where there are several, or one that is not the first. List it after the steps that add system
messages (``system_message``, ``turn_counter``). ``developer`` counts as ``system``; the merged one
has the role of the first.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ...config.base import ConfigRecord
from ..dialects.contract import SYSTEM_ROLES, as_dict, as_str
from ..types import Interceptor, ModelRequest


class ConsolidateSystem(Interceptor):
    """Merges the system messages; all others keep their order."""

    class Options(ConfigRecord):
        """How system messages are joined."""

        separator: str = "\n\n"
        """Text between two of them."""

    def __init__(self, options: Options) -> None:
        self._separator = options.separator

    def on_request(self, request: ModelRequest) -> None:
        """Merge the messages of a chat, or the instructions and items of a response."""
        body = request.body
        if request.protocol == "chat_completions":
            body_key, instructions = "messages", None
        elif request.protocol == "responses":
            body_key, instructions = "input", as_str(body.get("instructions"))
        else:
            return
        messages = body.get(body_key)
        if not isinstance(messages, list):
            return
        places = [index for index, item in enumerate(messages) if _is_system(item)]
        if not places or (places == [0] and instructions is None):
            return
        others = [item for item in messages if not _is_system(item)]
        texts = [instructions or "", *(_text(messages[index].get("content")) for index in places)]
        merged = self._separator.join(text for text in texts if text)
        if instructions is not None:
            body["instructions"] = merged
        elif merged:
            others.insert(0, {"role": messages[places[0]]["role"], "content": merged})
        body[body_key] = others


def _is_system(item: Any) -> bool:
    return as_dict(item).get("role") in SYSTEM_ROLES


def _text(content: object) -> str:
    """The text of one message: its parts on lines of their own."""
    if isinstance(content, str):
        return content
    parts: Sequence[Any] = content if isinstance(content, list) else ()
    texts = (part if isinstance(part, str) else as_dict(part).get("text") for part in parts)
    return "\n".join(text if isinstance(text, str) else "" for text in texts)
