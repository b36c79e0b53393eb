"""Reward models behind a path of their own (vLLM's ``/pooling``, ``/score``, ``/classify``): the
answer is numbers; who reads them knows their shape. No solver asks for them."""

from __future__ import annotations

from typing import Any

import msgspec

from .contract import Question, Reply, as_str, parse_usage

SCORES = ("data", "score", "scores", "reward", "rewards", "logits")
SHOWN_CHARS = 2000


def build(question: Question) -> dict[str, Any]:
    """The conversation as it is."""
    return {"model": question.model, "messages": list(question.messages), **question.params}


def has_answer(body: dict[str, Any]) -> bool:
    """Whether there is anything like a score."""
    return any(body.get(name) not in (None, []) for name in SCORES)


def parse(body: dict[str, Any]) -> Reply:
    """The scores as text, usage and model."""
    scores = {name: body[name] for name in SCORES if name in body}
    text = msgspec.json.encode(scores).decode()[:SHOWN_CHARS]
    return Reply(text, None, None, parse_usage(body.get("usage")), as_str(body.get("model")))
