"""The actor between the driver of a run and its shards, wherever they are.

Shards say every second that they live and what has changed; they are told to go on or to stop. The
driver never waits for a shard. Who was replaced by a later attempt is told to stop, and what it
sends counts for nothing.
"""

from __future__ import annotations

import enum
from collections.abc import Sequence
from dataclasses import dataclass

from .files import Change


class Command(enum.StrEnum):
    """What a shard is to do."""

    GO_ON = "go on"
    STOP = "stop"
    """Finish what is in flight, and end."""
    GIVE_UP = "give up"
    """End at once."""


@dataclass(frozen=True, slots=True)
class Beat:
    """A sign of life of a shard."""

    shard: int
    attempt: int
    node: str
    """Name of the host it runs on."""
    shared: bool = True
    """Its directory is that of the run."""
    changes: Sequence[Change] = ()
    """Empty where the directory is shared."""


@dataclass(frozen=True, slots=True)
class Told:
    """What a shard is told."""

    command: Command
    requests: Sequence[Change] = ()
    """Files that somebody put into the copy of its directory, for it."""


@dataclass(frozen=True, slots=True)
class News:
    """What the driver has not heard yet."""

    beats: Sequence[Beat]
    asked: Sequence[int]
    """Shards that want the files that are there of them."""


class Mailbox:
    """Passes on. An actor runs one call after the other, so nothing here needs a lock."""

    def __init__(self) -> None:
        self._beats: list[Beat] = []
        self._attempts: dict[int, int] = {}
        self._asked: list[int] = []
        self._files: dict[int, Sequence[Change]] = {}
        self._requests: dict[int, list[Change]] = {}
        self._command = Command.GO_ON

    def begin(self, shard: int, attempt: int) -> None:
        """From now on only this attempt counts."""
        self._attempts[shard] = attempt
        self._files.pop(shard, None)

    def beat(self, beat: Beat) -> Told:
        """A sign of life; what the shard is to do."""
        if beat.attempt != self._attempts.get(beat.shard):
            return Told(Command.GIVE_UP)
        self._beats.append(beat)
        return Told(self._command, self._requests.pop(beat.shard, ()))

    def ask_of(self, shard: int, requests: Sequence[Change]) -> None:
        """Somebody asks something of a shard."""
        self._requests.setdefault(shard, []).extend(requests)

    def ask(self, shard: int) -> None:
        """A shard wants the files of an earlier attempt."""
        self._asked.append(shard)

    def give(self, shard: int, files: Sequence[Change]) -> None:
        """Leave the files that the driver has for a shard."""
        self._files[shard] = files

    def files(self, shard: int) -> Sequence[Change] | None:
        """What was asked for; None: not yet."""
        return self._files.get(shard)

    def command(self, command: Command) -> None:
        """What all shards are to do."""
        self._command = command

    def take(self) -> News:
        """What is new since the last time."""
        news = News(self._beats, self._asked)
        self._beats, self._asked = [], []
        return news
