"""The journal: the only truth about a benchmark of a run, append-only JSON lines.

Invariants: an event is one line, written whole and with its checksum; a problem's texts are stored
once, a response once per attempt; the solution of an attempt is journaled before its verification
starts; the last event of a rollout decides its state. A torn last line (the process was killed
while writing) is moved aside. Damaged lines and lines of something else are left out, named and
counted: their rollouts are not done. Everything else on disk is derived from this file.
"""

from __future__ import annotations

import itertools
import mmap
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO, NamedTuple

from ..files.reading import UNREADABLE, open_regular, read_lines
from ..types import (
    BenchmarkPlan,
    RolloutKey,
)
from .aggregated import Aggregated
from .journal_events import AskedImage as AskedImage
from .journal_events import Began as Began
from .journal_events import Called as Called
from .journal_events import Errored as Errored
from .journal_events import Event as Event
from .journal_events import Header as Header
from .journal_events import ProblemSeeded as ProblemSeeded
from .journal_events import Scored as Scored
from .journal_events import Solved as Solved
from .journal_events import UsedBeside as UsedBeside
from .journal_events import decode as decode
from .journal_events import encode as encode
from .journal_events import header_of as header_of
from .planned import planned_problems
from .sealed import Seal, check, stretches
from .stopping import Decided, Stopping, Watched, stopping_after

MAX_ATTEMPT = 10_000
NAMED = 20
"""Damages that are named; more are only counted."""
FIRST_LINES = 16
_HEADER = b'{"event":"header"'
OF_BENCHMARK = (Began, Watched, Decided, Aggregated, UsedBeside)
"""Events that belong to no problem."""


class Damage(NamedTuple):
    """A stretch of a journal that is left out."""

    offset: int
    line: int
    """Number of the line, from 1."""
    length: int
    reason: str


@dataclass(slots=True)
class RolloutState:
    """Where the events of one rollout are; offsets into the journal, -1 for none."""

    attempts: int = 0
    solved_at: int = -1
    """The solution of the last attempt, if it was solved."""
    ended_at: int = -1
    """The scored or errored event of the last attempt, if it ended."""
    scored: bool = False
    """Whether the event at ``ended_at`` is a verdict."""


@dataclass(slots=True)
class JournalIndex:
    """What a scan of a journal found. Small: offsets only, no texts."""

    header: Header | None = None
    """The last one of the run."""
    problems: dict[int, int] = field(default_factory=dict)
    """problem_idx → offset of its ProblemSeeded event."""
    rollouts: dict[RolloutKey, RolloutState] = field(default_factory=dict)
    good_bytes: int = 0
    """Length of the journal without a torn end."""
    torn_bytes: int = 0
    began: list[float] = field(default_factory=list)
    """When the invocations that wrote it started, as Unix times."""
    stopping: Stopping | None = None
    """By what its answers were looked at while it ran, and what was decided."""
    aggregated: Aggregated | None = None
    """The last measures that the environment made of its rows."""
    paid: bool = False
    """Whether anything in it was paid for, answered or not."""
    superseded: list[int] = field(default_factory=list)
    """Offsets of what was paid for beside the attempts that count: in attempts that a later one has
    replaced, and by a harness beside its rollouts."""
    called: dict[tuple[int, int, str], int] = field(default_factory=dict)
    """Rollout and request → offset of the answer that a harness got through us."""
    stranger: int | None = None
    """The first problem that was attempted and is not of the plan."""
    content: mmap.mmap | None = None
    """The journal itself, where a scan was asked to keep it open."""
    damaged: int = 0
    """Stretches that were left out: damaged, or nothing the plan knows."""
    damage: list[Damage] = field(default_factory=list)
    """The first of them."""

    @property
    def answers(self) -> int:
        """Rollouts whose answer was paid for and is there."""
        return sum(state.solved_at >= 0 for state in self.rollouts.values())

    def close(self) -> None:
        """Close the journal. Safe to call twice."""
        if self.content is not None:
            self.content.close()

    def forget(self) -> None:
        """Let go what there is of single rollouts."""
        for places in (self.rollouts, self.problems, self.called, self.superseded):
            places.clear()

    def leave_out(self, damage: Damage) -> None:
        """Count a stretch, and name it if it is one of the first."""
        self.damaged += 1
        if len(self.damage) < NAMED:
            self.damage.append(damage)


def scan(
    path: Path,
    plan: BenchmarkPlan | None = None,
    *,
    visit: Callable[[Event], None] | None = None,
    keep: bool = False,
) -> JournalIndex:
    """Index a journal in one pass. A missing file is an empty journal.

    With a ``plan``, what is not of it is left out. ``visit`` is called with every event that is
    used, those of earlier attempts included. ``keep``: the journal stays open, so that its events
    can be looked up without opening it again. Raises ConfigError for what is no file.
    """
    scanner = _Scanner(plan, keep=keep)
    for event in scanner.events(path):
        if visit is not None:
            visit(event)
    return scanner.index


def events(path: Path, plan: BenchmarkPlan | None = None) -> Iterator[Event]:
    """Every event in file order (all attempts), without what a scan leaves out."""
    return _Scanner(plan).events(path)


def lines(path: Path, plan: BenchmarkPlan, visit: Callable[[Event, bytes], None]) -> JournalIndex:
    """Index a journal of a plan in one pass, as ``scan`` does. ``visit`` is called with every event
    that is used, and its line as it can be written into another journal."""
    scanner = _Scanner(plan)
    for event in scanner.events(path):
        piece = scanner.piece
        visit(event, piece.data if piece.whole_line else encode(event))
    return scanner.index


class _Piece(NamedTuple):
    offset: int
    line: int
    data: bytes
    sealed: bool
    """Its checksum says that it is as it was written."""
    torn: bool = False
    damaged: bool = False

    @property
    def whole_line(self) -> bool:
        """Whether a line is as it was written, with its checksum and its end."""
        return self.sealed and self.data.endswith(b"\n")


class Growing:
    """The index of a journal of a plan that is being written, without reading it again."""

    def __init__(self, plan: BenchmarkPlan) -> None:
        self._scanner = _Scanner(plan)
        self._bytes = 0

    def add(self, event: Event, line: bytes) -> None:
        """An event that was written next."""
        self._scanner.use(event, self._bytes)
        self._bytes += len(line)

    def index_of(self, path: Path) -> JournalIndex:
        """The index of the journal that was written; it stays open."""
        index = self._scanner.index
        index.good_bytes = self._bytes
        with open_regular(path) as file:
            index.content = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        return index


class _Scanner:
    """One pass over a journal."""

    def __init__(self, plan: BenchmarkPlan | None, *, keep: bool = False) -> None:
        self.index = JournalIndex()
        self.piece = _Piece(0, 0, b"", sealed=False)
        """What is read now."""
        self._keep = keep
        self._problems = planned_problems(plan) if plan else range(1 << 62)
        self._repeats = plan.repeats if plan else 1 << 62
        self._other_run: str | None = None
        self._paid_before: dict[RolloutKey, list[int]] = {}
        """Where the last attempt of a rollout had ended before it ended again, and was paid for."""

    def events(self, path: Path) -> Iterator[Event]:
        """What is used, in file order."""
        try:
            file = open_regular(path)
        except FileNotFoundError:
            return
        with file:
            for piece in _pieces(file):
                if piece.torn:
                    self.index.torn_bytes = len(piece.data)
                elif piece.damaged:
                    self._leave_out(piece, "is damaged")
                else:
                    self.piece = piece
                    yield from self._taken(piece)
            self.index.good_bytes = file.tell() - self.index.torn_bytes
            if self._keep and file.tell():
                self.index.content = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)

    def _taken(self, piece: _Piece) -> Iterator[Event]:
        try:
            event = decode(piece.data)
        except UNREADABLE:
            self._leave_out(piece, "is not an event")
            return
        reason = self.use(event, piece.offset)
        if reason is None:
            yield event
        elif reason:
            self._leave_out(piece, reason)

    def use(self, event: Event, offset: int) -> str | None:
        """Note an event; why it is not used, or an empty text if it says nothing new."""
        if isinstance(event, Header):
            return self._begin(event)
        if self._other_run is not None:
            return f"belongs to another run ({self._other_run})"
        if isinstance(event, OF_BENCHMARK):
            self._of_benchmark(event, offset)
            return None
        if event.problem_idx not in self._problems:
            if self.index.stranger is None and not isinstance(event, ProblemSeeded):
                self.index.stranger = event.problem_idx
            return f"belongs to problem {event.problem_idx}, which is not in the plan"
        if isinstance(event, ProblemSeeded):
            self.index.problems.setdefault(event.problem_idx, offset)
            return None
        if not 0 <= event.repeat < self._repeats:
            return f"belongs to repeat {event.repeat}, which is not in the plan"
        if isinstance(event, Called):
            key = (event.problem_idx, event.repeat, event.request)
            if key in self.index.called:
                return ""
            self.index.called[key] = offset
            self._note_superseded(offset)
            return None
        if not 1 <= event.attempt <= MAX_ATTEMPT:
            return f"has the impossible attempt number {event.attempt}"
        return self._attempt(event, offset)

    def _of_benchmark(
        self, event: Began | Watched | Decided | Aggregated | UsedBeside, offset: int
    ) -> None:
        match event:
            case Began():
                self.index.began.append(event.at)
            case Aggregated():
                self.index.aggregated = event
            case UsedBeside():
                self._note_superseded(offset)
            case _:
                self.index.stopping = stopping_after(self.index.stopping, event)

    def _note_superseded(self, offset: int) -> None:
        self.index.paid = True
        self.index.superseded.append(offset)

    def _begin(self, header: Header) -> str | None:
        """Every invocation may begin with a header; what follows that of another run is foreign."""
        first = self.index.header
        if first is not None and header.run_id != first.run_id:
            self._other_run = header.run_id[:100]
            return f"belongs to another run ({self._other_run})"
        self.index.header, self._other_run = header, None
        return None

    def _attempt(self, event: Solved | Scored | Errored, offset: int) -> str | None:
        if isinstance(event, Solved) or (isinstance(event, Errored) and event.calls):
            self.index.paid = True
        key = RolloutKey(event.problem_idx, event.repeat)
        state = self.index.rollouts.get(key)
        if state is None:
            state = self.index.rollouts[key] = RolloutState()
        if event.attempt > state.attempts:
            if state.attempts:
                self.index.superseded += self._paid(key, state)
            state.attempts, state.solved_at, state.ended_at = event.attempt, -1, -1
            state.scored = False
        if event.attempt < state.attempts:  # counts as paid for, and for nothing else
            if not isinstance(event, Scored):
                self.index.superseded.append(offset)
            return None
        if isinstance(event, Solved):
            repeated, state.solved_at = state.solved_at >= 0, offset
            if repeated:
                return ""
        elif isinstance(event, Scored) and (state.solved_at < 0 or state.scored):
            return ""  # the answer was damaged, so there is nothing to look at; or a repetition
        else:
            if state.ended_at >= 0 and not state.scored:
                self._paid_before.setdefault(key, []).append(state.ended_at)
            state.ended_at, state.scored = offset, isinstance(event, Scored)
        return None

    def _paid(self, key: RolloutKey, state: RolloutState) -> Iterator[int]:
        """Where the last attempt of a rollout says what it cost."""
        if state.solved_at >= 0:
            yield state.solved_at
        if state.ended_at >= 0 and not state.scored:
            yield state.ended_at
        yield from self._paid_before.pop(key, ())

    def _leave_out(self, piece: _Piece, reason: str) -> None:
        self.index.leave_out(Damage(piece.offset, piece.line, len(piece.data), reason))


def _pieces(file: BinaryIO) -> Iterator[_Piece]:
    """The whole documents of a journal, and the stretches between them."""
    legacy = _is_legacy(file)
    for number, (offset, line) in enumerate(read_lines(file), 1):
        if not line.strip():
            continue
        seal, ended = check(line), line.endswith(b"\n")
        if ended and (seal is Seal.INTACT or (legacy and seal is Seal.NONE)):
            if seal is Seal.INTACT and line.startswith(_HEADER):
                legacy = False
            yield _Piece(offset, number, line, seal is Seal.INTACT)
            continue
        for start, end, whole in stretches(line):
            torn = not whole and not ended and end == len(line)
            yield _Piece(offset + start, number, line[start:end], whole, torn, not (whole or torn))


def _is_legacy(file: BinaryIO) -> bool:
    """Whether a journal begins with lines of the first format, which have no checksums."""
    lines = [line for _, line in itertools.islice(read_lines(file), FIRST_LINES)]
    file.seek(0)
    if lines and _is_event_of_format_1(lines[0]):
        return True
    if any(check(line) is Seal.INTACT for line in lines):
        return False
    return any(map(_is_event_of_format_1, lines))


def _is_event_of_format_1(line: bytes) -> bool:
    if check(line) is not Seal.NONE:
        return False
    try:
        event = decode(line)
    except UNREADABLE:
        return False
    return not isinstance(event, Header) or event.format == 1
