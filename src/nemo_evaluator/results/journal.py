"""The journal: the only truth about a benchmark of a run, append-only JSON lines.

Invariants: an event is one line, written whole; a problem's texts are stored once, a response once
per attempt; the solution of an attempt is journaled before its verification starts; the last
event of a rollout decides its state. A torn last line (the process was killed while writing) is
set aside, never parsed and never fatal. Everything else on disk is derived from this file.
"""

from __future__ import annotations

import mmap
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from ..config.scrubber import encoded
from ..types import (
    ErrorInfo,
    Json,
    Message,
    Outcome,
    Problem,
    Record,
    RolloutKey,
    Score,
    Solution,
    Usage,
)

FORMAT = 1


class Header(Record, frozen=True, kw_only=True, tag_field="event", tag="header"):
    """First line: what the journal belongs to."""

    format: int = FORMAT
    benchmark: str
    plan_digest: str
    run_id: str


class ProblemSeeded(Record, frozen=True, kw_only=True, tag_field="event", tag="problem"):
    """A problem, written once, before the first rollout of it is solved."""

    problem_idx: int
    digest: str
    prompt: str = ""
    messages: tuple[Message, ...] = ()
    system: str | None = None
    target: Json = None
    metadata: Mapping[str, Json] = {}
    quoted: Mapping[str, tuple[int, int]] = {}
    """Metadata that stands in the prompt word for word: key → offsets there. Not repeated."""
    cluster: str | None = None

    def problem(self) -> Problem:
        """The problem as it can be verified again (images are not kept)."""
        quotes = {key: self.prompt[start:end] for key, (start, end) in self.quoted.items()}
        return Problem(
            idx=self.problem_idx,
            prompt=self.prompt,
            messages=self.messages,
            system=self.system,
            target=self.target,
            metadata={**self.metadata, **quotes},
            cluster=self.cluster,
        )


class Solved(Record, frozen=True, kw_only=True, tag_field="event", tag="solved"):
    """An attempt was answered (and paid for)."""

    problem_idx: int
    repeat: int
    attempt: int
    at: float
    """Unix time in seconds."""
    solution: Solution


class Scored(Record, frozen=True, kw_only=True, tag_field="event", tag="scored"):
    """An attempt was verified. ``outcome`` is ``scored`` or ``model_error``."""

    problem_idx: int
    repeat: int
    attempt: int
    at: float
    outcome: Outcome
    score: Score
    verify_ms: float = 0.0


class Errored(Record, frozen=True, kw_only=True, tag_field="event", tag="errored"):
    """An attempt ended without a verdict. What its calls cost was paid all the same."""

    problem_idx: int
    repeat: int
    attempt: int
    at: float
    outcome: Outcome
    error: ErrorInfo
    usage: Usage = Usage()
    """Tokens of the calls of an attempt that was not answered; an answered one has a ``Solved``."""
    cost_usd: float | None = None
    calls: int = 0
    """Answered calls of that attempt."""
    tries: int = 0
    """Requests those calls took, retries included."""


class Began(Record, frozen=True, kw_only=True, tag_field="event", tag="began"):
    """An invocation starts to work on this benchmark: the time before it was spent on nothing."""

    at: float


Event = Header | ProblemSeeded | Solved | Scored | Errored | Began


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
    problems: dict[int, int] = field(default_factory=dict)
    """problem_idx → offset of its ProblemSeeded event."""
    rollouts: dict[RolloutKey, RolloutState] = field(default_factory=dict)
    good_bytes: int = 0
    """Length of the journal up to its last whole line."""
    torn_bytes: int = 0
    began: list[float] = field(default_factory=list)
    """When the invocations that wrote it started, as Unix times."""
    bad_lines: list[int] = field(default_factory=list)
    """Offsets of whole lines that are not events; skipped and reported."""


class _Line(msgspec.Struct):
    """The few fields a scan needs; everything else on the line is skipped, not parsed."""

    event: str
    problem_idx: int = -1
    repeat: int = 0
    attempt: int = 0
    at: float = 0.0


_line_decoder = msgspec.json.Decoder(_Line)


def scan(path: Path) -> JournalIndex:
    """Index a journal in one pass. A missing file is an empty journal."""
    index = JournalIndex()
    if not path.exists():
        return index
    offset = 0
    with path.open("rb") as file:
        for line in file:
            if not line.endswith(b"\n"):
                index.torn_bytes = len(line)
                break
            try:
                _index_line(index, line, _line_decoder.decode(line), offset)
            except msgspec.DecodeError:
                index.bad_lines.append(offset)
            offset += len(line)
    index.good_bytes = offset
    return index


def _index_line(index: JournalIndex, line: bytes, head: _Line, offset: int) -> None:
    if head.event == "problem":
        index.problems.setdefault(head.problem_idx, offset)
        return
    if head.event == "began":
        index.began.append(head.at)
        return
    if head.event == "header":
        header = decode(line)
        if index.header is None and isinstance(header, Header):
            index.header = header
        return
    key = RolloutKey(head.problem_idx, head.repeat)
    state = index.rollouts.get(key)
    if state is None:
        state = index.rollouts[key] = RolloutState()
    if head.attempt > state.attempts:
        state.attempts, state.solved_at, state.ended_at = head.attempt, -1, -1
    if head.event == "solved":
        state.solved_at = offset
    elif head.event in ("scored", "errored"):
        state.ended_at, state.scored = offset, head.event == "scored"
    else:
        index.bad_lines.append(offset)


class JournalReader:
    """Random access to the events of a scanned journal."""

    def __init__(self, path: Path) -> None:
        with path.open("rb") as file:
            # Mapped, since offsets jump and a buffered file would read ahead in vain.
            self._map = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)

    def at(self, offset: int) -> Event:
        """The event that starts at an offset of the index."""
        end = self._map.find(b"\n", offset)
        return _decoder.decode(self._map[offset : end if end >= 0 else None])

    def close(self) -> None:
        """Close the file."""
        self._map.close()

    def __enter__(self) -> JournalReader:
        return self

    def __exit__(self, *_exc: object) -> None:
        self.close()


_decoder: msgspec.json.Decoder[Event] = msgspec.json.Decoder(Event)
_encoder = msgspec.json.Encoder(enc_hook=str)


def decode(line: bytes) -> Event:
    """Parse one line. Raises msgspec.DecodeError."""
    return _decoder.decode(line)


def encode(event: Event) -> bytes:
    """One line, newline included."""
    return encoded(event, _encoder.encode) + b"\n"


def events(path: Path) -> Iterator[Event]:
    """Every event in file order (all attempts), skipping what cannot be parsed."""
    if not path.exists():
        return
    with path.open("rb") as file:
        for line in file:
            try:
                yield decode(line)
            except msgspec.DecodeError:
                continue
