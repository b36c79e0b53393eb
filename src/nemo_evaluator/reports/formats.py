"""A document in the formats a terminal command offers."""

from __future__ import annotations

from .blocks import Document


def in_format(document: Document, name: str) -> str:
    """``text``, ``markdown`` or ``html``."""
    if name == "text":
        from .text import to_text

        return to_text(document)
    if name == "markdown":
        from .markdown import to_markdown

        return to_markdown(document)
    from .html.blocks import to_html

    return to_html(document)
