"""``TrajectoryRow``: a line of ``trajectories.jsonl``, written and read here."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import msgspec
from msgspec import UNSET, UnsetType

from ..atif import conforming
from ..files.reading import UNREADABLE, lines_of
from ..steps import ATIF_VERSION, Step, StepMetrics, StepSource, steps_from
from ..types import Failure, Json, Outcome, Record, RolloutKey, Solution
from ..version import __version__
from .journal import Errored, ProblemSeeded
from .layout import TRAJECTORIES
from .question_steps import question_steps
from .result_row import ResultRow
from .rows import RolloutRecord

log = logging.getLogger(__name__)


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


class AgentShown(Record, frozen=True, kw_only=True):
    """Who made the steps; ``agent`` of an ATIF document."""

    name: str
    version: str
    model_name: str | None = None
    tool_definitions: Json = None
    extra: Mapping[str, Json] = {}


class FinalMetrics(Record, frozen=True, kw_only=True):
    """Sums over the steps; ``final_metrics`` of an ATIF document."""

    total_prompt_tokens: int | None = None
    total_completion_tokens: int | None = None
    total_cached_tokens: int | None = None
    total_cost_usd: float | None = None
    total_steps: int | None = None
    extra: Mapping[str, Json] = {}


OURS = AgentShown(name="nemo-evaluator", version=__version__)


class TrajectoryRow(Record, frozen=True, kw_only=True, omit_defaults=False):
    """The question, the answer, what the model said, and the steps.

    The fields from ``schema_version`` on are an ATIF document (`document`), whoever made the steps.
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
    schema_version: str = ATIF_VERSION
    agent: AgentShown = OURS
    steps: tuple[Step, ...] = ()
    final_metrics: FinalMetrics | UnsetType = UNSET
    session_id: str | UnsetType | None = UNSET
    trajectory_id: str | UnsetType | None = UNSET
    notes: str | UnsetType | None = UNSET
    continued_trajectory_ref: str | UnsetType | None = UNSET
    subagent_trajectories: Json | UnsetType = UNSET
    extra: Mapping[str, Json] | UnsetType | None = UNSET

    @property
    def key(self) -> RolloutKey:
        """Which rollout this is."""
        return RolloutKey(self.problem_idx, self.repeat)

    @property
    def document(self) -> dict[str, Json]:
        """The trajectory as an ATIF document, for other programs."""
        known: dict[str, Json] = msgspec.json.decode(msgspec.json.encode(self))
        return {name: known[name] for name in OF_A_DOCUMENT if name in known}


OF_A_DOCUMENT = TrajectoryRow.__struct_fields__[
    TrajectoryRow.__struct_fields__.index("schema_version") :
]


def trajectory_row(
    record: RolloutRecord, row: ResultRow, system: str | None = None
) -> TrajectoryRow:
    """The line of a rollout; ``row``: its line of ``results.jsonl``; ``system``: the system prompt
    of the solver, which stands in the place of the benchmark's own."""
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
        **_document(record, row, system),
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


def _document(record: RolloutRecord, row: ResultRow, system: str | None) -> dict[str, Any]:
    """The fields of the row that are an ATIF document."""
    solution = record.solved.solution if record.solved else None
    if solution is None:
        steps = conforming(_unfinished(record), _note)
        return {"steps": steps, "final_metrics": FinalMetrics(total_steps=len(steps))}
    if not solution.steps and not solution.trajectory:
        steps = _single_turn(solution, _asked(record.problem, row.prompt, system))
    else:
        steps = conforming(solution.steps or steps_from(solution.trajectory), _note)
    usage = solution.usage
    fields: dict[str, Any] = {
        "agent": AgentShown(name=OURS.name, version=OURS.version, model_name=solution.model),
        "final_metrics": FinalMetrics(
            total_prompt_tokens=usage.prompt_tokens,
            total_completion_tokens=usage.completion_tokens,
            total_cached_tokens=usage.cached_tokens,
            total_cost_usd=solution.cost_usd,
            total_steps=len(steps),
        ),
    }
    theirs = _of_another(solution)
    if (metrics := theirs.get("final_metrics")) is not None:
        theirs["final_metrics"] = _filled(metrics, fields["final_metrics"])
    return {**fields, **theirs, "steps": steps}


def _filled(metrics: FinalMetrics, ours: FinalMetrics) -> FinalMetrics:
    """What an agent says of its totals, with ours (its costs, say) where it says nothing."""
    names = [name for name in metrics.__struct_fields__ if getattr(metrics, name) is None]
    return msgspec.structs.replace(metrics, **{name: getattr(ours, name) for name in names})


def _of_another(solution: Solution) -> dict[str, Any]:
    """The fields of the document that another program wrote, where it wrote one."""
    if not solution.trajectory or solution.steps:
        return {}
    # Of a task in several steps there are several: their agent is one, their sums are not.
    names = OF_A_DOCUMENT if len(solution.trajectory) == 1 else ("agent",)
    found = {name: solution.trajectory[0].get(name) for name in names}
    fields = {name: value for name, value in found.items() if value is not None}
    fields.pop("steps", None)
    fields.pop("schema_version", None)
    try:
        row = msgspec.convert({**fields, "problem_idx": 0}, TrajectoryRow)
    except msgspec.ValidationError:
        return {}
    return {name: getattr(row, name) for name in fields}


@cache
def _note(text: str) -> None:
    """Say once what an agent got wrong."""
    log.warning("a trajectory is no valid ATIF: %s; that stands under `extra` now", text)


def _asked(
    problem: ProblemSeeded | None, prompt: str | None, system: str | None
) -> tuple[Step, ...]:
    """What was said to the model: a text, or the messages in their roles."""
    if problem is None or not (problem.messages or problem.images or problem.system or system):
        return (Step(step_id=1, source=StepSource.USER, message=prompt or ""),)
    return conforming(question_steps(problem, system))


def _single_turn(solution: Solution, asked: tuple[Step, ...]) -> tuple[Step, ...]:
    usage = solution.usage
    extra = {} if usage.reasoning_tokens is None else {"reasoning_tokens": usage.reasoning_tokens}
    return (
        *asked,
        Step(
            step_id=len(asked) + 1,
            source=StepSource.AGENT,
            message=solution.response,
            model_name=solution.model,
            reasoning_content=solution.reasoning,
            metrics=StepMetrics(
                prompt_tokens=usage.prompt_tokens,
                completion_tokens=usage.completion_tokens,
                cached_tokens=usage.cached_tokens,
                cost_usd=solution.cost_usd,
                extra=extra,
            ),
        ),
    )
