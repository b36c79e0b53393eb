"""What judges (and the models that answers are compared with) said: one line a reply, appended.

A reply that was paid for is never paid again: a verification that is repeated finds it here, by the
digest of what was asked. Unreadable replies are kept too, since they were paid for, but never used.
A torn last line, as kill -9 leaves it, and a line whose checksum does not match are skipped.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path

import msgspec

from ..config.scrubber import encoded
from ..files.lines import LineFile
from ..files.reading import UNREADABLE, open_regular, read_lines
from ..types import Generation, Record, Usage
from .sealed import Seal, check, sealed

log = logging.getLogger("nemo_evaluator.results")


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
        self._file: LineFile | None = None
        self._unsaved: list[Judgement] = []

    def find(self, key: str) -> Generation | None:
        """The readable reply to what has this key."""
        judgement = self.judgement(key)
        return None if judgement is None else judgement.reply

    def judgement(self, key: str) -> Judgement | None:
        """The same, with whose it was."""
        offset = self._index().get(key)
        if offset is None:
            return next((kept for kept in self._unsaved if kept.key == key and kept.readable), None)
        with open_regular(self._path) as file:
            file.seek(offset)
            return msgspec.json.decode(file.readline(), type=Judgement)

    def unreadable(self, key: str) -> int:
        """How often a reply to this could not be read."""
        self._index()
        return self._unreadable.get(key, 0)

    def append(self, judgement: Judgement) -> None:
        """Write a reply. Raises OSError; the reply is kept, and written with the next one."""
        self._unsaved.append(judgement)
        self._save()

    def close(self) -> None:
        """Safe to call twice."""
        try:
            self._save()
        except OSError as error:
            reason = error.strerror or str(error)
            log.error("%s: %d replies are lost: %s", self._path, len(self._unsaved), reason)
            self._unsaved = []
        if self._file is not None:
            self._file.close()
            self._file = None

    def _save(self) -> None:
        index = self._index()
        while self._unsaved:
            if self._file is None:
                self._file = LineFile(self._path)
            judgement = self._unsaved[0]
            offset = self._file.append(sealed(encoded(judgement, msgspec.json.encode)))
            self._note(index, judgement, offset)
            del self._unsaved[0]

    def _note(self, index: dict[str, int], judgement: Judgement, offset: int) -> None:
        if judgement.readable:
            index[judgement.key] = offset
        else:
            self._unreadable[judgement.key] = self._unreadable.get(judgement.key, 0) + 1

    def _index(self) -> dict[str, int]:
        if self._offsets is None:
            self._offsets = {}
            for offset, judgement in _read(self._path):
                self._note(self._offsets, judgement, offset)
        return self._offsets


def judge_totals(path: Path) -> JudgeTotals:
    """What was paid to judges, verifications that failed included."""
    totals = JudgeTotals()
    for _, judgement in _read(path):
        totals.add(judgement.reply, readable=judgement.readable)
    return totals


def _read(path: Path) -> Iterator[tuple[int, Judgement]]:
    """Replies that are as they were written. One that is torn or damaged is asked for again."""
    try:
        file = open_regular(path)
    except FileNotFoundError:
        return
    with file:
        for offset, line in read_lines(file):
            if check(line) is Seal.BROKEN:
                continue
            try:
                yield offset, msgspec.json.decode(line, type=Judgement)
            except UNREADABLE:
                continue
