"""Reads probabilities of tokens, in the three forms that servers give them.

Invariant: a list is whole or empty. One entry that cannot be read makes the list empty, since the
sum over the rest would be another number.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from ...asked import TokenLogprob
from .contract import as_dict

Logprobs = tuple[TokenLogprob, ...]
SLACK = 1e-6
"""Servers round; a token this close to the best one counts as the best."""


def of_completion(choice: dict[str, Any]) -> Logprobs:
    """``logprobs`` of a text completion: parallel lists. With ``echo`` the prompt's come first."""
    given = as_dict(choice.get("logprobs"))
    tokens, values = given.get("tokens"), given.get("token_logprobs")
    if not isinstance(tokens, list) or not isinstance(values, list) or len(tokens) != len(values):
        return ()
    tops = given.get("top_logprobs")
    if not isinstance(tops, list) or len(tops) != len(tokens):
        tops = [None] * len(tokens)
    found = [
        _token(token, value, list(as_dict(top).items()))
        for token, value, top in zip(tokens, values, tops, strict=True)
    ]
    return _whole(found)


def of_chat(choice: dict[str, Any]) -> Logprobs:
    """``logprobs.content`` of a chat completion: one mapping for each token."""
    content = as_dict(choice.get("logprobs")).get("content")
    if not isinstance(content, list):
        return ()
    return _whole([_of_entry(as_dict(entry)) for entry in content])


def of_prompt(choice: dict[str, object], body: dict[str, object]) -> Logprobs:
    """``prompt_logprobs`` (vLLM): for each token of the prompt None, or a mapping from token id to
    ``{"logprob", "rank", "decoded_token"}`` whose first entry is the token itself."""
    given = choice.get("prompt_logprobs") or body.get("prompt_logprobs")
    if not isinstance(given, list):
        return ()
    found: list[TokenLogprob | None] = []
    for position, entry in enumerate(given):
        if entry is None and position == 0:
            continue  # the first token: not even its text is told
        first = as_dict(next(iter(as_dict(entry).values()), None))
        token = _token(first.get("decoded_token"), first.get("logprob"), ())
        rank = first.get("rank")
        if token is not None and isinstance(rank, int):
            token = TokenLogprob(token=token.token, logprob=token.logprob, greedy=rank == 1)
        found.append(token)
    return _whole(found)


def _of_entry(entry: dict[str, Any]) -> TokenLogprob | None:
    tops = entry.get("top_logprobs")
    others = tops if isinstance(tops, list) else []
    pairs = [(as_dict(top).get("token"), as_dict(top).get("logprob")) for top in others]
    return _token(entry.get("token"), entry.get("logprob"), pairs)


def _token(token: Any, value: Any, others: Sequence[tuple[Any, Any]]) -> TokenLogprob | None:
    if not isinstance(token, str) or isinstance(value, bool):
        return None
    if value is None:
        return TokenLogprob(token=token)
    if not isinstance(value, int | float) or math.isnan(value):
        return None
    known = {
        name: float(other)
        for name, other in others
        if isinstance(name, str) and isinstance(other, int | float)
    }
    greedy = value >= max(known.values()) - SLACK if known else None
    return TokenLogprob(token=token, logprob=float(value), greedy=greedy, candidates=known)


def _whole(found: list[TokenLogprob | None]) -> Logprobs:
    tokens = tuple(token for token in found if token is not None)
    return tokens if len(tokens) == len(found) else ()
