"""``TrajectoryRow``: a line of ``trajectories.jsonl``, written and read here."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import msgspec

from ..files.reading import UNREADABLE, lines_of
from ..steps import Step, StepMetrics, StepSource, numbered, steps_from
from ..types import Failure, Json, Outcome, Record, RolloutKey, Solution
from .journal import Errored
from .layout import TRAJECTORIES
from .result_row import ResultRow
from .rows import RolloutRecord


class Timing(Record, frozen=True, kw_only=True, omit_defaults=False):
    """Milliseconds."""

    model_ms: float | None = None
    verify_ms: float | None = None


class ReplyTokens(Record, frozen=True, kw_only=True, omit_defaults=False):
    """Tokens, under the names of the published format."""

    prompt: int | None = None
    completion: int | None = None
    total: int | None = None
    reasoning: int | None = None


class ReplyShown(Record, frozen=True, kw_only=True, omit_defaults=False):
    """The reply, under the names of the published format."""

    content: str | None = None
    model: str | None = None
    finish_reason: str | None = None
    tokens: ReplyTokens = ReplyTokens()
    latency_ms: float | None = None


class TrajectoryRow(Record, frozen=True, kw_only=True, omit_defaults=False):
    """The question, the answer, what the model said, and the steps.

    An agent's steps stand here in full. A single turn has no steps of its own: its two steps refer
    to the texts of the same line instead of repeating them.
    """

    problem_idx: int
    repeat: int = 0
    timestamp: float | str | None = None
    prompt: str | None = None
    expected_answer: Json = None
    reward: float | None = None
    extracted_answer: Json = None
    scoring_method: Json = None
    attempts: int | None = None
    requests: int | None = None
    outcome: Outcome | None = None
    failure_category: Failure | None = None
    timing: Timing = Timing()
    model: ReplyShown | None = None
    steps: tuple[Step, ...] = ()

    @property
    def key(self) -> RolloutKey:
        """Which rollout it is."""
        return RolloutKey(self.problem_idx, self.repeat)

    @property
    def full_steps(self) -> tuple[Step, ...]:
        """The steps with their texts in the place of references to them."""
        return tuple(self._resolved(step) for step in self.steps)

    def _resolved(self, step: Step) -> Step:
        if step.ref is None:
            return step
        texts = {"prompt": self.prompt, "model.content": self.model and self.model.content}
        return msgspec.structs.replace(step, message=texts.get(step.ref), ref=None)


def trajectory_row(record: RolloutRecord, row: ResultRow) -> TrajectoryRow:
    """The line of a rollout; ``row``: its line of ``results.jsonl``."""
    solution = record.solved.solution if record.solved else None
    return TrajectoryRow(
        problem_idx=row.problem_idx,
        repeat=row.repeat,
        timestamp=record.solved.at if record.solved else None,
        prompt=row.prompt,
        expected_answer=row.expected_answer,
        reward=row.reward,
        extracted_answer=row.extracted_answer,
        scoring_method=row.scoring_details.get("method"),
        attempts=record.attempts,
        requests=solution.tries if solution else None,
        outcome=row.outcome,
        failure_category=record.failure,
        timing=Timing(
            model_ms=solution.latency_ms if solution else None,
            verify_ms=record.scored.verify_ms if record.scored else None,
        ),
        model=_reply(solution) if solution else None,
        steps=_steps(solution) if solution else _unfinished(record),
    )


def read_trajectories(folder: Path) -> Iterator[TrajectoryRow]:
    """All lines of a benchmark's folder; lines of another shape are left out."""
    for line in lines_of(folder / TRAJECTORIES):
        if (row := decode_trajectory(line)) is not None:
            yield row


def decode_trajectory(line: bytes) -> TrajectoryRow | None:
    """One line, ours or another tool's; None where it is not a row."""
    try:
        row = _decoder.decode(line)
    except UNREADABLE:
        return _foreign(line)
    return row if row.steps or b'"trajectory"' not in line else _foreign(line)


_decoder = msgspec.json.Decoder(TrajectoryRow)


def _foreign(line: bytes) -> TrajectoryRow | None:
    """A line of another tool: a row of results with a ``trajectory``, or steps in other words."""
    try:
        found = json.loads(line)
        raw = found.pop("steps", None) or found.pop("trajectory", None)
        return msgspec.convert({**found, "steps": steps_from(raw)}, TrajectoryRow)
    except (*UNREADABLE, AttributeError, TypeError):
        return None


def _unfinished(record: RolloutRecord) -> tuple[Step, ...]:
    """What an agent had done when its last attempt failed."""
    return record.ended.steps if isinstance(record.ended, Errored) else ()


def _reply(solution: Solution) -> ReplyShown:
    usage = solution.usage
    return ReplyShown(
        content=solution.response,
        model=solution.model,
        finish_reason=solution.finish_reason,
        tokens=ReplyTokens(
            prompt=usage.prompt_tokens,
            completion=usage.completion_tokens,
            total=usage.total_tokens,
            reasoning=usage.reasoning_tokens,
        ),
        latency_ms=solution.latency_ms,
    )


def _steps(solution: Solution) -> tuple[Step, ...]:
    if solution.steps:
        return numbered(solution.steps)
    if solution.trajectory:
        return steps_from(solution.trajectory)
    usage = solution.usage
    return (
        Step(step_id=1, source=StepSource.USER, ref="prompt"),
        Step(
            step_id=2,
            source=StepSource.AGENT,
            ref="model.content",
            model_name=solution.model,
            metrics=StepMetrics(
                prompt_tokens=usage.prompt_tokens,
                completion_tokens=usage.completion_tokens,
                reasoning_tokens=usage.reasoning_tokens,
                cached_tokens=usage.cached_tokens,
                cost_usd=solution.cost_usd,
            ),
        ),
    )
