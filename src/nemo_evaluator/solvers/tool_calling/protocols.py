"""How a model is told of tools, calls them, and is told what came of it: by the tool calls of the
chat API, or in the text itself for models that have none (`text_protocol`).
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import msgspec

from ...types import Generation, Json, Message
from .contract import Tool, ToolResult
from .toolbox import Call

SHOWN_CHARS = 200
CUT_OFF = "the reply was cut off by the limit of tokens, so the call was not made"


class ToolProtocol(Protocol):
    """One way to speak of tools."""

    name: str

    def params(self, tools: Sequence[Tool], *, parallel: bool) -> dict[str, Json]:
        """Parameters of the request."""

    def system(self, system: str | None, tools: Sequence[Tool]) -> str | None:
        """The system prompt."""

    def read(self, generation: Generation, ids: Ids) -> tuple[str, list[Call]]:
        """What the model said besides its calls, and the calls."""

    def said(self, generation: Generation, calls: Sequence[Call]) -> Message:
        """The model's turn as it stands in the conversation."""

    def told(self, calls: Sequence[Call], results: Sequence[ToolResult]) -> list[Message]:
        """The results as they stand in the conversation."""


class Ids:
    """Ids of calls: the model's own where they are unique."""

    def __init__(self) -> None:
        self._used: set[str] = set()

    def of(self, wanted: object = None) -> str:
        """An id that no other call of the rollout has."""
        known = isinstance(wanted, str) and bool(wanted) and wanted not in self._used
        numbers = (f"call_{n}" for n in itertools.count(len(self._used) + 1))
        found = str(wanted) if known else next(id_ for id_ in numbers if id_ not in self._used)
        self._used.add(found)
        return found


class Native:
    """The tool calls of the chat API."""

    name = "native"

    def params(self, tools: Sequence[Tool], *, parallel: bool) -> dict[str, Json]:
        """See `ToolProtocol.params`."""
        found: dict[str, Json] = {"tools": [_definition(tool) for tool in tools]}
        return found if parallel else {**found, "parallel_tool_calls": False}

    def system(self, system: str | None, tools: Sequence[Tool]) -> str | None:
        """See `ToolProtocol.system`."""
        return system

    def read(self, generation: Generation, ids: Ids) -> tuple[str, list[Call]]:
        """See `ToolProtocol.read`."""
        calls = [_call(raw, ids, generation.truncated) for raw in generation.tool_calls]
        return generation.text, calls

    def said(self, generation: Generation, calls: Sequence[Call]) -> Message:
        """See `ToolProtocol.said`. What a server adds to a call of its own goes back to it."""
        message: Message = {"role": "assistant", "content": generation.text or None}
        if calls:
            message["tool_calls"] = [
                {**raw, "id": call.id, "type": "function", "function": _function(raw, call)}
                for raw, call in zip(generation.tool_calls, calls, strict=True)
            ]
        return message

    def told(self, calls: Sequence[Call], results: Sequence[ToolResult]) -> list[Message]:
        """See `ToolProtocol.told`."""
        messages: list[Message] = [
            {"role": "tool", "tool_call_id": call.id, "content": result.text}
            for call, result in zip(calls, results, strict=True)
        ]
        return [*messages, *pictured(calls, results)]


def pictured(calls: Sequence[Call], results: Sequence[ToolResult]) -> list[Message]:
    """The images of results as a message of the user's: results of tools hold texts only."""
    parts: list[dict[str, Any]] = []
    for call, result in zip(calls, results, strict=True):
        if result.pictures:
            parts.append({"type": "text", "text": f"Images that {call.name} ({call.id}) gave:"})
        for picture in result.pictures:
            url = f"data:{picture.media_type};base64,{picture.data}"
            parts.append({"type": "image_url", "image_url": {"url": url}})
    return [{"role": "user", "content": parts}] if parts else []


def arguments_of(given: object, *, cut_off: bool = False) -> tuple[dict[str, Json], str | None]:
    """The arguments of a call, and why they cannot be read, if so. Some models write the text of
    an object where the object belongs."""
    shown = repr(given)[:SHOWN_CHARS]
    for _ in range(2):
        if isinstance(given, str):
            try:
                given = _lenient(given) if given.strip() else {}
            except ValueError as error:
                return {}, CUT_OFF if cut_off else f"the arguments are no JSON ({error}): {shown}"
    if given is None:
        given = {}
    if not isinstance(given, dict):
        return {}, f"the arguments are no JSON object: {shown}"
    try:
        msgspec.json.encode(given)
    except (OverflowError, RecursionError, ValueError, TypeError) as error:
        return {}, f"the arguments cannot be taken ({error}): {shown}"
    return given, None


def _lenient(text: str) -> object:
    """JSON, with line breaks in texts as some models write them, and a replacement for halves of
    characters. ValueError otherwise."""
    try:
        found = json.loads(text, strict=False)
        whole = json.dumps(found, ensure_ascii=False).encode(errors="replace").decode()
        return json.loads(whole)
    except RecursionError:
        raise ValueError("too deep") from None


def _is_object(text: str) -> bool:
    """Whether any server reads a text as a JSON object."""
    try:
        return isinstance(msgspec.json.decode(text), dict)
    except (msgspec.DecodeError, RecursionError, UnicodeError):
        return False


def _definition(tool: Tool) -> dict[str, Json]:
    return {
        "type": "function",
        "function": {
            "name": tool.name,
            "description": tool.description,
            "parameters": dict(tool.parameters),
        },
    }


def _call(raw: Mapping[str, Any], ids: Ids, cut_off: bool) -> Call:
    function = raw.get("function")
    if not isinstance(function, dict):
        return Call(id=ids.of(raw.get("id")), name="", problem="the call names no function")
    arguments, problem = arguments_of(function.get("arguments"), cut_off=cut_off)
    name = function.get("name")
    return Call(
        id=ids.of(raw.get("id")),
        name=name if isinstance(name, str) else "",
        arguments=arguments,
        problem=problem,
    )


def _function(raw: Mapping[str, Any], call: Call) -> dict[str, Json]:
    """The function of a call as it is sent back: servers read the arguments again."""
    own = raw.get("function")
    given = own.get("arguments") if isinstance(own, dict) else None
    if not isinstance(given, str) or not _is_object(given):
        given = msgspec.json.encode(call.arguments).decode()
    return {
        **(own if isinstance(own, dict) else {}),
        "name": call.name or "unknown",
        "arguments": given,
    }
