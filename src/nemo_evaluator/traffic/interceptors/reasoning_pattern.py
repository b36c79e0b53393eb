"""`reasoning_pattern`: moves what a regular expression finds in an answer to `reasoning_content`.

For models whose reasoning has no tags around it; `reasoning` is for those that use tags. Everything
that matches is reasoning, what is left is the answer; `.` matches line ends too. A live stream is
held back to its end: only then is it known what matches. An answer that has `reasoning_content`
already is left alone.
"""

from __future__ import annotations

import re
from typing import Any

from pydantic import field_validator

from ...config.base import ConfigRecord
from ..dialects.contract import as_dict, as_str
from ..types import Changes, EventFilter, Interceptor, ModelRequest, ModelResponse
from .reasoning import TEXT, Events


class ReasoningPattern(Interceptor):
    """Tells reasoning from the answer by a regular expression."""

    changes = Changes.ANSWERS

    class Options(ConfigRecord):
        """What of a text is reasoning."""

        pattern: str
        """Regular expression; everything it matches is reasoning."""

        @field_validator("pattern")
        @classmethod
        def _compiles(cls, pattern: str) -> str:
            try:
                re.compile(pattern, re.DOTALL)
            except re.error as error:
                raise ValueError(f"not a regular expression: {error}") from None
            return pattern

    def __init__(self, options: Options) -> None:
        self._pattern = re.compile(options.pattern, re.DOTALL)

    def on_response(self, request: ModelRequest, response: ModelResponse) -> None:
        """Change the choices of a whole answer."""
        name, choices = TEXT.get(request.protocol), response.body.get("choices")
        if name is not None and isinstance(choices, list):
            response.body["choices"] = [self._changed(choice, name) for choice in choices]

    def event_filter(self, request: ModelRequest) -> EventFilter | None:
        """The same for a stream, at its end."""
        name = TEXT.get(request.protocol)
        return None if name is None else Events(name, lambda: _Held(self))

    def split(self, text: str) -> tuple[str, str]:
        """Reasoning and the rest."""
        found = [match[0].strip() for match in self._pattern.finditer(text)]
        return "\n".join(filter(None, found)), self._pattern.sub("", text).strip()

    def _changed(self, choice: object, name: str) -> object:
        if not isinstance(choice, dict):
            return choice
        holder: dict[str, Any] = choice if name == "text" else as_dict(choice.get("message"))
        text = holder.get(name)
        if as_str(holder.get("reasoning_content")) or not isinstance(text, str):
            return choice
        reasoning, rest = self.split(text)
        if not reasoning:
            return choice
        changed = {**holder, name: rest, "reasoning_content": reasoning}
        return changed if name == "text" else {**choice, "message": changed}


class _Held:
    """One choice of a stream."""

    def __init__(self, owner: ReasoningPattern) -> None:
        self._owner = owner
        self._text = ""
        self._has_field = False

    def feed(self, reasoning: str, text: str, has_calls: bool) -> tuple[str, str]:
        self._has_field = self._has_field or bool(reasoning)
        self._text += text
        return reasoning, ""

    def end(self, finish: str | None) -> tuple[str, str]:
        text, self._text = self._text, ""
        reasoning, rest = ("", text) if self._has_field else self._owner.split(text)
        return (reasoning, rest) if reasoning else ("", text)
