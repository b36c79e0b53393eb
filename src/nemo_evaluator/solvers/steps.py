"""The recorder of an agent's steps: what it was told, said, called and saw, in the terms of ATIF.

What is recorded stays whatever becomes of the attempt. A step is copied when it is added: what the
agent does with its own objects later changes nothing.
"""

from __future__ import annotations

from datetime import UTC, datetime

import msgspec

from ..steps import Step, numbered


class Steps:
    """The steps of one attempt, in order."""

    def __init__(self) -> None:
        self._steps: list[Step] = []

    def add(self, step: Step) -> None:
        """Record a step, with the time of now where it has none. Raises TypeError for what is no
        step, or holds what JSON cannot express."""
        if not isinstance(step, Step):
            raise TypeError(f"a step is a Step, not {step!r:.80}")
        if step.timestamp is None:
            now = datetime.now(UTC).isoformat(timespec="milliseconds")
            step = msgspec.structs.replace(step, timestamp=now)
        try:
            copied = msgspec.convert(msgspec.to_builtins(step, enc_hook=str), Step)
        except ValueError as error:
            raise TypeError(f"a wrong Step: {error}") from None
        self._steps.append(copied)

    def __len__(self) -> int:
        return len(self._steps)

    def taken(self) -> tuple[Step, ...]:
        """All so far, numbered from 1."""
        return numbered(self._steps)
