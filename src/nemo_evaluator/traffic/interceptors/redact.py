"""`redact`: patterns that must not be written anywhere.

Whatever the traffic writes (log, cache, recording, dumps, errors) is cleaned of what matches, both
in requests and in answers. The texts of a whole answer are cleaned for its caller too, so that
nothing of it reaches the journal or the results: what is redacted is neither scored nor seen by an
agent. What the upstream is asked stays as it is. A live stream reaches its caller
unchanged; only the copy that is kept is cleaned. Problems and prompts are not traffic: they
stand in the results as the benchmark wrote them.
"""

from __future__ import annotations

import re
from typing import Annotated, Literal

import msgspec
from pydantic import AfterValidator, Field, model_validator

from ...config.base import ConfigRecord
from ..types import Changes, Interceptor, ModelRequest, ModelResponse, Place
from ..wire import encode

OCTET = r"(?:25[0-5]|2[0-4]\d|1?\d?\d)"
PRESETS = {
    "email": r"(?<![\w.%+-])[\w.%+-]{1,64}@(?:[\w-]{1,63}\.){1,8}[^\W\d_]{2,24}(?![\w-])",
    "phone": (
        r"(?<![\w+.])\+(?=(?:[ .\-/()]{0,2}\d){8})[1-9]\d{0,2}(?:[ .\-/]?\(?\d{1,4}\)?){2,5}(?!\w)"
        r"|(?<![\w.])(?:\(\d{3}\) ?|\d{3}[ .-])\d{3}[ .-]\d{4}(?!\w)"
    ),
    "api_keys": (
        r"(?<![A-Za-z0-9])(?:(?:sk|rk|pk)[-_][A-Za-z0-9_-]{16,}|hf_[A-Za-z0-9]{20,}"
        r"|nvapi-[A-Za-z0-9_-]{20,}|gh[pousr]_[A-Za-z0-9]{20,}|github_pat_\w{20,}"
        r"|glpat-[\w-]{20,}|(?:AKIA|ASIA)[0-9A-Z]{16}|AIza[0-9A-Za-z_-]{35}"
        r"|xox[abeprs]-[A-Za-z0-9-]{10,}"
        r"|eyJ[A-Za-z0-9_-]{10,}\.[A-Za-z0-9_-]{10,}\.[A-Za-z0-9_-]{10,})"
    ),
    "ipv4": rf"(?<![\w.])(?:{OCTET}\.){{3}}{OCTET}(?!\w|\.\d)",
}
"""Every run of characters they try is bounded: a long text costs linear time."""
NEEDS = {PRESETS["email"]: "@", PRESETS["ipv4"]: "."}
"""What a text must hold for a pattern to match: far quicker to see than the pattern."""
STRUCTURE = frozenset(
    (
        *("id", "type", "role", "name", "index", "object", "status", "finish_reason"),
        *("call_id", "tool_call_id", "item_id", "logprobs", "encrypted_content", "signature"),
    )
)
"""Fields of an answer that are no text of the model."""
TEXTS = ("choices", "output", "output_text")
"""Where the texts of an answer are."""


def _checked_pattern(text: str) -> str:
    try:
        pattern = re.compile(text)
    except re.error as error:
        raise ValueError(f"not a regular expression: {error}") from None
    if pattern.search(""):
        raise ValueError("it matches even where there is nothing")
    return text


class Redact(Interceptor):
    """Replaces what matches."""

    changes = Changes.ANSWERS

    class Options(ConfigRecord):
        """What, and by what."""

        patterns: list[Annotated[str, AfterValidator(_checked_pattern)]] = Field(
            default_factory=list
        )
        """Regular expressions (those of Python)."""
        preset: list[Literal["email", "phone", "api_keys", "ipv4"]] = Field(default_factory=list)
        """Built-in patterns. ``phone`` knows ``+49 30 123456`` and ``(555) 123-4567``;
        do not use it for a benchmark about numbers."""
        replacement: str = "[redacted]"
        """Stands where something matched, literally."""

        @model_validator(mode="after")
        def _has_an_end(self) -> Redact.Options:
            if not self.patterns and not self.preset:
                raise ValueError("give patterns, or a preset")
            if any(re.search(text, self.replacement) for text in self.texts()):
                raise ValueError("the replacement is matched by a pattern itself")
            return self

        def texts(self) -> list[str]:
            """All patterns."""
            return [*self.patterns, *(PRESETS[name] for name in self.preset)]

    def __init__(self, options: Options) -> None:
        self._patterns = [(re.compile(text), NEEDS.get(text, "")) for text in options.texts()]
        self._needles = [needs.encode() for _, needs in self._patterns]
        self._template = options.replacement.replace("\\", r"\\")

    def open(self, place: Place) -> None:
        """Let all who write traffic clean with these patterns."""
        for pattern, needs in self._patterns:
            place.scrub.add(pattern, self._template, needs)

    def on_response(self, request: ModelRequest, response: ModelResponse) -> None:
        """Clean the model's texts in a whole answer, or in the copy of a stream."""
        body = response.body
        found = {name: body[name] for name in TEXTS if body.get(name)}
        data = encode(found)
        if any(needle in data for needle in self._needles):
            cleaned = {name: self._cleaned(value) for name, value in found.items()}
            response.body = {**body, **cleaned}

    def _cleaned(self, value: object) -> object:
        if isinstance(value, str):
            return self._text(value)
        if isinstance(value, list):
            return [self._cleaned(item) for item in value]
        if not isinstance(value, dict):
            return value
        cleaned = {name: self._field(name, item) for name, item in value.items()}
        if cleaned != value and value.get("logprobs"):
            cleaned["logprobs"] = None  # its tokens spell the text out
        return cleaned

    def _field(self, name: str, value: object) -> object:
        if name in STRUCTURE:
            return value
        if name == "arguments" and isinstance(value, str):
            return self._arguments(value)
        return self._cleaned(value)

    def _arguments(self, text: str) -> str:
        """JSON stays JSON; only texts in it are replaced, and numbers that match as a whole."""
        if self._text(text) == text:
            return text
        try:
            value = msgspec.json.decode(text.encode())
        except (ValueError, msgspec.DecodeError):
            return self._text(text)
        return msgspec.json.encode(self._values(value)).decode()

    def _values(self, value: object) -> object:
        if isinstance(value, dict):
            return {self._text(name): self._values(item) for name, item in value.items()}
        if isinstance(value, list):
            return [self._values(item) for item in value]
        if isinstance(value, str):
            return self._text(value)
        if isinstance(value, int | float) and not isinstance(value, bool):
            text = self._text(str(value))
            return value if text == str(value) else text
        return value

    def _text(self, text: str) -> str:
        for pattern, needs in self._patterns:
            if needs in text:
                text = pattern.sub(self._template, text)
        return text
