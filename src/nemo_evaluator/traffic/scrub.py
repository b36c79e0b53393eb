"""Cleans texts before they are written: known secrets and the user's patterns."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from ..config.secrecy import redact


class Scrubber:
    """One for each pipeline; `redact` adds its patterns before the first request."""

    def __init__(self, secrets: Sequence[str] = ()) -> None:
        self._secrets = tuple(secrets)
        self._patterns: list[tuple[re.Pattern[str], str]] = []

    def add(self, pattern: re.Pattern[str], replacement: str) -> None:
        """Replace what matches, from now on."""
        self._patterns.append((pattern, replacement))

    def __call__(self, text: str) -> str:
        """The text as it may be written."""
        if self._secrets:
            text = redact(text, self._secrets)
        for pattern, replacement in self._patterns:
            text = pattern.sub(replacement, text)
        return text

    def json(self, value: Any) -> Any:
        """A JSON value with all its texts as they may be written; the value itself is not
        changed."""
        if not self._secrets and not self._patterns:
            return value
        if isinstance(value, str):
            return self(value)
        if isinstance(value, dict):
            return {name: self.json(item) for name, item in value.items()}
        if isinstance(value, list):
            return [self.json(item) for item in value]
        return value
