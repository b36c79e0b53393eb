"""Reads a request in any protocol: what was asked, and within which bounds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ...traffic.dialects.contract import text_of
from ...types import Json
from .draws import LIMITS


@dataclass(frozen=True, slots=True)
class Asked:
    """A request as the simulated model reads it."""

    prompt: str
    """The text of the last user turn."""
    chars: int
    """Characters of all turns."""
    limit: int | None
    """Most tokens the answer may have."""
    stop: Sequence[str]
    tools: Sequence[Mapping[str, Any]]


def read(body: dict[str, Any]) -> Asked:
    """The question in a request body; whatever is malformed counts as empty."""
    prompt, chars = _texts(body)
    limit = next((body[name] for name in LIMITS if isinstance(body.get(name), int)), None)
    stop = body.get("stop") or ()
    tools = body.get("tools") or ()
    if tools and (body.get("tool_choice") == "none" or "prompt" in body):
        tools = ()  # text completions know no tools
    return Asked(prompt, chars, limit, (stop,) if isinstance(stop, str) else stop, tools)


def target_of(prompt: str, targets: Mapping[str, Json]) -> Json:
    """The target of a prompt, or None.

    A text completion carries system prompt and turns in one text, divided by empty lines; then the
    longest end of it that is a known prompt counts.
    """
    text = prompt.strip()
    if text in targets:
        return targets[text]
    at = text.find("\n\n")
    while at >= 0:
        if (rest := text[at:].lstrip()) in targets:
            return targets[rest]
        at = text.find("\n\n", at + 2)
    return None


def _texts(body: dict[str, Any]) -> tuple[str, int]:
    turns = body.get("messages", body.get("input", body.get("prompt")))
    if isinstance(turns, str):
        return turns, len(turns) + len(str(body.get("instructions") or ""))
    if not isinstance(turns, list):
        return "", 0
    last, chars = "", 0
    for turn in turns:
        if isinstance(turn, dict):
            text = text_of(turn.get("content"))
            last = text if turn.get("role") == "user" else last
        else:
            last = text = turn if isinstance(turn, str) else ""
        chars += len(text)
    return last, chars
