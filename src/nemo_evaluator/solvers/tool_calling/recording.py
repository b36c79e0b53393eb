"""What a rollout leaves as steps, in the terms of ATIF, and what is counted on the way."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from ...steps import Observation, ObservationResult, Step, StepMetrics, StepSource, ToolCall
from ...traffic.dialects.contract import text_of
from ...types import Generation, Json, Message
from ..steps import Steps
from .contract import ToolResult
from .toolbox import Call

LOOP = 3
"""The same call this many times in a row is reported."""
SOURCES = {"user": StepSource.USER, "assistant": StepSource.AGENT}


class Record:
    """The steps and counts of one rollout."""

    def __init__(self, steps: Steps) -> None:
        self._steps = steps
        self.turns = self.calls = self.failed_calls = self.longest_run = 0
        self.run = 0
        """How often the last call has been made in a row."""
        self._last: tuple[str, bytes] | None = None

    def task(self, messages: Sequence[Message], system: str | None) -> None:
        """What the model is told at first."""
        if system is not None:
            self.system(system)
        for message in messages:
            source = SOURCES.get(str(message.get("role")), StepSource.SYSTEM)
            if source is not StepSource.SYSTEM or system is None:
                self._steps.add(Step(source=source, message=text_of(message.get("content"))))

    def system(self, text: str) -> None:
        """What stands in the system prompt."""
        self._steps.add(Step(source=StepSource.SYSTEM, message=text))

    def told(self, text: str) -> None:
        """What the loop itself says to the model."""
        self._steps.add(Step(source=StepSource.USER, message=text))

    def turn(
        self,
        generation: Generation,
        text: str,
        calls: Sequence[Call] = (),
        results: Sequence[ToolResult] = (),
    ) -> None:
        """One turn of the model. Without ``results``: its calls were not made to their end."""
        self.turns += 1
        self.calls += len(calls)
        self.failed_calls += sum(result.failed for result in results)
        for call in calls:
            self._count(call)
        seen = tuple(_observation(*pair) for pair in zip(calls, results, strict=False))
        self._steps.add(
            Step(
                source=StepSource.AGENT,
                message=text,
                model_name=generation.model,
                reasoning_content=generation.reasoning or None,
                tool_calls=tuple(
                    ToolCall(tool_call_id=c.id, function_name=c.name, arguments=c.arguments)
                    for c in calls
                ),
                observation=Observation(results=seen) if seen else None,
                metrics=_metrics(generation),
            )
        )

    def details(self) -> dict[str, Json]:
        """The counts, as they stand in the details of the solution."""
        found: dict[str, Json] = {
            "turns": self.turns,
            "tool_calls": self.calls,
            "failed_tool_calls": self.failed_calls,
        }
        if self.longest_run >= LOOP:
            found["same_call_in_a_row"] = self.longest_run
        return found

    def _count(self, call: Call) -> None:
        self.run = self.run + 1 if call.told == self._last else 1
        self._last = call.told
        self.longest_run = max(self.longest_run, self.run)


def _observation(call: Call, result: ToolResult) -> ObservationResult:
    extra: dict[str, Json] = dict(result.extra)
    if result.failed:
        extra["failed"] = True
    if result.pictures:
        extra["images"] = [picture.media_type for picture in result.pictures]
    return ObservationResult(source_call_id=call.id, content=result.text, extra=extra)


def _metrics(generation: Generation) -> StepMetrics:
    usage = generation.usage
    extra: dict[str, Any] = {"latency_ms": generation.latency_ms}
    if usage.reasoning_tokens is not None:
        extra["reasoning_tokens"] = usage.reasoning_tokens
    if generation.tries > 1:
        extra["tries"] = generation.tries
    if generation.finish_reason is not None:
        extra["finish_reason"] = generation.finish_reason
    metrics = StepMetrics(
        prompt_tokens=usage.prompt_tokens,
        completion_tokens=usage.completion_tokens,
        cached_tokens=usage.cached_tokens,
        cost_usd=generation.cost_usd,
    )
    return msgspec.structs.replace(metrics, extra=extra)
