"""The wire dialects: how a question becomes a request body and an answer a ``Reply``.

Each dialect is a pair of pure functions; ``DIALECTS`` maps the configuration's ``protocol`` to it.
"""

from __future__ import annotations

from . import chat, completions, responses
from .contract import Dialect, Question, Reply

DIALECTS: dict[str, Dialect] = {
    "chat_completions": Dialect(chat.build, chat.parse, chat.Accumulator),
    "completions": Dialect(completions.build, completions.parse, completions.Accumulator),
    "responses": Dialect(responses.build, responses.parse, responses.Accumulator),
}

__all__ = ["DIALECTS", "Dialect", "Question", "Reply"]
