"""The messages of one rollout, turn by turn.

Invariant: what is dropped for want of room is a whole turn with all its results, the oldest first;
the system prompt and the task stay, and no result is without its call.
"""

from __future__ import annotations

from collections.abc import Sequence

from ...types import Message

DROPPED_SHARE = 4
"""One in this many turns is dropped when the conversation is too long."""


class Conversation:
    """What is sent to the model."""

    def __init__(self, task: Sequence[Message]) -> None:
        self._task = list(task)
        self._turns: list[list[Message]] = []
        self.dropped = 0
        """Turns that were dropped."""

    @property
    def messages(self) -> list[Message]:
        """All messages that the model is to see."""
        task = self._task
        if self.dropped:
            note = f"[The {self.dropped} oldest turns of the work so far are left out here.]"
            task = [*task[:-1], _with_note(task[-1], note)]
        return [*task, *(message for turn in self._turns for message in turn)]

    def add(self, turn: Sequence[Message]) -> None:
        """The model's turn, and what it was told."""
        self._turns.append(list(turn))

    def shorten(self) -> bool:
        """Drop the oldest turns; False where only the last one is left."""
        count = min(len(self._turns) - 1, max(1, len(self._turns) // DROPPED_SHARE))
        if count < 1:
            return False
        del self._turns[:count]
        self.dropped += count
        return True


def _with_note(message: Message, note: str) -> Message:
    content = message.get("content")
    if isinstance(content, list):
        return {**message, "content": [*content, {"type": "text", "text": note}]}
    return {**message, "content": f"{content}\n\n{note}" if content else note}
