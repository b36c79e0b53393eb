"""The Anthropic Messages API (``POST /v1/messages``), translated to chat completions and back.

Agents that speak only this API (Claude Code) are served by any endpoint that speaks chat
completions. Pure functions and one state machine: no I/O, no names of models, no transport.
"""

from __future__ import annotations

from .count import count_tokens
from .request import to_chat
from .response import error_body, from_chat
from .stream import EventTranslator

__all__ = ["EventTranslator", "count_tokens", "error_body", "from_chat", "to_chat"]
