"""What an agent did, step by step, in the terms of ATIF.

ATIF is Harbor's Agent Trajectory Interchange Format (its RFC 0001); names and meanings of fields
are those of its version 1.8, which is read without loss. What a file holds is made to conform by
`atif.py`; a recorder need not know the rules.
"""

from __future__ import annotations

import enum
from collections.abc import Iterator, Mapping, Sequence

import msgspec

from .records import Json, Record

ATIF_VERSION = "ATIF-v1.8"


class StepSource(enum.StrEnum):
    """Who a step comes from."""

    SYSTEM = "system"
    USER = "user"
    AGENT = "agent"


class ToolCall(Record, frozen=True, kw_only=True):
    """A tool that the model called."""

    tool_call_id: str
    """Unique in a trajectory."""
    function_name: str
    arguments: Mapping[str, Json] = msgspec.field(default_factory=lambda: {})  # noqa: PIE807
    """Always written, also where there are none."""
    extra: Mapping[str, Json] = {}


class ObservationResult(Record, frozen=True, kw_only=True):
    """What one tool call, or the environment by itself, gave back."""

    source_call_id: str | None = None
    """``tool_call_id`` of the call it answers."""
    content: Json = None
    """A text, or a list of content parts."""
    subagent_trajectory_ref: Json = None
    """Trajectories of agents that this one delegated to."""
    extra: Mapping[str, Json] = {}

    @property
    def failed(self) -> bool:
        """Whether the tool says so: by ``failed``, ``is_error``, ``error``, ``timed_out`` or an
        ``exit_code`` in ``extra``."""
        if any(self.extra.get(name) for name in ("failed", "is_error", "error", "timed_out")):
            return True
        codes = (self.extra.get(name) for name in ("exit_code", "return_code", "returncode"))
        return any(code not in (None, 0) for code in codes)


class Observation(Record, frozen=True, kw_only=True):
    """What the agent saw after a step."""

    results: tuple[ObservationResult, ...]


class StepMetrics(Record, frozen=True, kw_only=True):
    """Cost of the model call behind a step. Tokens; US dollars."""

    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    cached_tokens: int | None = None
    """Of the prompt's."""
    reasoning_tokens: int | None = None
    """Of the completion's; not a field of ATIF, which takes it under ``extra``."""
    cost_usd: float | None = None
    prompt_token_ids: tuple[int, ...] = ()
    completion_token_ids: tuple[int, ...] = ()
    logprobs: tuple[float, ...] = ()
    """Of the completion's tokens."""
    extra: Mapping[str, Json] = {}


class Step(Record, frozen=True, kw_only=True):
    """One step: something said to the agent, or one turn of it."""

    step_id: int = 0
    """From 1, in order; 0: not numbered yet."""
    source: StepSource
    message: Json = msgspec.field(default_factory=str)
    """A text, or a list of content parts. Always written, also where it is empty."""
    timestamp: str | None = None
    """ISO 8601."""
    model_name: str | None = None
    reasoning_effort: Json = None
    reasoning_content: str | None = None
    tool_calls: tuple[ToolCall, ...] = ()
    observation: Observation | None = None
    metrics: StepMetrics | None = None
    is_copied_context: bool | None = None
    """Repeated from an earlier trajectory, after a summary say."""
    llm_call_count: int | None = None
    """Model calls behind the step; 0: none, the agent acted by rule."""
    extra: Mapping[str, Json] = {}

    @property
    def is_turn(self) -> bool:
        """Whether a model was asked for it."""
        asked = self.source is StepSource.AGENT and self.llm_call_count != 0
        return asked and not self.is_copied_context


def numbered(steps: Sequence[Step]) -> tuple[Step, ...]:
    """The steps with their numbers, from 1."""
    return tuple(
        step if step.step_id == number else msgspec.structs.replace(step, step_id=number)
        for number, step in enumerate(steps, 1)
    )


def steps_from(trajectory: Json) -> tuple[Step, ...]:
    """The steps of a trajectory that another program wrote: ATIF documents or bare steps. What is
    not ATIF is kept under ``extra`` of a step; nothing raises."""
    return numbered(tuple(_read(trajectory)))


def _read(trajectory: Json) -> Iterator[Step]:
    if isinstance(trajectory, dict):
        trajectory = [trajectory]
    for entry in trajectory if isinstance(trajectory, list | tuple) else ():
        if not isinstance(entry, dict):
            yield Step(source=StepSource.SYSTEM, extra={"value": entry})
        elif isinstance(entry.get("steps"), list):
            yield from _read(entry["steps"])
        else:
            yield _step(entry)


def _step(entry: dict[str, Json]) -> Step:
    try:
        step = msgspec.convert(entry, Step, strict=False)
    except (msgspec.ValidationError, ValueError, RecursionError):
        message = entry.get("message", entry.get("content"))
        return Step(source=_source(entry), message=message, extra=entry)
    unknown = {key: value for key, value in entry.items() if key not in Step.__struct_fields__}
    return msgspec.structs.replace(step, extra={**step.extra, **unknown}) if unknown else step


def _source(entry: dict[str, Json]) -> StepSource:
    """Who speaks in an entry of another form, by its ``source`` or its chat ``role``."""
    source = entry.get("source") or entry.get("role")
    if source in ("agent", "assistant"):
        return StepSource.AGENT
    return StepSource.USER if source == "user" else StepSource.SYSTEM
