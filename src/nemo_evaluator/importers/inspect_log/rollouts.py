"""A sample of Inspect as a rollout: its verdict, answer and conversation.

Invariant: what Inspect could not score has no verdict here either.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import msgspec

from ...finish import FinishReason
from ...results.result_row import LIMITS, OUTCOMES, as_failure
from ...steps import Observation, ObservationResult, Step, StepSource, ToolCall, numbered
from ...types import EndedBy, ErrorInfo, Failure, Json, Outcome, Problem, Score, Solution, Usage
from ..contract import Rollout
from ..writing import unix_time
from .question import asked, content_of, text_of
from .records import ChatMessage, Sample
from .records import Score as Given

NUMBERS = {"C": 1.0, "I": 0.0, "P": 0.5, "N": 0.0}
"""Inspect's own reading of its letters: correct, incorrect, partial, no answer."""
WORDS = {"yes": 1.0, "true": 1.0, "no": 0.0, "false": 0.0}
ENDED = {
    "message": EndedBy.TURNS,
    "turn": EndedBy.TURNS,
    "token": EndedBy.TOKENS,
    "cost": EndedBy.COST,
    "time": EndedBy.TIME,
    "working": EndedBy.TIME,
    "context": EndedBy.CONTEXT,
}
OURS = "nel"
"""Where a log that we wrote keeps what Inspect has no place for."""
TOLD = (OURS, "id")


def rollout(sample: Sample, idx: int, scorer: str | None, *, own: bool) -> Rollout:
    """A rollout. ``scorer``: whose value is the reward, None for the first; ``own``: the log is one
    that we wrote."""
    own_metadata = sample.metadata.get(OURS)
    kept: Mapping[str, Any] = own_metadata if own and isinstance(own_metadata, dict) else {}
    metadata = {name: value for name, value in sample.metadata.items() if name not in TOLD}
    problem = Problem(
        idx=idx,
        **asked(sample),
        target=sample.target,
        metadata=metadata if own else {**metadata, "id": str(sample.id)},
        cluster=kept.get("cluster"),
    )
    solution = _solution(sample, kept)
    found = Rollout(
        problem=problem,
        repeat=max(sample.epoch - 1, 0),
        at=unix_time(sample.completed_at),
        solution=solution,
        outcome=OUTCOMES.get(str(kept.get("outcome")), Outcome.SCORED),
    )
    if sample.error is None and (score := _score(sample, scorer)) is not None:
        return msgspec.structs.replace(found, score=score)
    failure = as_failure(str(kept.get("failure")))
    if sample.error is not None:
        kind, outcome = failure or Failure.INFRA_ERROR, Outcome.INFRA_ERROR
        error = ErrorInfo(kind=kind, message=sample.error.message)
    else:
        outcome = Outcome.UNSCORED
        error = ErrorInfo(kind=failure or Failure.NO_VERDICT, message="no scorer gave a number")
    outcome = outcome if found.outcome is Outcome.SCORED else found.outcome
    answered = bool(sample.output.choices)
    return msgspec.structs.replace(
        found, solution=solution if answered else None, outcome=outcome, error=error
    )


def number(value: Json) -> float | None:
    """A value as Inspect reads it as a number; None for what is none, NaN included.

    >>> number("C"), number(True), number("0.25"), number("maybe")
    (1.0, 1.0, 0.25, None)
    """
    if isinstance(value, str):
        known_value = NUMBERS.get(value, WORDS.get(value.strip().lower()))
        if known_value is not None:
            return known_value
        try:
            value = float(value)
        except ValueError:
            return None
    if not isinstance(value, int | float) or not math.isfinite(value):
        return None
    return float(value)


def _score(sample: Sample, scorer: str | None) -> Score | None:
    scores = sample.scores or {}
    name = scorer if scorer in scores else next(iter(scores), None)
    if name is None:
        return None
    main = scores[name]
    parts = main.value if isinstance(main.value, dict) else {}
    metrics = {key: one for key, value in parts.items() if (one := number(value)) is not None}
    reward = next(iter(metrics.values()), None) if parts else number(main.value)
    if reward is None:
        return None
    details, rated = _details(main, scores, name), True
    given_correct = details.get("correct")
    correct = given_correct if isinstance(given_correct, bool) else None
    if main.value in ("C", "I", "N") or isinstance(main.value, bool):
        correct = reward == 1.0
    failure = details.get("failure")
    if main.value == "N":
        failure = Failure.FORMAT.value
    if parts and details.get("metrics"):  # ours: its verdict is metrics alone
        metrics, rated, reward = {}, False, 0.0
    return Score(
        reward=reward,
        rated=rated,
        correct=correct,
        extracted=main.answer,
        details=details,
        failure=as_failure(failure) if isinstance(failure, str) else None,
        metrics=metrics,
    )


def _details(main: Given, scores: Mapping[str, Given], name: str) -> dict[str, Json]:
    """The details of a verdict of ours as they were; else what Inspect says of it."""
    metadata = main.metadata or {}
    ours = metadata.get("scoring_details")
    details: dict[str, Json] = (
        dict(ours)
        if isinstance(ours, Mapping)
        else {
            "method": name,
            **({} if main.explanation is None else {"explanation": main.explanation}),
            **({} if not metadata else {"metadata": dict(metadata)}),
        }
    )
    for other, score in scores.items():
        value = number(score.value)
        if other != name and value is not None:
            details.setdefault(f"scorer:{other.removeprefix('scorer:')}", {"reward": value})
    return details


def _solution(sample: Sample, kept: Mapping[str, Any]) -> Solution:
    output = sample.output
    steps = tuple(_steps(sample.messages))
    turns = sum(step.is_turn for step in steps)
    agent = turns > 1 or any(step.is_turn and step.tool_calls for step in steps)
    stopped = output.choices[0].stop_reason if output.choices else None
    finish = FinishReason.of(stopped)
    seconds = output.time if output.time is not None and not agent else sample.working_time
    wall = sample.total_time if agent else None
    usage, cost = _usage(sample)
    thought = "\n".join(_reasoning(sample.messages[-1].content)) if sample.messages else ""
    limit = sample.limit.type if sample.limit is not None else ""
    return Solution(
        response=output.completion,
        reasoning=thought or None,
        finish_reason=kept.get("finish_reason")
        or (stopped if finish is FinishReason.UNKNOWN else finish.value),
        usage=usage,
        model=output.model or None,
        latency_ms=kept.get("latency_ms", round((seconds or 0.0) * 1000, 3)),
        ttft_ms=kept.get("ttft_ms"),
        wall_ms=kept.get("wall_ms", None if wall is None else wall * 1000),
        calls=kept.get("calls", max(turns, 1)),
        cost_usd=kept.get("cost_usd", cost),
        steps=numbered(steps) if agent else (),
        ended_by=LIMITS.get(str(kept.get("ended_by"))) or ENDED.get(limit),
    )


def _usage(sample: Sample) -> tuple[Usage, float | None]:
    used = list(sample.model_usage.values())
    if not used:
        return Usage(), None
    costs = [one.total_cost for one in used if one.total_cost is not None]
    cached = sum(one.input_tokens_cache_read or 0 for one in used)
    written = sum(one.input_tokens_cache_write or 0 for one in used)
    given = sum(one.input_tokens for one in used) + cached + written
    made = sum(one.output_tokens for one in used)
    if not given and not made:  # a total is all that is known
        made = sum(one.total_tokens for one in used)
    thought = sum(one.reasoning_tokens or 0 for one in used)
    usage = Usage(
        prompt_tokens=given,
        completion_tokens=made,
        cached_tokens=cached or None,
        reasoning_tokens=thought or None,
    )
    return usage, sum(costs) if costs else None


def _steps(messages: Sequence[ChatMessage]) -> Iterator[Step]:
    """A conversation as steps of ATIF: results of tools belong to the turn that called them."""
    step: Step | None = None
    for message in messages:
        if message.role == "tool" and step is not None:
            failed = {} if message.error is None else {"error": message.error.message}
            result = ObservationResult(
                source_call_id=message.tool_call_id
                if isinstance(message.tool_call_id, str)
                else None,
                content=text_of(message.content),
                extra=failed,
            )
            before = step.observation.results if step.observation is not None else ()
            seen = Observation(results=(*before, result))
            step = msgspec.structs.replace(step, observation=seen)
            continue
        if step is not None:
            yield step
        step = _step(message)
    if step is not None:
        yield step


def _step(message: ChatMessage) -> Step:
    sources = {"assistant": StepSource.AGENT, "user": StepSource.USER}
    calls = tuple(
        ToolCall(
            tool_call_id=call.id,
            function_name=call.function,
            arguments=call.arguments if isinstance(call.arguments, dict) else {},
        )
        for call in message.tool_calls or ()
    )
    return Step(
        source=sources.get(message.role, StepSource.SYSTEM),
        message=content_of(message.content),
        model_name=message.model if message.role == "assistant" else None,
        reasoning_content="\n".join(_reasoning(message.content)) or None,
        tool_calls=calls,
        is_copied_context=(message.role == "assistant" and message.source == "input") or None,
    )


def _reasoning(content: Json) -> Iterator[str]:
    for part in content if isinstance(content, list | tuple) else ():
        thought = part.get("reasoning") if isinstance(part, dict) else None
        if isinstance(thought, str) and thought:
            yield thought
