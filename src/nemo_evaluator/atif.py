"""Makes steps conform to ATIF, as harbor's own model checks it, without losing anything.

Invariant: what `conforming` returns is valid, whatever it was given; what has no place in ATIF
stands under ``extra``. Nothing raises: a trajectory that breaks a rule is a warning, never a lost
rollout.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

import msgspec
from msgspec.structs import replace

from .records import Json
from .steps import (
    Observation,
    ObservationResult,
    Step,
    StepMetrics,
    StepSource,
    numbered,
)

OF_AGENTS = ("model_name", "reasoning_effort", "reasoning_content", "tool_calls", "metrics")
"""Fields that only steps of an agent may have."""
OF_CALLS = ("metrics", "reasoning_content")
"""Fields that a step without a model call may not have."""
IMAGES = ("image/jpeg", "image/png", "image/gif", "image/webp")
AUDIO = tuple(f"audio/{k}" for k in ("wav", "mpeg", "mp4", "aac", "ogg", "flac", "webm", "aiff"))
MEDIA = {"image": IMAGES, "audio": AUDIO}
Note = Callable[[str], None]
"""Is told of a rule that was broken."""


def conforming(steps: Sequence[Step], note: Note = lambda _: None) -> tuple[Step, ...]:
    """The same steps, numbered from 1, as ATIF allows them.

    >>> from nemo_evaluator.steps import ToolCall
    >>> found = []
    >>> call = ToolCall(tool_call_id="c1", function_name="bash")
    >>> [step] = conforming([Step(source=StepSource.USER, tool_calls=(call,))], found.append)
    >>> step.tool_calls, step.extra["tool_calls"][0]["function_name"], found
    ((), 'bash', ["a step of 'user' has 'tool_calls', which is for steps of agents"])
    """
    return numbered([_conforming(step, note) for step in _reunited(steps)])


def violations(steps: Sequence[Step]) -> tuple[str, ...]:
    """The rules of ATIF that steps break, each once."""
    found: dict[str, None] = {}
    conforming(steps, lambda text: found.setdefault(text))
    return tuple(found)


def _reunited(steps: Sequence[Step]) -> list[Step]:
    """Results of tool calls stand in the step of their call: those that an agent told of later are
    moved there."""
    moved, kept = list(steps), list(steps)
    asked: dict[str | None, int] = {}
    for at, step in enumerate(steps):
        if step.source is StepSource.AGENT:
            asked |= {call.tool_call_id: at for call in step.tool_calls}
        for result in step.observation.results if step.observation else ():
            if (home := asked.get(result.source_call_id, at)) < at:
                moved[home] = _with_result(moved[home], result)
                kept[at] = moved[at] = _without_result(kept[at], result)
    return [step for step, before in zip(moved, steps, strict=True) if _says(step, before)]


def _with_result(step: Step, result: ObservationResult) -> Step:
    results = step.observation.results if step.observation else ()
    return replace(step, observation=Observation(results=(*results, result)))


def _without_result(step: Step, result: ObservationResult) -> Step:
    results = step.observation.results if step.observation else ()
    left = tuple(one for one in results if one is not result)
    return replace(step, observation=Observation(results=left) if left else None)


def _says(step: Step, before: Step) -> bool:
    """Whether anything is left of a step whose results were moved."""
    contents = (step.message, step.observation, step.tool_calls, step.extra, step.metrics)
    return step is before or any(contents)


def _conforming(step: Step, note: Note) -> Step:
    extra = dict(step.extra)
    changed: dict[str, Any] = {}
    if step.source is not StepSource.AGENT:
        for name in OF_AGENTS:
            if value := getattr(step, name):
                note(f"a step of {step.source.value!r} has {name!r}, which is for steps of agents")
                extra[name] = _as_json(value)
            changed[name] = () if name == "tool_calls" else None
    if not _is_time(step.timestamp):
        note("a timestamp is not ISO 8601")
        extra["timestamp"], changed["timestamp"] = step.timestamp, None
    if _counts_wrongly(step):
        note("a step has an impossible llm_call_count")
        extra["llm_call_count"], changed["llm_call_count"] = step.llm_call_count, None
    if not isinstance(step.reasoning_effort, str | int | float | None):
        note("a reasoning_effort is neither a text nor a number")
        extra["reasoning_effort"], changed["reasoning_effort"] = step.reasoning_effort, None
    changed["message"] = _content(step.message, note)
    if step.metrics is not None and "metrics" not in changed:
        changed["metrics"] = _metrics(step.metrics)
    if step.observation is not None:
        known = {call.tool_call_id for call in step.tool_calls if "tool_calls" not in changed}
        results = tuple(_result(result, known, note) for result in step.observation.results)
        changed["observation"] = Observation(results=results)
    return replace(step, **changed, extra=extra)


def _counts_wrongly(step: Step) -> bool:
    calls = step.llm_call_count
    if calls is None or calls > 0:
        return False
    spoke = step.source is StepSource.AGENT and any(
        getattr(step, name) is not None for name in OF_CALLS
    )
    return calls < 0 or spoke


def _metrics(metrics: StepMetrics) -> StepMetrics:
    if metrics.reasoning_tokens is None:
        return metrics
    extra = {**metrics.extra, "reasoning_tokens": metrics.reasoning_tokens}
    return replace(metrics, reasoning_tokens=None, extra=extra)


def _result(result: ObservationResult, known: set[str], note: Note) -> ObservationResult:
    changed: dict[str, Any] = {}
    if result.content is not None:
        changed["content"] = _content(result.content, note)
    source = result.source_call_id
    if source is not None and source not in known:
        note("a result answers a tool call that is not there")
        changed["source_call_id"] = None
        changed["extra"] = {**result.extra, "source_call_id": source}
    if not _are_references(result.subagent_trajectory_ref):
        note("a subagent_trajectory_ref names no trajectory")
        before = changed.get("extra", result.extra)
        changed["extra"] = {**before, "subagent_trajectory_ref": result.subagent_trajectory_ref}
        changed["subagent_trajectory_ref"] = None
    return replace(result, **changed) if changed else result


def _are_references(found: Json) -> bool:
    if found is None:
        return True
    named = ("trajectory_id", "trajectory_path")
    fields = {*named, "session_id", "extra"}
    return isinstance(found, list | tuple) and all(
        isinstance(one, Mapping)
        and fields.issuperset(one)
        and any(isinstance(one.get(name), str) for name in named)
        for one in found
    )


def _content(content: Json, note: Note) -> Json:
    """A text, or a list of parts: what is neither becomes its JSON text."""
    if content is None or isinstance(content, str):
        return content or ""
    if not isinstance(content, list | tuple):
        note("a message is neither a text nor a list of parts")
        return _text(content)
    return list(_parts(content, note))


def _parts(content: Sequence[Json], note: Note) -> Iterator[Json]:
    for part in content:
        if _is_part(part):
            yield part
        elif isinstance(part, str):
            yield {"type": "text", "text": part}
        elif isinstance(part, Mapping) and (image := _image(part)):
            yield image
        elif isinstance(part, Mapping) and isinstance(part.get("text"), str):
            yield {"type": "text", "text": part["text"]}
        else:
            note("a part of a message is neither text, image nor audio")
            yield {"type": "text", "text": _text(part)}


def _is_part(part: Json) -> bool:
    if not isinstance(part, Mapping):
        return False
    kind = part.get("type")
    if kind == "text":
        return isinstance(part.get("text"), str) and set(part) == {"type", "text"}
    source = part.get("source")
    if kind not in MEDIA or set(part) != {"type", "source"} or not isinstance(source, Mapping):
        return False
    fields = {"media_type", "path", *(["duration_sec"] if kind == "audio" else [])}
    known = isinstance(source.get("path"), str) and source.get("media_type") in MEDIA[str(kind)]
    return known and fields.issuperset(source)


def _image(part: Mapping[str, Json]) -> Json:
    """An image in OpenAI's form."""
    image_url = part.get("image_url")
    url = image_url.get("url") if isinstance(image_url, Mapping) else image_url
    if not isinstance(url, str):
        return None
    suffix = url.partition("?")[0].rpartition(".")[2]
    media = url[5:].partition(";")[0] if url.startswith("data:") else f"image/{suffix.lower()}"
    media = media.replace("image/jpg", "image/jpeg")
    if media not in IMAGES:
        return None
    return {"type": "image", "source": {"media_type": media, "path": url}}


def _is_time(text: str | None) -> bool:
    if text is None:
        return True
    try:
        datetime.fromisoformat(text.replace("Z", "+00:00"))
    except ValueError:
        return False
    return True


def _as_json(value: object) -> Json:
    plain: Json = msgspec.to_builtins(value)
    return plain


def _text(value: Json) -> str:
    return json.dumps(value, ensure_ascii=False, default=str)
