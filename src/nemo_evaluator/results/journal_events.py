"""What a journal says, event by event, and how one is written: a line of JSON with a checksum.

A field that is added later has a default, so that journals of earlier versions are read.
"""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from ..asked import Answer, Request
from ..config.scrubber import encoded
from ..steps import Step
from ..types import (
    BenchmarkPlan,
    ErrorInfo,
    Json,
    Message,
    Outcome,
    Problem,
    Record,
    Score,
    Solution,
    Usage,
)
from .aggregated import Aggregated
from .sealed import sealed
from .stopping import Decided, Watched

FORMAT = 2
"""1: lines without checksums. They are still read, and only checked for their shape."""


class Header(Record, frozen=True, kw_only=True, tag_field="event", tag="header"):
    """First line: what the journal belongs to."""

    format: int = 1
    benchmark: str
    plan_digest: str
    run_id: str
    plan: BenchmarkPlan | None = None
    """What the journal is of in full: enough to go on where ``plan.lock`` is lost."""


class AskedImage(Record, frozen=True, kw_only=True):
    """An image of a problem: where it is, not what is in it."""

    place: str | None = None
    """Its address or its file; None where it came as bytes."""
    media_type: str | None = None
    size: int | None = None
    """Bytes, where they came with the problem."""


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
    requests: tuple[Request, ...] = ()
    images: tuple[AskedImage, ...] = ()

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
            requests=self.requests,
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
    steps: tuple[Step, ...] = ()
    """What an agent had recorded of that attempt."""


class Called(Record, frozen=True, kw_only=True, tag_field="event", tag="called"):
    """A harness asked a question of a rollout through us, and was answered: never asked again."""

    problem_idx: int
    repeat: int
    request: str
    """Digest of what was asked."""
    at: float
    answer: Answer
    usage: Usage = Usage()
    cost_usd: float | None = None
    calls: int = 1
    tries: int = 1


class UsedBeside(Record, frozen=True, kw_only=True, tag_field="event", tag="used"):
    """What a harness used that no rollout of its can be told to have used."""

    at: float
    usage: Usage = Usage()
    cost_usd: float | None = None
    calls: int = 0
    tries: int = 0


class Began(Record, frozen=True, kw_only=True, tag_field="event", tag="began"):
    """An invocation starts to work on this benchmark: the time before it was spent on nothing."""

    at: float


Event = (
    Header
    | ProblemSeeded
    | Solved
    | Scored
    | Errored
    | Called
    | UsedBeside
    | Began
    | Watched
    | Decided
    | Aggregated
)


_decoder: msgspec.json.Decoder[Event] = msgspec.json.Decoder(Event)
_encoder = msgspec.json.Encoder(enc_hook=str)


def header_of(plan: BenchmarkPlan, run_id: str) -> Header:
    """The first line of the journal of a benchmark."""
    return Header(
        format=FORMAT,
        benchmark=plan.name,
        plan_digest=plan.digest,
        run_id=run_id,
        plan=plan,
    )


def decode(line: bytes) -> Event:
    """Parse one line. Raises ValueError or RecursionError."""
    return _decoder.decode(line)


def encode(event: Event) -> bytes:
    """One line with its checksum and its end."""
    return sealed(encoded(event, _encoder.encode))
