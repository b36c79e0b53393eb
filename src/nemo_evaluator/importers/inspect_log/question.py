"""What a sample of Inspect asked, in its roles, where that is more than one text."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from ...types import Json, Message
from .records import ChatMessage, Sample

SHOWN = ("text", "image")


def asked(sample: Sample) -> dict[str, Any]:
    """``prompt``, or ``messages`` and ``system``, of the problem. The text is that of the sample's
    ``input`` in any case: runs are compared by it."""
    text = _texts(sample.input)
    given = list(_before_the_answer(sample))
    system = given.pop(0)["content"] if given and given[0]["role"] == "system" else None
    said = "\n\n".join(text_of(message["content"]) for message in given)
    several = len(given) > 1 or any(not isinstance(one["content"], str) for one in given)
    if not given or said != text or not isinstance(system, str | None):
        return {"prompt": text}
    if not several:
        return {"prompt": text, "system": system}
    return {"messages": tuple(given), "system": system}


def content_of(content: Json) -> Json:
    """A text, or the texts and images of a message as parts in OpenAI's form."""
    parts = content if isinstance(content, list | tuple) else ()
    told = [part for part in parts if isinstance(part, dict) and part.get("type") in SHOWN]
    if not any(isinstance(part.get("image"), str) for part in told):
        return text_of(content)
    return [_part(part) for part in told]


def text_of(content: Json) -> str:
    """The texts of a message."""
    if isinstance(content, str):
        return content
    parts = content if isinstance(content, list | tuple) else ()
    texts = (part.get("text") for part in parts if isinstance(part, dict))
    return "".join(text for text in texts if isinstance(text, str))


def _before_the_answer(sample: Sample) -> Iterator[Message]:
    for message in sample.messages:
        if message.role == "assistant" and message.source != "input":
            return
        yield _message(message)


def _message(message: ChatMessage) -> Message:
    found: dict[str, Any] = {"role": message.role, "content": content_of(message.content)}
    if isinstance(message.tool_call_id, str):
        found["tool_call_id"] = message.tool_call_id
    if message.tool_calls:
        found["tool_calls"] = [
            {
                "id": call.id,
                "type": "function",
                "function": {"name": call.function, "arguments": call.arguments},
            }
            for call in message.tool_calls
        ]
    return found


def _part(part: Mapping[str, Json]) -> Json:
    image = part.get("image")
    if isinstance(image, str):
        return {"type": "image_url", "image_url": {"url": image}}
    return {"type": "text", "text": part.get("text") or ""}


def _texts(given: Json) -> str:
    """The input of a sample: a text, or the texts of its messages."""
    if isinstance(given, str):
        return given
    messages = given if isinstance(given, list | tuple) else ()
    parts = [message.get("content") for message in messages if isinstance(message, dict)]
    return "\n\n".join(text_of(part) for part in parts)
