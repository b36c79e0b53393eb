"""Content blocks of a Messages request, read strictly: a block that cannot be carried is refused.

Every error names the place in the request the way the API itself does: ``messages.2.content.0``.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from ..contract import as_dict, as_str

PARAGRAPH = "\n\n"
"""Between the text blocks of one turn: each is a text of its own."""


@dataclass(frozen=True, slots=True)
class Block:
    """A content block and its place in the request."""

    where: str
    kind: str
    fields: dict[str, Any]

    def text(self, name: str) -> str:
        """The text of a field that must be there. Raises ValueError."""
        value = self.fields.get(name)
        if not isinstance(value, str):
            raise ValueError(f"{self.where}.{name}: a text is required")
        return value

    def name(self, name: str) -> str:
        """A text that must not be empty. Raises ValueError."""
        value = self.text(name)
        if not value:
            raise ValueError(f"{self.where}.{name}: must not be empty")
        return value


def read_blocks(content: object, where: str) -> list[Block]:
    """The blocks of a content: a text is one text block. Raises ValueError."""
    if isinstance(content, str):
        return [Block(where, "text", {"type": "text", "text": content})]
    if not isinstance(content, list):
        raise ValueError(f"{where}: must be a text or a list of blocks")
    blocks = []
    for position, fields in enumerate(content):
        place = f"{where}.{position}"
        kind = as_str(as_dict(fields).get("type"))
        if kind is None:
            raise ValueError(f"{place}: must be a block with a type")
        blocks.append(Block(place, kind, fields))
    return blocks


def plain_text(blocks: Iterable[Block], where: str) -> str:
    """The text of blocks that may be nothing but text. Raises ValueError."""
    texts = []
    for block in blocks:
        if block.kind != "text":
            raise ValueError(f"{block.where}: {where} takes only text, not {block.kind!r}")
        texts.append(block.text("text"))
    return PARAGRAPH.join(text for text in texts if text)


def content_part(block: Block) -> dict[str, object]:
    """The chat content part of what a user or a tool says or shows. Raises ValueError."""
    if block.kind == "text":
        return {"type": "text", "text": block.text("text")}
    if block.kind == "image":
        return {"type": "image_url", "image_url": {"url": _image_url(block)}}
    if block.kind == "document":
        return {"type": "text", "text": _document(block)}
    raise ValueError(f"{block.where}: a block of type {block.kind!r} is not supported here")


def part_texts(parts: Iterable[dict[str, Any]]) -> str:
    """The text parts in one."""
    texts = (part["text"] for part in parts if part["type"] == "text")
    return PARAGRAPH.join(text for text in texts if text)


def _source(block: Block) -> Block:
    source = as_dict(block.fields.get("source"))
    return Block(f"{block.where}.source", as_str(source.get("type")) or "", source)


def _image_url(block: Block) -> str:
    source = _source(block)
    if source.kind == "base64":
        return f"data:{source.name('media_type')};base64,{source.name('data')}"
    if source.kind == "url":
        return source.name("url")
    raise ValueError(f"{source.where}: must be of type base64 or url, not {source.kind!r}")


def _document(block: Block) -> str:
    source = _source(block)
    if source.kind != "text":
        raise ValueError(
            f"{source.where}: only documents of plain text are supported, not {source.kind!r}"
        )
    heads = (as_str(block.fields.get("title")), as_str(block.fields.get("context")))
    return PARAGRAPH.join([*filter(None, heads), source.text("data")])
