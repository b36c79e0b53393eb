"""The conversation of a rollout in Inspect's terms: messages, and the events of its transcript.

The messages that an event of a model was given are named by their places in the conversation, so
that a long conversation is written once.
"""

from __future__ import annotations

import datetime
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ...errors import ConfigError
from ...files.reading import open_regular
from ...results.result_row import ResultRow
from ...results.tables import plain_text
from ...results.times import when
from ...results.trajectory_row import TrajectoryRow
from ...steps import ObservationResult, Step, StepSource, ToolCall
from ...traffic.images import image_url, sniff
from ...types import Image, Json
from .header import usage_of

UNKNOWN_CALL = "unknown"
LARGEST_IMAGE = 20 << 20
"""Bytes of an image that is put into a log."""


@dataclass(slots=True)
class Transcript:
    """What was said and done."""

    messages: list[dict[str, Any]] = field(default_factory=list)
    events: list[dict[str, Any]] = field(default_factory=list)

    @property
    def last_answer(self) -> dict[str, Any] | None:
        """The last message of the model."""
        answers = (one for one in reversed(self.messages) if one["role"] == "assistant")
        return next(answers, None)


def transcript(
    row: ResultRow, trajectory: TrajectoryRow | None, model: str, begun: datetime.datetime
) -> Transcript:
    """The steps of a trajectory; question and answer where there are none."""
    steps = trajectory.steps if trajectory is not None else ()
    made = _Maker(model, begun)
    for step in steps or _question_and_answer(row):
        made.take(step)
    if trajectory is not None and trajectory.steps and row.judged:
        made.event("score", score=_verdict(row))
    if not row.judged:
        made.event("error", error=error_of(row))
    return made.found


def error_of(row: ResultRow) -> dict[str, Json]:
    """Why there is no verdict, as an ``EvalError``."""
    text = row.error or f"no verdict: {row.failure or row.outcome}"
    return {"message": text, "traceback": text, "traceback_ansi": text}


def _question_and_answer(row: ResultRow) -> Iterator[Step]:
    if row.prompt is not None:
        yield Step(source=StepSource.USER, message=row.prompt)
    if row.model_response is not None:
        yield Step(
            source=StepSource.AGENT,
            message=row.model_response,
            reasoning_content=row.reasoning,
        )


class _Maker:
    """Takes steps in their order."""

    def __init__(self, model: str, begun: datetime.datetime) -> None:
        self.found = Transcript()
        self._model, self._begun, self._now = model, begun, begun

    def take(self, step: Step) -> None:
        """One step: a message, the event behind it, and the results of its tools."""
        self._now = when(step.timestamp) or self._now
        if step.source is StepSource.AGENT:
            self._turn(step)
        else:
            self._say(step.source.value, content(step.message))
        calls = {call.tool_call_id: call for call in step.tool_calls}
        results = step.observation.results if step.observation is not None else ()
        for result in results:
            call = calls.get(result.source_call_id or "")
            self._result(call, result, copied=bool(step.is_copied_context))

    def event(self, name: str, **fields: Json) -> None:
        """An event, at the time of the last step."""
        self.found.events.append(
            {
                "event": name,
                "uuid": f"e{len(self.found.events)}",
                "timestamp": self._now.isoformat(),
                "working_start": max((self._now - self._begun).total_seconds(), 0.0),
                **fields,
            }
        )

    def _say(self, role: str, said: Json, **fields: Json) -> dict[str, Any]:
        number = len(self.found.messages)
        message = {"id": f"m{number}", "role": role, "content": said, **fields}
        self.found.messages.append(message)
        return message

    def _turn(self, step: Step) -> None:
        before = len(self.found.messages)
        turn_text = content(step.message, step.reasoning_content)
        calls = {"tool_calls": [_call(call) for call in step.tool_calls]} if step.tool_calls else {}
        model = step.model_name or self._model
        source = "input" if step.is_copied_context else "generate"
        message = self._say("assistant", turn_text, source=source, model=model, **calls)
        if not step.is_turn:
            return
        reason = "tool_calls" if step.tool_calls else "stop"
        output: dict[str, Json] = {
            "model": model,
            "choices": [{"message": message, "stop_reason": reason}],
            "completion": plain_text(step.message) or "",
            "usage": _usage(step),
        }
        self.event(
            "model",
            model=model,
            input=[],
            input_refs=[[0, before]] if before else [],
            tools=[],
            tool_choice="auto",
            config={},
            output=output,
        )

    def _result(self, call: ToolCall | None, result: ObservationResult, *, copied: bool) -> None:
        answered = call.tool_call_id if call is not None else result.source_call_id
        if call is None and answered is None:
            self._say("user", content(result.content))
            return
        name = call.function_name if call is not None else UNKNOWN_CALL
        text = plain_text(content(result.content)) or ""
        failed = {"error": {"type": "unknown", "message": text[:1000]}} if result.failed else {}
        if not copied:
            self.event(
                "tool",
                id=answered,
                function=name,
                arguments=dict(call.arguments) if call is not None else {},
                result=text,
                **failed,
            )
        self._say("tool", text, tool_call_id=answered, function=name, **failed)


def content(message: Json, reasoning: str | None = None) -> Json:
    """What a message holds: a text, or parts of text, reasoning and images."""
    parts = list(_parts(message)) if isinstance(message, list | tuple) else []
    if not parts:
        text = "" if message is None else plain_text(message) or ""
        if not reasoning:
            return text
        parts = [{"type": "text", "text": text}]
    thought = [{"type": "reasoning", "reasoning": reasoning}] if reasoning else []
    return [*thought, *parts]


def _parts(parts: Iterable[Json]) -> Iterator[dict[str, Json]]:
    """Parts of ATIF's or OpenAI's form; what is neither is shown as JSON."""
    for part in parts:
        fields: Mapping[str, Any] = part if isinstance(part, Mapping) else {}
        image = fields.get("source") or fields.get("image_url")
        if isinstance(image, Mapping):
            image = image.get("path") or image.get("url")
        if isinstance(fields.get("text"), str):
            yield {"type": "text", "text": fields["text"]}
        elif isinstance(image, str):
            yield {"type": "image", "image": _embedded(image)}
        else:
            yield {"type": "text", "text": plain_text(part) or ""}


def _embedded(image: str) -> str:
    """An image in a file of this machine as a ``data:`` address, as Inspect logs it itself."""
    if not image.startswith("/"):
        return image
    try:
        with open_regular(Path(image)) as file:
            data = file.read(LARGEST_IMAGE + 1)
    except (ConfigError, OSError, ValueError):
        return image
    kind = sniff(data)
    if kind is None or len(data) > LARGEST_IMAGE:
        return image
    return image_url(Image(data=data, media_type=kind))


def _call(call: ToolCall) -> dict[str, Json]:
    return {
        "id": call.tool_call_id,
        "function": call.function_name,
        "arguments": dict(call.arguments),
        "type": "function",
    }


def _usage(step: Step) -> dict[str, Json] | None:
    used = step.metrics
    if used is None:
        return None
    reasoning_tokens = used.extra.get("reasoning_tokens")
    reasoning = used.reasoning_tokens or (
        reasoning_tokens if isinstance(reasoning_tokens, int) else None
    )
    return usage_of(
        used.prompt_tokens, used.completion_tokens, used.cached_tokens, reasoning, used.cost_usd
    )


def _verdict(row: ResultRow) -> dict[str, Json]:
    return {
        "value": row.reward if row.reward is not None else "metrics",
        "answer": plain_text(row.extracted_answer),
        "history": [],
    }
