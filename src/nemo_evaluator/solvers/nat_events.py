"""What a server of NeMo Agent Toolkit streams: lines of events, as steps of an agent and an answer.

``intermediate_data: {…}`` tells of a step, its ``payload`` being JSON in a text; ``data: {…}`` is
the answer. Lines that cannot be read are left out.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from msgspec.structs import replace

from ..steps import Observation, ObservationResult, Step, StepMetrics, StepSource, ToolCall
from ..traffic.dialects.contract import as_dict, as_str, as_tokens
from ..types import Json, Usage

STEP, DATA, ERROR = "intermediate_data", "data", "error"
ANSWERS = ("value", "output", "response")
LONGEST = 64 << 20
"""Bytes of a line; the rest of a longer one is dropped."""


class NatEvents:
    """Collects the events of one stream."""

    def __init__(self) -> None:
        self.steps: list[Step] = []
        self.usage = Usage()
        self.calls = 0
        """Calls of a model that the server told of."""
        self.model: str | None = None
        self.error: str | None = None
        self._final: str | None = None
        self._last: str | None = None
        """What a model said last."""
        self._places: dict[str, tuple[int, str]] = {}
        """Step and call id, by the server's id of a tool's run."""
        self._open: list[str] = []
        """Ids of tools that run, oldest first."""
        self._line = b""

    @property
    def answer(self) -> str | None:
        """The final text; where the server gave none, what a model said last."""
        return self._last if self._final is None else self._final

    def feed(self, piece: bytes) -> None:
        """Take a piece of the body."""
        *lines, self._line = (self._line + piece).split(b"\n")
        self._line = self._line[:LONGEST]
        for line in lines:
            self._take(line)

    def close(self) -> None:
        """The body is over."""
        line, self._line = self._line, b""
        self._take(line)

    def _take(self, raw: bytes) -> None:
        kind, colon, text = raw.decode("utf-8", "replace").strip().partition(":")
        if not colon or kind not in (STEP, DATA, ERROR):
            return
        try:
            event = json.loads(text)
        except (ValueError, RecursionError):
            if kind == ERROR:
                self.error = text.strip()
            return
        if kind == STEP:
            self._step(as_dict(event))
        elif kind == ERROR or (isinstance(event, dict) and event.get("error")):
            found = event.get("error", event) if isinstance(event, dict) else event
            self.error = found if isinstance(found, str) else json.dumps(found)
        elif event != "[DONE]":
            self._final = _text(event)

    def _step(self, told: Mapping[str, Json]) -> None:
        payload = told.get("payload")
        if isinstance(payload, str):
            try:
                payload = json.loads(payload)
            except (ValueError, RecursionError):
                return
        payload = as_dict(payload)
        data = as_dict(payload.get("data"))
        match payload.get("event_type"):
            case "LLM_END":
                self._add_answer(payload, _text(data.get("output")))
            case "TOOL_START":
                self._add_call(payload, data.get("input"))
            case "TOOL_END":
                self._add_result(payload, _text(data.get("output")))

    def _add_answer(self, payload: Mapping[str, Any], text: str) -> None:
        used = _usage(as_dict(as_dict(payload.get("usage_info")).get("token_usage")))
        self.calls += 1
        self.usage += used
        self.model = as_str(payload.get("name")) or self.model
        self._last = text
        metrics = None
        if used != Usage():
            metrics = StepMetrics(
                prompt_tokens=used.prompt_tokens,
                completion_tokens=used.completion_tokens,
                cached_tokens=used.cached_tokens,
                reasoning_tokens=used.reasoning_tokens,
            )
        name = as_str(payload.get("name"))
        self.steps.append(
            Step(source=StepSource.AGENT, message=text, model_name=name, metrics=metrics)
        )

    def _add_call(self, payload: Mapping[str, Any], given: Json) -> None:
        if not self.steps:
            self.steps.append(Step(source=StepSource.AGENT, message=""))
        ident = f"call_{len(self._places) + 1}"
        call_id = as_str(payload.get("UUID")) or ident
        place = len(self.steps) - 1
        call = ToolCall(
            tool_call_id=ident,
            function_name=as_str(payload.get("name")) or "unknown",
            arguments=_arguments(given),
        )
        step = self.steps[place]
        self.steps[place] = replace(step, tool_calls=(*step.tool_calls, call))
        self._places[call_id] = place, ident
        self._open.append(call_id)

    def _add_result(self, payload: Mapping[str, Any], text: str) -> None:
        call_id = as_str(payload.get("UUID"))
        if call_id not in self._open:
            call_id = self._open[0] if self._open and call_id is None else None
        if call_id is None:
            return
        self._open.remove(call_id)
        place, ident = self._places[call_id]
        step = self.steps[place]
        result = ObservationResult(source_call_id=ident, content=text)
        before = step.observation.results if step.observation else ()
        self.steps[place] = replace(step, observation=Observation(results=(*before, result)))


def _arguments(given: Json) -> Mapping[str, Json]:
    if isinstance(given, str):
        try:
            found = json.loads(given)
        except (ValueError, RecursionError):
            return {"raw": given}
        given = found if isinstance(found, dict) else given
    return given if isinstance(given, dict) else {"raw": given}


def _usage(told: Mapping[str, Json]) -> Usage:
    return Usage(
        prompt_tokens=as_tokens(told.get("prompt_tokens")),
        completion_tokens=as_tokens(told.get("completion_tokens")),
        cached_tokens=as_tokens(told.get("cached_tokens")),
        reasoning_tokens=as_tokens(told.get("reasoning_tokens")),
    )


def _text(told: Json) -> str:
    if isinstance(told, str):
        return told
    if isinstance(told, dict):
        found = next((told[name] for name in ANSWERS if told.get(name) is not None), None)
        if found is not None:
            return _text(found)
    return "" if told is None else json.dumps(told)
