"""OpenClaw's transcript: read from its database where it ran, and told as steps.

Since 2026.9 it is a table of events in SQLite, long ones packed with zstd; node, which is there
anyway, reads both.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import msgspec

from ...steps import Observation, ObservationResult, Step, StepMetrics, StepSource, ToolCall
from ...types import Json

Told = Mapping[str, Json]
"""A part of what OpenClaw tells."""

DATABASE = "agents/main/agent/openclaw-agent.sqlite"
"""In the state folder."""
READER = """\
const {DatabaseSync} = require("node:sqlite"), zlib = require("node:zlib");
const rows = new DatabaseSync(process.argv[1]).prepare(
  "select event_json as j, event_zstd as z from transcript_events order by rowid");
for (const row of rows.iterate())
  console.log(row.j === null ? zlib.zstdDecompressSync(row.z).toString() : row.j);
"""
OUTPUT_BYTES = 32 << 20
OBSERVATION_CHARS = 20_000


def events_of(lines: str) -> list[Told]:
    """The events that were read; what is no event is passed over."""
    found: list[Told] = []
    for line in lines.splitlines():
        try:
            event = msgspec.json.decode(line)
        except msgspec.DecodeError:
            continue
        if isinstance(event, dict):
            found.append(event)
    return found


def steps_of(events: Iterable[Told]) -> tuple[Step, ...]:
    """What was said and done, in order."""
    told = _Telling()
    for event in events:
        message = event.get("message")
        if event.get("type") == "message" and isinstance(message, dict):
            told.add(message, str(event.get("timestamp") or "") or None)
    return tuple(told.steps)


class _Telling:
    """Steps as they grow. Call ids are unique in a trajectory, whatever the model calls them."""

    def __init__(self) -> None:
        self.steps: list[Step] = []
        self._ids: dict[str, str] = {}
        """The id that a call has here, by the one that the model gave it last."""
        self._calls = 0

    def add(self, message: Told, timestamp: str | None) -> None:
        """A message of the transcript."""
        match message.get("role"):
            case "user":
                text = _text(message.get("content"))
                self.steps.append(Step(source=StepSource.USER, message=text, timestamp=timestamp))
            case "assistant":
                self.steps.append(self._of_agent(message, timestamp))
            case "toolResult":
                self._observed(message)

    def _of_agent(self, message: Told, timestamp: str | None) -> Step:
        parts = [part for part in _parts(message.get("content")) if isinstance(part, dict)]
        thoughts = [str(p.get("thinking") or "") for p in parts if p.get("type") == "thinking"]
        extra = {
            name: message[name] for name in ("stopReason", "errorMessage") if message.get(name)
        }
        return Step(
            source=StepSource.AGENT,
            message=_text(parts),
            timestamp=timestamp,
            model_name=str(message.get("model") or "") or None,
            reasoning_content="\n".join(thoughts) or None,
            tool_calls=tuple(self._call(p) for p in parts if p.get("type") == "toolCall"),
            metrics=_metrics(message.get("usage")),
            extra=extra,
        )

    def _call(self, part: Told) -> ToolCall:
        given = str(part.get("id") or "")
        self._calls += 1
        name = given if given and given not in self._ids.values() else f"{given}#{self._calls}"
        self._ids[given] = name
        arguments = part.get("arguments")
        return ToolCall(
            tool_call_id=name,
            function_name=str(part.get("name") or ""),
            arguments=arguments if isinstance(arguments, dict) else {"value": arguments},
        )

    def _observed(self, message: Told) -> None:
        """A result stands with the step that asked for it."""
        call = self._ids.get(str(message.get("toolCallId") or ""))
        at = next(
            (
                number
                for number in range(len(self.steps) - 1, -1, -1)
                if any(c.tool_call_id == call for c in self.steps[number].tool_calls)
            ),
            None,
        )
        if at is None:
            return
        result = ObservationResult(
            source_call_id=call,
            content=_text(message.get("content"))[:OBSERVATION_CHARS],
            extra={"is_error": True} if message.get("isError") else {},
        )
        before = self.steps[at].observation
        results = (*(before.results if before else ()), result)
        self.steps[at] = msgspec.structs.replace(
            self.steps[at], observation=Observation(results=results)
        )


def _parts(content: Json) -> list[Json]:
    return content if isinstance(content, list) else [{"type": "text", "text": content or ""}]


def _text(content: Json) -> str:
    parts = [p for p in _parts(content) if isinstance(p, dict) and p.get("type") == "text"]
    return "\n".join(str(part.get("text") or "") for part in parts)


def _metrics(usage: Json) -> StepMetrics | None:
    """Tokens of a call: what was read from a cache is a part of the prompt."""
    if not isinstance(usage, dict):
        return None
    read, written = _count(usage, "cacheRead") or 0, _count(usage, "cacheWrite") or 0
    prompt = _count(usage, "input")
    return StepMetrics(
        prompt_tokens=None if prompt is None else prompt + read + written,
        completion_tokens=_count(usage, "output"),
        cached_tokens=read or None,
    )


def _count(usage: Told, name: str) -> int | None:
    value = usage.get(name)
    return value if isinstance(value, int) and not isinstance(value, bool) else None
