"""What an agent did, in the form that the checks of PinchBench read, and as a judge is shown it.

The checks know tools by the names of several agents (``read_file``, ``execute_command``) and their
arguments as ``params``; other names for the same tools are told by those, the agent's own beside
them, so that the same work is worth the same whoever does it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import msgspec

from ...steps import Step, StepSource, ToolCall, steps_from
from ...types import Json, Problem, Solution

READS, RUNS, DRAWS = "read_file", "execute_command", "generate_image"
NAMES = {
    "read": READS,
    "readfile": READS,
    "file_read": READS,
    "view": READS,
    "cat": READS,
    "exec": RUNS,
    "bash": RUNS,
    "shell": RUNS,
    "run_command": RUNS,
    "image_generate": DRAWS,
    "image_generation": DRAWS,
}
PATHS = ("path", "file_path", "filename", "file")
SHOWN_ARGUMENTS, SHOWN_RESULT, SHOWN = 400, 800, 40_000
"""Characters that a judge is shown of a call, of its result, and in all."""


def steps_taken(problem: Problem, solution: Solution) -> Sequence[Step]:
    """The steps of a solution; of one without any, what was asked and answered."""
    steps = solution.steps or steps_from(list(solution.trajectory))
    if any(step.source is StepSource.AGENT for step in steps):
        return steps
    return (
        Step(source=StepSource.USER, message=problem.prompt),
        Step(source=StepSource.AGENT, message=solution.response),
    )


def transcript_of(steps: Sequence[Step]) -> list[dict[str, Json]]:
    """The events that checks are given."""
    return [{"type": "message", "message": message} for message in _messages(steps)]


def _messages(steps: Sequence[Step]) -> Iterator[dict[str, Json]]:
    for step in steps:
        text = [{"type": "text", "text": words}] if (words := text_of(step.message)) else []
        if step.source is not StepSource.AGENT:
            yield {"role": "user", "content": text}
            continue
        calls = [_call(call) for call in step.tool_calls]
        if text or calls:
            yield {"role": "assistant", "content": [*text, *calls]}
        names = {call.tool_call_id: call.function_name for call in step.tool_calls}
        for result in step.observation.results if step.observation else ():
            yield {
                "role": "toolResult",
                "toolCallId": result.source_call_id,
                "toolName": names.get(result.source_call_id or "", ""),
                "content": [{"type": "text", "text": text_of(result.content)}],
                "isError": bool(result.extra.get("is_error")),
            }


def _call(call: ToolCall) -> dict[str, Json]:
    arguments = dict(call.arguments)
    name = _known(call.function_name, arguments)
    if name == READS and "files" not in arguments:
        arguments["files"] = [arguments[key] for key in PATHS if arguments.get(key)]
    return {
        "type": "toolCall",
        "id": call.tool_call_id,
        "name": name,
        "tool": call.function_name,
        "arguments": arguments,
        "params": arguments,
    }


def _known(name: str, arguments: Mapping[str, Json]) -> str:
    """The name by which checks know a tool."""
    if name == "str_replace_editor" and arguments.get("command") == "view":
        return READS
    return NAMES.get(name.lower(), name)


def told(steps: Sequence[Step]) -> str:
    """The steps for a reader, each in short; the middle is left out of a long story."""
    text = "\n".join(_lines(steps))
    if len(text) <= SHOWN:
        return text
    half = SHOWN // 2
    return f"{text[:half]}\n[{len(text) - SHOWN} characters left out]\n{text[-half:]}"


def _lines(steps: Sequence[Step]) -> Iterator[str]:
    for step in steps:
        who = "assistant" if step.source is StepSource.AGENT else "user"
        if words := text_of(step.message):
            yield f"{who}: {words}"
        for call in step.tool_calls:
            given = msgspec.json.encode(call.arguments).decode()
            yield f"assistant calls {call.function_name}: {_short(given, SHOWN_ARGUMENTS)}"
        for result in step.observation.results if step.observation else ():
            yield f"result: {_short(text_of(result.content), SHOWN_RESULT)}"


def _short(text: str, most: int) -> str:
    return text if len(text) <= most else f"{text[:most]} [{len(text) - most} more characters]"


def text_of(content: Json) -> str:
    """The text of a message, or of a result."""
    if isinstance(content, str):
        return content
    if isinstance(content, list | tuple):
        return "\n".join(
            str(part.get("text") or "") if isinstance(part, dict) else str(part) for part in content
        )
    return "" if content is None else str(content)
