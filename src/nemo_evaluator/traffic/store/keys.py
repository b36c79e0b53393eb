"""Which requests are the same: a key over everything that can change an answer.

Two bodies are equal if a server cannot tell them apart: the order of fields does not count, and a
number counts by its value (``1``, ``1.0`` and ``1e0`` are one, ``true`` and ``"1"`` are others).
The order of lists does count. A missing field is not a null one, but for ``NULL_IS_ABSENT``. What
only concerns transport, bookkeeping and billing (``VOLATILE``) is left out, and so are headers. In
doubt requests differ: that costs a call, where the opposite would give a wrong answer.
"""

from __future__ import annotations

import json
from functools import lru_cache
from hashlib import blake2b

import msgspec

VERSION = 1
"""Version of the keys; a change makes all older keys unknown."""
KEY_BYTES = 20
SHORT_BYTES = 64
"""Up to this length a field may be the same in every request."""
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

    def __call__(self, protocol: str, form: Form, *more: int) -> bytes:
        """20 bytes."""
        key = self._place.copy()
        key.update(_opening(protocol, *more))
        key.update(form.text)
        key.update(b"]")
        return key.digest()


class Form:
    """The canonical form of a request body, made once for all that need it."""

    __slots__ = ("_body", "_fields", "text")

    def __init__(self, body: dict[str, object]) -> None:
        """Raises TypeError for a body that no JSON can say."""
        self._body = dict(body)
        lasting = {name: _exact(value) for name, value in body.items() if _lasts(name, value)}
        try:
            self._fields = {name: _encode(value) for name, value in lasting.items()}
            self.text = _object(self._fields)
        except (UnicodeEncodeError, TypeError):  # one field decides how all of them are written
            self._fields = {name: canonical(value) for name, value in lasting.items()}
            self.text = canonical(lasting)
        """One text for all bodies that are equal."""

    def is_of(self, body: dict[str, object]) -> bool:
        """Whether the body is still the same: interceptors replace fields, never what is below."""
        known = self._body
        if len(known) != len(body):
            return False
        for name, value in body.items():  # noqa: SIM110  (a generator takes twice as long)
            if known.get(name, known) is not value:
                return False
        return True

    def digests(self) -> dict[str, str]:
        """A short digest of each field that counts, to tell later which of them differ."""
        return {
            name: (_known_digest if len(text) <= SHORT_BYTES else _digest)(text)
            for name, text in self._fields.items()
        }


def canonical(value: object) -> bytes:
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


def _lasts(name: str, value: object) -> bool:
    """Whether a field of a body can change an answer."""
    return name not in VOLATILE and not (value is None and name in NULL_IS_ABSENT)


@lru_cache(maxsize=1024)
def _opening(protocol: str, *more: int) -> bytes:
    """What stands before the body in a list that a key is made of."""
    return canonical([protocol, *more])[:-1] + b","


def _digest(text: bytes) -> str:
    return blake2b(text, digest_size=4).hexdigest()


_known_digest = lru_cache(maxsize=1024)(_digest)
"""For the fields that are the same in every request: the model, its parameters."""


def _object(fields: dict[str, bytes]) -> bytes:
    """What ``_encode`` makes of an object, from the texts of its fields. Raises TypeError for a
    name that is no text."""
    return b"{%b}" % b",".join([_encoded_name(name) + fields[name] for name in sorted(fields)])


@lru_cache(maxsize=1024)
def _encoded_name(name: str) -> bytes:
    """The name of a field in JSON, and what follows it. Raises TypeError for what is no text."""
    if type(name) is not str:
        raise TypeError
    return _encode(name) + b":"


def _exact(value: object) -> object:
    """The value with whole floats as integers, which have one spelling however large."""
    kind = type(value)
    if kind is str or kind is int or kind is bool or value is None:
        return value
    if isinstance(value, dict):
        return {name: item if type(item) is str else _exact(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [item if type(item) is str else _exact(item) for item in value]
    if isinstance(value, float) and value.is_integer():
        return int(value)
    return value
