"""The wire dialects: how a question becomes a request body and a body a ``Reply``.

Each dialect is a few pure functions; ``DIALECTS`` maps the configuration's ``protocol`` to it.
"""

from __future__ import annotations

from . import chat, completions, responses
from .contract import Dialect, Question, Reply

DIALECTS: dict[str, Dialect] = {
    "chat_completions": Dialect(
        chat.build, chat.has_answer, chat.parse, chat.Accumulator, chat.STREAM_OPTIONS
    ),
    "completions": Dialect(
        completions.build,
        completions.has_answer,
        completions.parse,
        completions.Accumulator,
        completions.STREAM_OPTIONS,
    ),
    "responses": Dialect(
        responses.build, responses.has_answer, responses.parse, responses.Accumulator
    ),
}

__all__ = ["DIALECTS", "Dialect", "Question", "Reply"]
