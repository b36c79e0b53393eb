"""Randomness that depends on what is asked, never on when: hashed, not drawn in sequence.

So a resumed run gets the answers of an uninterrupted one, in any order, at any concurrency.
"""

from __future__ import annotations

import hashlib
import json
import math
import struct
from statistics import NormalDist
from typing import NamedTuple

import msgspec

from ...traffic.types import CallContext

LIMITS = ("max_completion_tokens", "max_tokens", "max_output_tokens")
"""Fields that cut an answer, but do not change it."""
VOLATILE = frozenset(
    (*LIMITS, "stream", "stream_options", "user", "metadata", "store", "service_tier")
)
"""Fields of a request that its key leaves out."""

_SCALE = 2.0**-64
_unpack = struct.Struct("<8Q").unpack
_canonical = msgspec.json.Encoder(order="deterministic", enc_hook=str).encode
_normal = NormalDist().inv_cdf


class Draws(NamedTuple):
    """Independent 64-bit numbers of one answer, each for one use."""

    right: int
    wrong: int
    prose: int
    tokens: int
    latency: int
    cut: int
    tool: int
    which: int


def draws(key: bytes) -> Draws:
    """The numbers of a key (at most 64 bytes)."""
    return Draws(*_unpack(hashlib.blake2b(key).digest()))


def share(number: int) -> float:
    """The number as a fraction of its range, in [0, 1]."""
    return number * _SCALE


def lognormal(number: int, mean: float, sigma: float) -> float:
    """A lognormal value of that mean; ``sigma`` is the standard deviation of its logarithm.

    Example: the median (number = 2⁶³) of mean 100 and sigma 0.5 is 100·exp(-0.125) = 88.2.
    """
    if sigma == 0:
        return mean
    z = _normal(min(max(number * _SCALE, 1e-12), 1 - 1e-12))
    return mean * math.exp(sigma * z - sigma * sigma / 2)


class Keys:
    """Makes the key of a question: the request without volatile fields, and who asks it."""

    def __init__(self, seed: int) -> None:
        self._base = hashlib.blake2b(str(seed).encode() + b"\0", digest_size=16)

    def of(self, body: dict[str, object], context: CallContext) -> bytes:
        """16 bytes. The try and the attempt do not enter: a retry gets the same answer."""
        if not VOLATILE.isdisjoint(body):
            body = {name: value for name, value in body.items() if name not in VOLATILE}
        digest = self._base.copy()
        digest.update(_encoded(body))
        if context.problem_idx >= 0:
            rollout = f"\0{context.benchmark}\0{context.problem_idx}\0{context.repeat}"
            digest.update(rollout.encode())
        return digest.digest()


def _encoded(body: dict[str, object]) -> bytes:
    try:
        return _canonical(body)
    except UnicodeEncodeError:  # lone surrogates
        return json.dumps(body, sort_keys=True, default=str).encode()
