"""What the traffic of a service writes, without known secrets, secret places, and what `redact`
names."""

from __future__ import annotations

import codecs
import re
from collections.abc import Mapping
from typing import Any

from ..config.scrubber import KNOWN, MASK
from ..config.secrecy import blotted, holds_secret, secret_field
from .wire import encode

CONTENT = frozenset(
    (
        *("messages", "prompt", "input", "instructions", "tools", "functions", "tool_choice"),
        *("response_format", "text", "guided_json", "choices", "output", "output_text"),
        *("usage", "logprobs"),
    )
)
"""Parts of a body that are what people and models say: a word ``token`` in them is no secret."""
PLAIN = frozenset((str, int, float, bool, type(None)))
"""Values with nothing below them."""


class Scrubber:
    """One for each pipeline; `redact` adds its patterns before the first request."""

    def __init__(self) -> None:
        self._patterns: list[tuple[re.Pattern[str], str, str]] = []
        self._needles: list[bytes] = []
        self._always = False
        """A pattern may match any text."""

    def add(self, pattern: re.Pattern[str], replacement: str, needs: str = "") -> None:
        """Replace what matches, from now on. ``needs``: no text without this matches."""
        self._patterns.append((pattern, replacement, needs))
        if needs.isascii() and needs.isprintable() and not set(needs) & set('"\\') and needs:
            self._needles.append(needs.encode())
        else:
            self._always = True

    def __call__(self, text: str) -> str:
        """The text as it may be written."""
        text = KNOWN(text)
        for pattern, replacement, needs in self._patterns:
            if needs in text:
                text = pattern.sub(replacement, text)
        return text

    def json(self, value: Any) -> Any:
        """A JSON value with all its texts as they may be written; the value itself is not
        changed."""
        return self._json(value) if self._patterns else KNOWN.json(value)

    def encoded(self, value: Any) -> bytes:
        """The same as JSON. Most values hold nothing to clean, which their JSON shows at once."""
        data = encode(value)
        if self._always or KNOWN.touches(data) or any(needle in data for needle in self._needles):
            return encode(self.json(value))
        return data

    def encoded_body(self, body: Mapping[str, Any]) -> bytes:
        """The same as ``body``, as JSON."""
        return self.encoded(without_secret_places(body))

    def body(self, body: Mapping[str, object]) -> object:
        """A request's or an answer's body as it may be written, without what stands in secret
        places (``extra_body: {api_key: ...}``)."""
        return self.json(without_secret_places(body))

    def headers(self, headers: Mapping[str, str]) -> dict[str, str]:
        """Headers as they may be written."""
        return {
            name: MASK if secret_field(name) else self(value) for name, value in headers.items()
        }

    def _json(self, value: object) -> object:
        if isinstance(value, str):
            return self(value)
        if isinstance(value, dict):
            return {name: self._json(item) for name, item in value.items()}
        if isinstance(value, list):
            return [self._json(item) for item in value]
        return value


def without_secret_places(body: Mapping[str, Any]) -> Mapping[str, Any]:
    """A body with what stands under secret names masked; its conversation is left alone. Itself if
    it has no such names."""
    for name, item in body.items():
        if name not in CONTENT and (type(item) not in PLAIN or secret_field(name)):
            break
    else:
        return body
    return {name: item if name in CONTENT else _masked(name, item) for name, item in body.items()}


def _masked(name: str, value: Any) -> Any:
    if holds_secret(value, name):
        return blotted(value)
    if isinstance(value, dict):
        return {key: _masked(key, item) for key, item in value.items()}
    if isinstance(value, list):
        return [_masked(name, item) for item in value]
    return value


class StreamScrubber:
    """Masks known secrets in bytes on their way, also where one is cut between two pieces. What may
    be the beginning of a secret waits for the next piece."""

    def __init__(self) -> None:
        self._decoder = codecs.getincrementaldecoder("utf-8")("surrogateescape")
        self._rest = ""

    def feed(self, data: bytes) -> bytes:
        """What may be sent on."""
        if not KNOWN:
            return data
        text = self._rest + self._decoder.decode(data)
        held = KNOWN.held_back(text)
        self._rest = text[len(text) - held :]
        return _sent(text[: len(text) - held])

    def close(self) -> bytes:
        """What was held back."""
        text, self._rest = self._rest + self._decoder.decode(b"", final=True), ""
        return _sent(text)


def _sent(text: str) -> bytes:
    return KNOWN(text).encode("utf-8", "surrogateescape")
