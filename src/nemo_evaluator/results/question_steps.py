"""What a model was told at first, as steps: each message in its role, images included.

Messages that stand in the mouth of the model or of its tools are copied context: no call of a model
is behind them. Images of a problem are named by their place; those that came as bytes are not kept.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import msgspec

from ..steps import Observation, ObservationResult, Step, StepSource, ToolCall
from ..types import Json, Message
from .journal import AskedImage, ProblemSeeded

SYSTEM_ROLES = ("system", "developer")
SOURCES = {"user": StepSource.USER, "assistant": StepSource.AGENT}
TOOLS = ("tool", "function")


def question_steps(problem: ProblemSeeded, system: str | None) -> tuple[Step, ...]:
    """The steps before the answer. ``system``: the solver's, in place of the benchmark's own."""
    system = problem.system if system is None else system
    messages = list(problem.messages) or [{"role": "user", "content": problem.prompt}]
    if system is not None:
        leads = messages[0].get("role") in SYSTEM_ROLES
        messages = [{"role": "system", "content": system}, *(messages[1:] if leads else messages)]
    if problem.images:
        messages = _with_images(messages, problem.images, problem.prompt)
    return tuple(map(_step, messages))


def _with_images(
    messages: Sequence[Message], images: Sequence[AskedImage], prompt: str
) -> list[Message]:
    """The images put before the text of the last message of the user."""
    found = list(messages)
    if not any(message.get("role") == "user" for message in found):
        found.append({"role": "user", "content": prompt})
    last = max(at for at, message in enumerate(found) if message.get("role") == "user")
    told = found[last].get("content")
    text = told if isinstance(told, list) else [{"type": "text", "text": told or ""}]
    found[last] = {**found[last], "content": [*map(_part, images), *text]}
    return found


def _part(image: AskedImage) -> Json:
    if image.place is not None and image.media_type is not None:
        return {
            "type": "image",
            "source": {"media_type": image.media_type, "path": image.place},
        }
    what = image.place or f"{image.media_type or 'of unknown type'}, {image.size or 0:,} bytes"
    return {"type": "text", "text": f"[image: {what}]"}


def _step(message: Message) -> Step:
    role, content = message.get("role"), message.get("content")
    source = SOURCES.get(str(role), StepSource.SYSTEM)
    if role in TOOLS:
        call = message.get("tool_call_id") or message.get("name")
        result = ObservationResult(
            source_call_id=call if isinstance(call, str) else None, content=content
        )
        return Step(source=source, observation=Observation(results=(result,)))
    if source is not StepSource.AGENT:
        return Step(source=source, message=content)
    calls = message.get("tool_calls")
    reasoning = message.get("reasoning_content")
    return Step(
        source=source,
        message=content,
        reasoning_content=reasoning if isinstance(reasoning, str) else None,
        tool_calls=tuple(_calls(calls)) if isinstance(calls, list) else (),
        is_copied_context=True,
    )


def _calls(calls: Sequence[Json]) -> Iterator[ToolCall]:
    """Calls in OpenAI's form."""
    for number, call in enumerate(calls, 1):
        told: Mapping[str, Json] = call if isinstance(call, Mapping) else {}
        function = told.get("function")
        function = function if isinstance(function, Mapping) else {}
        yield ToolCall(
            tool_call_id=str(told.get("id") or f"call_{number}"),
            function_name=str(function.get("name") or "unknown"),
            arguments=_arguments(function.get("arguments")),
        )


def _arguments(told: Json) -> Mapping[str, Json]:
    if isinstance(told, str):
        try:
            told = msgspec.json.decode(told)
        except (msgspec.DecodeError, RecursionError):
            return {"value": told}
    if told is None:
        return {}
    return told if isinstance(told, Mapping) else {"value": told}
