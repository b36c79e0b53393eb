"""What judges (and the models that answers are compared with) said: one line a reply, appended.

A reply that was paid for is never paid again: a verification that is repeated finds it here, by the
digest of what was asked. Unreadable replies are kept too, since they were paid for, but never used.
A torn last line, as kill -9 leaves it, is skipped.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import msgspec

from ..config.scrubber import encoded
from ..types import Generation, Record, Usage


class Judgement(Record, frozen=True, kw_only=True):
    """One reply."""

    key: str
    """Digest of what was asked, and of whom."""
    session: str
    service: str
    readable: bool
    """Whether it may be used again."""
    reply: Generation


class JudgeTotals(msgspec.Struct):
    """Sums over replies; those from the cache were not paid for."""

    calls: int = 0
    cached: int = 0
    unreadable: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    cost_usd: float | None = None
    """US dollars; None while no cost is known."""
    simulated: bool = False
    """Some verdict is of a simulated judge, and says nothing."""

    def add(self, reply: Generation, *, readable: bool) -> None:
        """Count a reply."""
        self.calls += 1
        self.unreadable += not readable
        self.simulated |= reply.simulated
        if reply.cached:
            self.cached += 1
            return
        self.prompt_tokens += reply.usage.prompt_tokens or 0
        self.completion_tokens += reply.usage.completion_tokens or 0
        if reply.cost_usd is not None:
            self.cost_usd = (self.cost_usd or 0.0) + reply.cost_usd

    @property
    def usage(self) -> Usage:
        """Tokens that were paid for."""
        return Usage(prompt_tokens=self.prompt_tokens, completion_tokens=self.completion_tokens)


class JudgementFile:
    """The file of one benchmark. Nothing is opened before the first reply is looked for."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._offsets: dict[str, int] | None = None
        self._unreadable: dict[str, int] = {}
        self._fd = -1

    def find(self, key: str) -> Generation | None:
        """The readable reply to what has this key."""
        judgement = self.judgement(key)
        return None if judgement is None else judgement.reply

    def judgement(self, key: str) -> Judgement | None:
        """The same, with whose it was."""
        offset = self._index().get(key)
        if offset is None:
            return None
        with self._path.open("rb") as file:
            file.seek(offset)
            return msgspec.json.decode(file.readline(), type=Judgement)

    def unreadable(self, key: str) -> int:
        """How often a reply to this could not be read."""
        self._index()
        return self._unreadable.get(key, 0)

    def append(self, judgement: Judgement) -> None:
        """Write a reply. Raises OSError."""
        index = self._index()
        if self._fd < 0:
            self._fd = os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
            if _torn(self._path):
                os.write(self._fd, b"\n")
        offset = os.fstat(self._fd).st_size
        os.write(self._fd, encoded(judgement, msgspec.json.encode) + b"\n")
        if judgement.readable:
            index[judgement.key] = offset
        else:
            self._unreadable[judgement.key] = self._unreadable.get(judgement.key, 0) + 1

    def close(self) -> None:
        """Safe to call twice."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def _index(self) -> dict[str, int]:
        if self._offsets is None:
            self._offsets = {}
            for offset, judgement in _read(self._path):
                if judgement.readable:
                    self._offsets[judgement.key] = offset
                else:
                    count = self._unreadable.get(judgement.key, 0)
                    self._unreadable[judgement.key] = count + 1
        return self._offsets


def judge_totals(path: Path) -> JudgeTotals:
    """What was paid to judges, verifications that failed included."""
    totals = JudgeTotals()
    for _, judgement in _read(path):
        totals.add(judgement.reply, readable=judgement.readable)
    return totals


def _read(path: Path) -> Iterator[tuple[int, Judgement]]:
    if not path.exists():
        return
    offset = 0
    with path.open("rb") as file:
        for line in file:
            try:
                judgement = msgspec.json.decode(line, type=Judgement)
            except msgspec.DecodeError:
                pass  # torn by a kill; the reply is asked for again
            else:
                yield offset, judgement
            offset += len(line)


def _torn(path: Path) -> bool:
    with path.open("rb") as file:
        size = file.seek(0, os.SEEK_END)
        if not size:
            return False
        file.seek(size - 1)
        return file.read(1) != b"\n"
