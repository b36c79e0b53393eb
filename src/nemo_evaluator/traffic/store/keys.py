"""Which requests are the same: a key over everything that can change an answer.

Two bodies are equal if a server cannot tell them apart: the order of fields does not count, and a
number counts by its value (``1``, ``1.0`` and ``1e0`` are one, ``true`` and ``"1"`` are others).
The order of lists does count. A missing field is not a null one, but for ``NULL_IS_ABSENT``. What
only concerns transport, bookkeeping and billing (``VOLATILE``) is left out, and so are headers. In
doubt requests differ: that costs a call, where the opposite would give a wrong answer.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from hashlib import blake2b
from typing import Any

import msgspec

VERSION = 1
"""Version of the keys; a change makes all older keys unknown."""
KEY_BYTES = 20
VOLATILE = frozenset(
    (
        *("stream", "stream_options", "user", "safety_identifier", "metadata", "store"),
        *("service_tier", "prompt_cache_key", "prompt_cache_retention", "request_id"),
    )
)
"""Top-level fields that do not change what is answered."""
NULL_IS_ABSENT = frozenset(
    (
        *("best_of", "echo", "frequency_penalty", "instructions", "logit_bias", "logprobs"),
        *("max_completion_tokens", "max_output_tokens", "max_tokens", "max_tool_calls", "n"),
        *("parallel_tool_calls", "presence_penalty", "previous_response_id", "reasoning"),
        *("reasoning_effort", "seed", "stop", "suffix", "temperature", "top_logprobs", "top_p"),
        *("truncation", "verbosity"),
    )
)
"""Top-level fields whose null the OpenAI API defines as the default."""

_encode = msgspec.json.Encoder(order="deterministic").encode


class Keys:
    """Makes the keys of one pipeline. ``place`` is whatever sets it apart from others."""

    def __init__(self, *place: str) -> None:
        self._place = blake2b(canonical([VERSION, *place]), digest_size=KEY_BYTES)

    def __call__(self, protocol: str, body: dict[str, Any], *more: int) -> bytes:
        """20 bytes. Raises TypeError for a body that no JSON can say."""
        key = self._place.copy()
        key.update(canonical([protocol, *more, dict(_lasting(body))]))
        return key.digest()


def canonical(value: Any) -> bytes:
    """One text for all values that are equal."""
    exact = _exact(value)
    try:
        return _encode(exact)
    except (UnicodeEncodeError, TypeError):  # lone surrogates; names that are no text
        sent = json.loads(json.dumps(exact))
    try:
        return _encode(sent)
    except UnicodeEncodeError:
        return json.dumps(sent, sort_keys=True, separators=(",", ":")).encode()


def digest(value: Any, size: int) -> bytes:
    """``size`` bytes that are equal for equal values."""
    return blake2b(canonical(value), digest_size=size).digest()


def field_digests(body: dict[str, Any]) -> dict[str, str]:
    """A short digest of each field that counts, to tell later which of them differ."""
    return {name: digest(value, 4).hex() for name, value in _lasting(body)}


def _lasting(body: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    for name, value in body.items():
        if name not in VOLATILE and not (value is None and name in NULL_IS_ABSENT):
            yield name, value


def _exact(value: Any) -> Any:
    """The value with whole floats as integers, which have one spelling however large."""
    if isinstance(value, str):
        return value
    if isinstance(value, dict):
        return {name: item if type(item) is str else _exact(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [item if type(item) is str else _exact(item) for item in value]
    if isinstance(value, float) and value.is_integer():
        return int(value)
    return value
