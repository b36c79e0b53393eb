"""``ResultRow``: a line of ``results.jsonl``, and the one place that reads such lines.

Rows with a verdict stand in ``results.jsonl``, where other tools take every reward for a number;
rows without one stand in ``unscored.jsonl`` beside it. Files of other tools are read into the same
record: what marks a row as not judged there (an error category, a failed judge) makes it unscored
here, whatever reward it carries. Rows stream; a torn last line is left out.
"""

from __future__ import annotations

import heapq
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, TypeGuard

import msgspec

from ..files.reading import UNREADABLE, lines_of
from ..measured import can_be_averaged
from ..types import EndedBy, Failure, Json, Outcome, Record, RolloutKey
from .layout import RESULTS, UNSCORED

JUDGED_FAILURES = frozenset({"refusal", "empty", "format_error"})
"""Error categories of the published format that are answers all the same: bad ones."""
NEVER_JUDGED = frozenset({"infra_error", "system"})
"""Error categories that no outcome can make a verdict of."""
UNVERIFIED = frozenset({"infra_error", "system_error", "solve_failed"})
"""Methods by which other tools mark rows that no verifier saw."""
NO_ANSWER = frozenset(
    {Failure.FORMAT, Failure.EMPTY, Failure.REFUSAL, Failure.TRUNCATED, Failure.CONTENT_FILTER}
)
MOST = 2**62
"""Largest index that is accepted; rows are kept in machine words."""
Index = Annotated[int, msgspec.Meta(ge=-MOST, le=MOST)]
OUTCOMES: Mapping[str, Outcome] = {outcome.value: outcome for outcome in Outcome}
WORKSPACE = "workspace"
"""``response_source`` of an answer that is not said, but left in a workspace."""
LIMITS: Mapping[str, EndedBy] = {limit.value: limit for limit in EndedBy}


class ResultRow(Record, frozen=True, kw_only=True):
    """One rollout as it is published. All its times are in fields that end in
    ``_ms``."""

    problem_idx: Index
    repeat: Index
    outcome: Outcome
    reward: float | None
    """The reward; None without a verdict, and where the verdict is metrics alone."""
    prompt: str | None
    model_response: str | None
    extracted_answer: Json
    expected_answer: Json
    scoring_details: Mapping[str, Json]
    metadata: Mapping[str, Json]
    tokens: int | None
    latency_ms: float | None
    finish_reason: str | None
    truncated: bool
    ttft_ms: float | None = None
    wall_ms: float | None = None
    """How long an agent took, its tools included."""
    cost_usd: float | None = None
    """What the answer cost, where prices are known."""
    calls: int = 1
    """Calls of the model that were answered: the turns of an agent."""
    reasoning: str | None = None
    response_source: str | None = None
    cluster: str | None = None
    scorer_rewards: Mapping[str, float] = {}
    solver_details: Mapping[str, Json] = {}
    """What the solver said about its work."""
    ended_by: EndedBy | None = None
    """The limit that ended an agent, if one did."""

    @property
    def key(self) -> RolloutKey:
        """Which rollout this is."""
        return RolloutKey(self.problem_idx, self.repeat)

    @property
    def error(self) -> str | None:
        """What went wrong, in words."""
        found = self.scoring_details.get("error")
        return found if isinstance(found, str) and found else None

    @property
    def failure(self) -> Failure | None:
        """Why there is no good answer, as far as the row tells."""
        return self._recorded_failure or (Failure.TRUNCATED if self.truncated else None)

    @property
    def judged(self) -> bool:
        """Whether there is a verdict: a reward, or metrics alone."""
        return self.reward is not None or self.outcome is Outcome.SCORED

    @property
    def no_answer(self) -> bool:
        """Scored, though no answer was found in the response."""
        return self.judged and self._recorded_failure in NO_ANSWER

    @property
    def _recorded_failure(self) -> Failure | None:
        for key in ("failure", "error_category"):
            name = self.scoring_details.get(key)
            if isinstance(name, str) and (kind := as_failure(name)) is not None:
                return kind
        response = (self.model_response or "").strip()
        if self.reward is not None and not response and self.response_source != WORKSPACE:
            return Failure.EMPTY
        return None


def has_verdict(outcome: str | None, details: Mapping[str, object]) -> bool:
    """Whether the reward of a row is a verdict. Ours say so by ``outcome``; others by what went
    wrong: an error category, a method, or a judge without a total."""
    category = details.get("error_category")
    if category in NEVER_JUDGED:
        return False
    if outcome is not None and (known := OUTCOMES.get(outcome)) is not None:
        return known.has_reward
    if category is not None:
        return category in JUDGED_FAILURES
    if details.get("method") in UNVERIFIED:
        return False
    judge = details.get("judge")
    if not isinstance(judge, Mapping):
        return True
    failed = judge.get("error") and judge.get("total") is None
    return not (failed or judge.get("parse_error"))


def as_failure(name: str) -> Failure | None:
    """A kind of failure by our name or by another tool's."""
    try:
        return Failure(_ALIASES.get(name, name))
    except ValueError:
        return None


_ALIASES = {
    "system": Failure.BUG.value,
    "model_timeout": Failure.TIMEOUT.value,
    "model_error": Failure.BAD_REQUEST.value,
    "turn_budget_exhausted": Failure.BUDGET.value,
}


def read_rows(folder: Path) -> Iterator[ResultRow]:
    """All rows of a benchmark's folder, those without a verdict included. In the order of
    (problem_idx, repeat) where the files are, as ours are."""
    parts = [rows_of(folder / name) for name in (RESULTS, UNSCORED) if (folder / name).is_file()]
    return heapq.merge(*parts, key=lambda row: row.key)


def rows_of(path: Path) -> Iterator[ResultRow]:
    """The rows of one file; lines that are no rows are left out."""
    for line in lines_of(path):
        if (row := decode_row(line)) is not None:
            yield row


def decode_row(line: bytes) -> ResultRow | None:
    """One line, ours or another tool's; None where it is not a row."""
    try:
        row = _decoder.decode(line)
    except UNREADABLE:
        return _foreign(line)
    if row.reward is not None and not has_verdict(row.outcome, row.scoring_details):
        return msgspec.structs.replace(row, reward=None)
    return row


_decoder = msgspec.json.Decoder(ResultRow)


class _Key(msgspec.Struct):
    problem_idx: Index
    repeat: Index = 0


_keys = msgspec.json.Decoder(_Key)


def read_key(line: bytes) -> RolloutKey | None:
    """Which rollout a line is of, without reading its texts; None where it is not a row."""
    try:
        found = _keys.decode(line)
    except UNREADABLE:
        row = _foreign(line)
        return row.key if row is not None else None
    return RolloutKey(found.problem_idx, found.repeat)


def _foreign(line: bytes) -> ResultRow | None:
    try:
        row = json.loads(line)
    except (ValueError, RecursionError):
        return None
    problem = row.get("problem_idx") if isinstance(row, dict) else None
    return row_from(row) if _is_index(problem) else None


def _is_index(value: object) -> TypeGuard[int]:
    return isinstance(value, int) and not isinstance(value, bool) and abs(value) <= MOST


def row_from(row: Mapping[str, Any]) -> ResultRow:
    """A row with a ``problem_idx``, and whatever else its writer put there."""
    problem: int = row["problem_idx"]
    repeat, details = row.get("repeat"), _mapping(row.get("scoring_details"))
    outcome_text = _text(row.get("outcome"))
    reward = _number(row.get("reward"))
    if not has_verdict(outcome_text, details):
        reward = None
    unjudged = Outcome.INFRA_ERROR if details.get("error_category") else Outcome.UNSCORED
    outcome = Outcome.SCORED if reward is not None else unjudged
    tokens, rewards = _number(row.get("tokens")), _mapping(row.get("scorer_rewards"))
    return ResultRow(
        problem_idx=problem,
        repeat=repeat if _is_index(repeat) else 0,
        outcome=OUTCOMES.get(outcome_text or "", outcome),
        reward=reward,
        prompt=_text(row.get("prompt")),
        model_response=_text(row.get("model_response")),
        extracted_answer=row.get("extracted_answer"),
        expected_answer=row.get("expected_answer"),
        scoring_details=details,
        metadata=_mapping(row.get("metadata")),
        tokens=None if tokens is None else int(tokens),
        latency_ms=_number(row.get("latency_ms")),
        finish_reason=_text(row.get("finish_reason")),
        truncated=row.get("truncated") is True,
        ttft_ms=_number(row.get("ttft_ms")),
        wall_ms=_number(row.get("wall_ms")),
        cost_usd=_number(row.get("cost_usd")),
        calls=int(_number(row.get("calls")) or 1),
        reasoning=_text(row.get("reasoning")),
        cluster=_text(row.get("cluster")),
        scorer_rewards={str(k): n for k, v in rewards.items() if (n := _number(v)) is not None},
        solver_details=_mapping(row.get("solver_details")),
        ended_by=LIMITS.get(_text(row.get("ended_by")) or ""),
    )


def _mapping(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _text(value: object) -> str | None:
    return value if isinstance(value, str) else None


def _number(value: object) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float) or not can_be_averaged(value):
        return None
    return float(value)
