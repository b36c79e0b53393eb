"""Bytes on the wire to JSON and back: fast for what is well-formed, lenient for what is not quite.

Text that no UTF-8 can carry (lone surrogates, broken bytes) must not lose an answer: it is sent
escaped, and read as U+FFFD. A byte order mark is ignored.
"""

from __future__ import annotations

import json
from typing import Any

import msgspec

from ..types import Json

_decode = msgspec.json.Decoder().decode
_encode = msgspec.json.Encoder().encode


def encode(body: Json) -> bytes:
    """JSON. Raises TypeError for what JSON cannot say."""
    try:
        return _encode(body)
    except UnicodeEncodeError:
        return json.dumps(body).encode()


def decode(data: bytes | bytearray) -> Any:
    """The JSON value. Raises ValueError if it is none."""
    try:
        try:
            return _decode(data)
        except (msgspec.DecodeError, UnicodeDecodeError):
            value = json.loads(data.decode(json.detect_encoding(data), "replace"))
    except RecursionError:
        raise ValueError("nested too deeply") from None
    text = json.dumps(value, ensure_ascii=False)
    clean = text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return value if clean == text else json.loads(clean)
