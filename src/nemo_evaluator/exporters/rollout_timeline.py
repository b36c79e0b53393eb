"""What was done in a rollout, as trackers show it: what was said, calls of models and of tools,
each with its times.

Steps tell at most when they ended. Where they tell nothing, they share the time of the rollout.
"""

from __future__ import annotations

import datetime
import enum
from collections.abc import Iterator, Sequence
from itertools import pairwise

from ..results.result_row import ResultRow
from ..results.tables import plain_text
from ..results.times import when
from ..results.trajectory_row import TrajectoryRow
from ..results.view import BenchmarkView
from ..steps import Step, StepMetrics, StepSource, ToolCall
from ..types import Json, Record
from .times import Span, rollout_span


class Kind(enum.StrEnum):
    """What was done."""

    SAID = "said"
    """By the user, the system or the environment."""
    MODEL = "model"
    TOOL = "tool"


class Work(Record, frozen=True, kw_only=True):
    """One thing that was done."""

    kind: Kind
    name: str
    """Who said it, the model, or the tool."""
    begun: datetime.datetime
    ended: datetime.datetime
    given: Json = None
    """Arguments of a tool."""
    made: Json = None
    """What was said, answered or returned."""
    reasoning: str | None = None
    tool_calls: tuple[ToolCall, ...] = ()
    metrics: StepMetrics | None = None
    call_id: str | None = None
    """Of the tool call."""
    failed: bool = False


def rollout_work(
    benchmark: BenchmarkView, row: ResultRow, trajectory: TrajectoryRow | None
) -> tuple[Span, tuple[Work, ...]]:
    """When a rollout was worked on, and all that was done, in order."""
    span = rollout_span(benchmark, row, trajectory)
    steps = trajectory.steps if trajectory is not None else ()
    steps = steps or tuple(_question_and_answer(row))
    model = benchmark.bundle.model or "model"
    found: list[Work] = []
    for step, (begun, ended) in zip(steps, pairwise(_ends(span, steps)), strict=True):
        found += _work(step, begun, ended, model)
    return span, tuple(found)


def _question_and_answer(row: ResultRow) -> Iterator[Step]:
    if row.prompt is not None:
        yield Step(source=StepSource.USER, message=row.prompt)
    if row.model_response is not None:
        yield Step(
            source=StepSource.AGENT, message=row.model_response, reasoning_content=row.reasoning
        )


def _ends(span: Span, steps: Sequence[Step]) -> list[datetime.datetime]:
    """The beginning, and the end of each step; never backwards."""
    turns = sum(map(_is_work, steps)) or 1
    share = (span.ended - span.begun) / turns
    ends, last = [span.begun], span.begun
    for step in steps:
        stamp = when(step.timestamp)
        if stamp is None:
            stamp = last + share if _is_work(step) else last
        last = max(last, min(stamp, max(span.ended, last)))
        ends.append(last)
    return ends


def _is_work(step: Step) -> bool:
    """Whether the agent did it; what it is only reminded of was said."""
    return step.source is StepSource.AGENT and not step.is_copied_context


def _work(
    step: Step, begun: datetime.datetime, ended: datetime.datetime, model: str
) -> Iterator[Work]:
    if _is_work(step):
        yield Work(
            kind=Kind.MODEL,
            name=step.model_name or model,
            begun=begun,
            ended=ended,
            made=step.message,
            reasoning=step.reasoning_content,
            tool_calls=step.tool_calls,
            metrics=step.metrics,
        )
    else:
        agent = step.source is StepSource.AGENT
        name = "assistant" if agent else step.source.value
        yield Work(kind=Kind.SAID, name=name, begun=begun, ended=ended, made=step.message)
    results = step.observation.results if step.observation is not None else ()
    calls = {call.tool_call_id for call in step.tool_calls}
    answers = {one.source_call_id: one for one in results if one.source_call_id in calls}
    for call in step.tool_calls:
        answer = answers.get(call.tool_call_id)
        yield Work(
            kind=Kind.TOOL,
            name=call.function_name,
            begun=ended,
            ended=ended,
            given=dict(call.arguments),
            made=None if answer is None else answer.content,
            call_id=call.tool_call_id,
            failed=answer is not None and answer.failed,
        )
    for rest in (one for one in results if one.source_call_id not in calls):
        yield Work(kind=Kind.SAID, name="environment", begun=ended, ended=ended, made=rest.content)


def shortened(text: str | None, most: int) -> str | None:
    """A text, cut with a mark that says so."""
    if text is None or len(text) <= most:
        return text
    return text[:most] + "…[truncated]"


def said_text(value: Json) -> str | None:
    """What a message holds, as text: the texts of its parts."""
    if isinstance(value, list | tuple):
        parts = [part.get("text") for part in value if isinstance(part, dict)]
        texts = [part for part in parts if isinstance(part, str)]
        if texts:
            return "\n".join(texts)
    return plain_text(value)
