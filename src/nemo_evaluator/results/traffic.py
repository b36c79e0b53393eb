"""Reads the traffic log: calls by session, and what was said in them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from ..errors import ConfigError
from ..types import RolloutKey
from .call import PROXY, Call, calls
from .layout import TRAFFIC
from .result_row import ResultRow, read_rows


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
        """Whether the call is of a run, not of a proxy alone."""
        return self.problem_idx >= 0

    @property
    def name(self) -> str:
        """``12/0`` of a run; of a proxy what its client called it."""
        if self.is_rollout:
            return f"{self.problem_idx}/{self.repeat}"
        return self.session or "(no session)"

    def add(self, call: Call) -> None:
        """One call."""
        self.calls += 1
        self.errors += call.failed
        self.tokens += call.total_tokens
        self.latency_ms += call.latency_ms or 0.0
        if call.cost_usd is not None:
            self.cost_usd = (self.cost_usd or 0.0) + call.cost_usd


@dataclass(slots=True)
class Conversation:
    """One attempt at one rollout."""

    benchmark: str
    key: RolloutKey
    attempt: int
    calls: list[Call] = field(default_factory=list)
    result: ResultRow | None = None
    """Its line of ``results.jsonl``: the texts, where the log holds only summaries."""
    session: str | None = None
    """The name of a proxy's session; None: it is of a rollout."""

    @property
    def title(self) -> str:
        """What the call is, in a few words."""
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


def sessions(path: Path) -> list[SessionTotals]:
    """All sessions of a log, in the order of their first call."""
    found: dict[tuple[str, int, int, int, str], SessionTotals] = {}
    for call in calls(path):
        known = (call.benchmark or "", call.problem_idx, call.repeat, call.attempt)
        key = (*known, call.session_id or "")
        totals = found.get(key)
        if totals is None:
            totals = found[key] = SessionTotals(*key)
        totals.add(call)
    return list(found.values())


def conversations(path: Path, key: RolloutKey) -> list[Conversation]:
    """Every attempt at a rollout, the first one first."""
    ordered = _gathered(call for call in calls(path) if call.key == key)
    found = [Conversation(path.parent.name, key, attempt, made) for attempt, made in ordered]
    if found and all(call.message_content is None for call in found[-1].calls):
        found[-1].result = next((r for r in read_rows(path.parent) if r.key == key), None)
    return found


def session_conversations(path: Path, name: str) -> list[Conversation]:
    """What was said in a session of a proxy; ``""`` for calls without one."""
    ordered = _gathered(
        call for call in calls(path) if call.key is None and (call.session_id or "") == name
    )
    key = RolloutKey(PROXY, 0)
    return [Conversation("", key, attempt, made, session=name) for attempt, made in ordered]


def _gathered(found_calls: Iterable[Call]) -> list[tuple[int, list[Call]]]:
    """Calls by attempt, the first attempt first."""
    found: dict[int, list[Call]] = {}
    for call in found_calls:
        found.setdefault(call.attempt, []).append(call)
    return sorted(found.items())
