"""Reads the traffic log: calls by session, and what was said in them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec

from ..errors import ConfigError
from ..files.reading import UNREADABLE, lines_of
from ..types import RolloutKey
from .layout import TRAFFIC
from .result_row import ResultRow, read_rows

_decode = msgspec.json.Decoder().decode


@dataclass(slots=True)
class SessionTotals:
    """The calls of one session, summed up."""

    benchmark: str
    problem_idx: int
    repeat: int
    attempt: int
    session: str = ""
    """Its name as a client of a proxy gave it."""
    calls: int = 0
    errors: int = 0
    tokens: int = 0
    latency_ms: float = 0.0
    cost_usd: float | None = None

    @property
    def is_rollout(self) -> bool:
        """Whether it is of a run, not of a proxy alone."""
        return self.problem_idx >= 0

    @property
    def name(self) -> str:
        """``12/0`` of a run; of a proxy what its client called it."""
        if self.is_rollout:
            return f"{self.problem_idx}/{self.repeat}"
        return self.session or "(no session)"

    def add(self, row: dict[str, Any]) -> None:
        """One call."""
        self.calls += 1
        self.errors += "error_type" in row
        tokens = (row.get("usage") or {}).get("total_tokens")
        self.tokens += tokens if isinstance(tokens, int) else 0
        self.latency_ms += row.get("latency_ms") or 0.0
        if (cost := row.get("cost_usd")) is not None:
            self.cost_usd = (self.cost_usd or 0.0) + cost


@dataclass(slots=True)
class Conversation:
    """One attempt at one rollout."""

    benchmark: str
    key: RolloutKey
    attempt: int
    calls: list[dict[str, Any]] = field(default_factory=list)
    result: ResultRow | None = None
    """Its line of ``results.jsonl``: the texts, where the log holds only summaries."""
    session: str | None = None
    """The name of a proxy's session; None: it is of a rollout."""

    @property
    def title(self) -> str:
        """What it is, in a few words."""
        if self.session is None:
            return f"{self.benchmark} {self.key}"
        return f"session {self.session}" if self.session else "calls without a session"


def traffic_files(directory: Path, benchmark: str | None = None) -> list[Path]:
    """The logs of a run or of one benchmark's folder. Raises ConfigError if there are none."""
    if directory.is_file():
        return [directory]
    found = sorted([*directory.glob(f"*/{TRAFFIC}"), *directory.glob(TRAFFIC)])
    if benchmark is not None:
        found = [path for path in found if path.parent.name == benchmark]
    if not found:
        where = str(directory / benchmark if benchmark else directory)
        hint = "give a run directory; proxy.model_traffic.level must not be off"
        raise ConfigError(f"no {TRAFFIC} here", where=where, hint=hint)
    return found


def calls(path: Path) -> Iterator[dict[str, Any]]:
    """The lines of a log; a torn last line, and what is no call, are left out."""
    for line in lines_of(path):
        try:
            row = _decode(line)
        except UNREADABLE:
            continue
        if isinstance(row, dict) and _is_call(row):
            yield row


INDICES = ("problem_idx", "repeat", "attempt")
KINDS: dict[str, tuple[type, ...]] = {
    **dict.fromkeys(("latency_ms", "cost_usd"), (int, float)),
    **dict.fromkeys(("benchmark", "session_id"), (str,)),
    "usage": (dict,),
}
"""What sums and keys are made of, where it is known."""


def _is_call(row: dict[str, Any]) -> bool:
    """Whether a line has the shape of ours, as far as it is counted with."""
    indices = all(type(row.get(key, 0)) is int for key in INDICES)
    return indices and all(
        row.get(key) is None or isinstance(row[key], kinds) for key, kinds in KINDS.items()
    )


def sessions(path: Path) -> list[SessionTotals]:
    """All sessions of a log, in the order of their first call."""
    found: dict[tuple[Any, ...], SessionTotals] = {}
    for row in calls(path):
        known = (row.get("benchmark") or "", row.get("problem_idx", -1), row.get("repeat", 0))
        key = (*known, row.get("attempt", 1), row.get("session_id"))
        totals = found.get(key)
        if totals is None:
            name = str(row.get("session_id") or "")
            totals = found[key] = SessionTotals(*known, row.get("attempt", 1), name)
        totals.add(row)
    return list(found.values())


def conversations(path: Path, key: RolloutKey) -> list[Conversation]:
    """Every attempt at a rollout, the first one first."""
    ordered = _gathered(
        row for row in calls(path) if (row.get("problem_idx"), row.get("repeat")) == key
    )
    found = [Conversation(path.parent.name, key, attempt, rows) for attempt, rows in ordered]
    if found and not any("message_content" in row for row in found[-1].calls):
        found[-1].result = next((r for r in read_rows(path.parent) if r.key == key), None)
    return found


def session_conversations(path: Path, name: str) -> list[Conversation]:
    """What was said in a session of a proxy; ``""`` for calls without one."""
    ordered = _gathered(
        row
        for row in calls(path)
        if row.get("problem_idx", -1) < 0 and (row.get("session_id") or "") == name
    )
    key = RolloutKey(-1, 0)
    return [Conversation("", key, attempt, rows, session=name) for attempt, rows in ordered]


def _gathered(rows: Iterable[dict[str, Any]]) -> list[tuple[int, list[dict[str, Any]]]]:
    """Calls by attempt, the first attempt first."""
    found: dict[int, list[dict[str, Any]]] = {}
    for row in rows:
        found.setdefault(row.get("attempt", 1), []).append(row)
    return sorted(found.items())
