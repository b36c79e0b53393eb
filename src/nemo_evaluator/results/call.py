"""``Call``: a line of ``model_traffic.jsonl``, and the one place that reads such lines."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

import msgspec

from ..files.reading import UNREADABLE, lines_of
from ..types import Json, Record, RolloutKey

PROXY = -1
"""``problem_idx`` of calls that came through a proxy alone, of no rollout."""


class CallUsage(Record, frozen=True, kw_only=True):
    """Tokens of a call, as far as the endpoint reported them."""

    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    total_tokens: int | None = None
    reasoning_tokens: int | None = None
    cached_tokens: int | None = None


class ToolsCalled(Record, frozen=True, kw_only=True):
    """How many tools the reply calls, by name."""

    count: int = 0
    names: Mapping[str, int] = {}


class LoggedToolCall(Record, frozen=True, kw_only=True):
    """A tool call in full; logged where ``model_traffic.level`` is ``full``."""

    id: Json = None
    name: Json = None
    arguments: Json = None


class Call(Record, frozen=True, kw_only=True):
    """One call of a model. Texts are there where ``model_traffic.level`` is ``full``."""

    model_traffic_request_id: str = ""
    timestamp: str = ""
    """ISO 8601."""
    benchmark: str | None = None
    problem_idx: int = PROXY
    repeat: int = 0
    attempt: int = 1
    session_id: str | None = None
    adapter_request_id: str | None = None
    service: str | None = None
    method: str | None = None
    path: str | None = None
    status_code: int | None = None
    latency_ms: float | None = None
    ttft_ms: float | None = None
    model: Json = None
    finish_reason: str | None = None
    usage: CallUsage | None = None
    tool_calls: ToolsCalled | None = None
    source: str | None = None
    """``endpoint``, ``cache``, ``replay`` …"""
    tries: int | None = None
    token_provenance: str | None = None
    cost_usd: float | None = None
    error_type: str | None = None
    """Set for a call that failed."""
    error_message: str | None = None
    error_body: Json = None
    request_hash: str | None = None
    request_body: str | None = None
    request_messages_from: int | None = None
    """How many messages the session had sent before; ``request_messages`` are those after."""
    request_messages: tuple[Json, ...] = ()
    message_content: str | None = None
    reasoning_content: str | None = None
    tool_calls_full: tuple[LoggedToolCall, ...] = ()

    @property
    def key(self) -> RolloutKey | None:
        """The rollout it was made for; None for a call through a proxy alone."""
        return RolloutKey(self.problem_idx, self.repeat) if self.problem_idx >= 0 else None

    @property
    def failed(self) -> bool:
        """Whether there was no answer."""
        return self.error_type is not None

    @property
    def total_tokens(self) -> int:
        """Tokens as reported; 0 where the endpoint did not say."""
        return (self.usage.total_tokens if self.usage else None) or 0


COUNTED = frozenset({"problem_idx", "repeat", "attempt", "latency_ms", "cost_usd", "usage"})
"""A line that has one of these in another form cannot be counted, and is no call."""
_decode = msgspec.json.Decoder(Call).decode


def calls(path: Path) -> Iterator[Call]:
    """The calls in a log; a torn last line, and what is no call, are left out."""
    for line in lines_of(path):
        if (call := decode_call(line)) is not None:
            yield call


def decode_call(line: bytes) -> Call | None:
    """One line, ours or another tool's; None where it is not a call."""
    try:
        return _decode(line)
    except UNREADABLE:
        pass
    try:
        row = msgspec.json.decode(line)
    except UNREADABLE:
        return None
    return _foreign(row) if isinstance(row, dict) else None


def _foreign(row: dict[str, Json]) -> Call | None:
    """A line in which other fields have another form than ours: those are left out."""
    kept = {}
    for field in msgspec.structs.fields(Call):
        if field.name not in row or (row[field.name] is None and field.name not in COUNTED):
            continue
        try:
            kept[field.name] = msgspec.convert(row[field.name], field.type)
        except UNREADABLE:
            if field.name in COUNTED:
                return None
    return Call(**kept)
