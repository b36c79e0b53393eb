"""The wire dialects: how a question becomes a request body and a body a ``Reply``.

Each dialect is a few pure functions; ``DIALECTS`` maps the configuration's ``protocol`` to it.
``anthropic`` is no dialect of an endpoint but a translation to and from chat completions.
"""

from __future__ import annotations

from . import chat, completions, embeddings, responses, rewards
from .contract import Dialect, Question, Reply

DIALECTS: dict[str, Dialect] = {
    "chat_completions": Dialect(
        chat.build,
        chat.has_answer,
        chat.parse,
        chat.Accumulator,
        chat.events,
        stream_options=chat.STREAM_OPTIONS,
    ),
    "completions": Dialect(
        completions.build,
        completions.has_answer,
        completions.parse,
        completions.Accumulator,
        completions.events,
        stream_options=completions.STREAM_OPTIONS,
    ),
    "responses": Dialect(
        responses.build,
        responses.has_answer,
        responses.parse,
        responses.Accumulator,
        responses.events,
        named_events=True,
    ),
    "embeddings": Dialect(
        embeddings.build,
        embeddings.has_answer,
        embeddings.parse,
        embeddings.Accumulator,
        embeddings.events,
    ),
    "rewards": Dialect(
        rewards.build,
        rewards.has_answer,
        rewards.parse,
        embeddings.Accumulator,
        embeddings.events,
    ),
}

__all__ = ["DIALECTS", "Dialect", "Question", "Reply"]
