"""The conversation of a Messages request as chat messages.

Turns alternate afterwards: the API takes consecutive messages of one role as one turn, and so do
we, since many chat templates refuse anything else. Tool results come first in their turn, as chat
completions want them right behind the call.
"""

from __future__ import annotations

import json
from itertools import groupby
from typing import Any

from ....types import Message
from .blocks import Block, content_part, part_texts, plain_text, read_blocks

ROLES = ("user", "assistant", "system")
IMAGE_BELOW = "(the image follows in the next message)"
"""The text of a tool result that is nothing but images: chat tool messages carry only text."""


def read_messages(messages: object) -> list[Message]:
    """The chat messages of ``messages``. Raises ValueError."""
    if not isinstance(messages, list):
        raise ValueError("messages: must be a list")
    if not messages:
        raise ValueError("messages: at least one message is required")
    turns = [_turn(message, f"messages.{position}") for position, message in enumerate(messages)]
    chat: list[Message] = []
    for role, group in groupby(turns, key=lambda turn: turn[0]):
        blocks = [block for _, content in group for block in content]
        if role == "user":
            chat += _user(blocks)
        elif role == "assistant":
            chat.append(_assistant(blocks))
        else:
            chat.append({"role": "system", "content": plain_text(blocks, "a system message")})
    return chat


def _turn(message: object, where: str) -> tuple[str, list[Block]]:
    if not isinstance(message, dict):
        raise ValueError(f"{where}: must be an object")
    role = message.get("role")
    if role not in ROLES:
        raise ValueError(f"{where}.role: must be one of {', '.join(ROLES)}")
    return role, read_blocks(message.get("content"), f"{where}.content")


def _user(blocks: list[Block]) -> list[Message]:
    results: list[Message] = []
    images: list[dict[str, Any]] = []
    parts: list[dict[str, Any]] = []
    for block in blocks:
        if block.kind == "tool_result":
            message, shown = _tool_result(block)
            results.append(message)
            images += shown
        else:
            parts.append(content_part(block))
    parts = [*images, *parts]
    if not parts and results:
        return results
    return [*results, {"role": "user", "content": _user_content(parts)}]


def _user_content(parts: list[dict[str, object]]) -> str | list[dict[str, object]]:
    # Text alone is sent as text: not every server takes parts for a model without eyes.
    if all(part["type"] == "text" for part in parts):
        return part_texts(parts)
    return [part for part in parts if part.get("text") != ""]


def _tool_result(block: Block) -> tuple[Message, list[dict[str, object]]]:
    content = block.fields.get("content")
    inner = read_blocks("" if content is None else content, f"{block.where}.content")
    parts = [content_part(part) for part in inner]
    images = [part for part in parts if part["type"] == "image_url"]
    text = part_texts(parts) or (IMAGE_BELOW if images else "")
    if block.fields.get("is_error") is True and not text.lower().startswith("error"):
        # Chat completions have no flag for a failed call; the model learns of it from the text.
        text = f"Error: {text}" if text else "Error"
    return {"role": "tool", "tool_call_id": block.name("tool_use_id"), "content": text}, images


def _assistant(blocks: list[Block]) -> Message:
    texts, thoughts, calls = [], [], []
    for block in blocks:
        if block.kind == "text":
            texts.append(block.text("text"))
        elif block.kind == "thinking":
            thoughts.append(block.text("thinking"))
        elif block.kind == "tool_use":
            calls.append(_tool_call(block))
        elif block.kind != "redacted_thinking":
            raise ValueError(
                f"{block.where}: a block of type {block.kind!r} is not supported in an assistant "
                "message"
            )
    # Without a separator: where an answer was cut into blocks, this is what the model had said.
    text = "".join(texts)
    message: Message = {"role": "assistant", "content": text or (None if calls else "")}
    if reasoning := "".join(thoughts):
        message["reasoning_content"] = reasoning
    if calls:
        message["tool_calls"] = calls
    return message


def _tool_call(block: Block) -> dict[str, object]:
    given = block.fields.get("input")
    if not isinstance(given, dict):
        raise ValueError(f"{block.where}.input: must be an object")
    function = {"name": block.name("name"), "arguments": json.dumps(given, ensure_ascii=False)}
    return {"id": block.name("id"), "type": "function", "function": function}
