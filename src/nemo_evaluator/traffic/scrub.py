"""Cleans texts before they are written: known secrets and the user's patterns."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from ..config.secrecy import MASK


class Scrubber:
    """One for each pipeline; `redact` adds its patterns before the first request."""

    def __init__(self, secrets: Sequence[str] = ()) -> None:
        known = sorted(set(secrets), key=len, reverse=True)
        self._secrets = re.compile("|".join(map(re.escape, known))) if known else None
        self._patterns: list[tuple[re.Pattern[str], str, str]] = []

    def add(self, pattern: re.Pattern[str], replacement: str, needs: str = "") -> None:
        """Replace what matches, from now on. ``needs``: no text without this matches."""
        self._patterns.append((pattern, replacement, needs))

    def __call__(self, text: str) -> str:
        """The text as it may be written."""
        if self._secrets is not None:
            text = self._secrets.sub(MASK, text)
        for pattern, replacement, needs in self._patterns:
            if needs in text:
                text = pattern.sub(replacement, text)
        return text

    def json(self, value: Any) -> Any:
        """A JSON value with all its texts as they may be written; the value itself is not
        changed."""
        if self._secrets is None and not self._patterns:
            return value
        return self._json(value)

    def _json(self, value: Any) -> Any:
        if isinstance(value, str):
            return self(value)
        if isinstance(value, dict):
            return {name: self._json(item) for name, item in value.items()}
        if isinstance(value, list):
            return [self._json(item) for item in value]
        return value
