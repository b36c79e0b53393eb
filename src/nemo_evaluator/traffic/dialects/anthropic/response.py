"""A chat completion as a message of the Messages API, and the readers its stream shares."""

from __future__ import annotations

import json
from collections.abc import Mapping
from uuid import uuid4

from ....finish import FinishReason
from ....records import Json
from ...wire import decode
from ..contract import (
    as_dict,
    as_str,
    dicts,
    finish_of,
    first_choice,
    parse_usage,
    text_of,
    thinking_of,
)

STOP_REASONS = {FinishReason.LENGTH: "max_tokens", FinishReason.CONTENT_FILTER: "refusal"}
ERROR_TYPES = {
    400: "invalid_request_error",
    401: "authentication_error",
    402: "billing_error",
    403: "permission_error",
    404: "not_found_error",
    413: "request_too_large",
    429: "rate_limit_error",
    503: "overloaded_error",
    504: "timeout_error",
    529: "overloaded_error",
}


def from_chat(body: Mapping[str, Json], *, model: str) -> dict[str, Json]:
    """The message of a whole chat completion; ``model`` is the name the client asked for.

    Raises ValueError if there is no choice: an empty message would be an invented answer.
    """
    choice = first_choice(dict(body))
    if choice is None:
        raise ValueError("choices: the completion has none")
    message = as_dict(choice.get("message"))
    content: list[dict[str, Json]] = []
    if thinking := reasoning_of(message):
        content.append({"type": "thinking", "thinking": thinking, "signature": ""})
    if text := said_by(message):
        content.append({"type": "text", "text": text})
    calls = calls_of(message)
    content += [_tool_use(call) for call in calls]
    reason, sequence = stop_of(choice, bool(calls))
    return message_of(body, model, content, usage_of(body.get("usage"))) | {
        "stop_reason": reason,
        "stop_sequence": sequence,
    }


def error_body(status: int, message: str) -> dict[str, Json]:
    """The body of an error response, and of an ``error`` event."""
    kind = ERROR_TYPES.get(status, "api_error")
    return {"type": "error", "error": {"type": kind, "message": message}}


def message_of(
    body: Mapping[str, Json], model: str, content: list[dict[str, Json]], usage: dict[str, int]
) -> dict[str, Json]:
    """A message that has not stopped yet; its id is that of the completion, if it has one."""
    upstream = as_str(body.get("id"))
    return {
        "id": f"msg_{upstream.removeprefix('chatcmpl-') if upstream else uuid4().hex}",
        "type": "message",
        "role": "assistant",
        "model": model,
        "content": content,
        "stop_reason": None,
        "stop_sequence": None,
        "usage": usage,
    }


def usage_of(usage: Json) -> dict[str, int]:
    """Token counts. Worked example: 100 prompt tokens, 30 of them cached, are 70 input tokens
    and 30 read from the cache. What the server does not tell is 0."""
    known = parse_usage(usage)
    prompt = known.prompt_tokens or 0
    cached = min(known.cached_tokens or 0, prompt)
    return {
        "input_tokens": prompt - cached,
        "cache_creation_input_tokens": 0,
        "cache_read_input_tokens": cached,
        "output_tokens": known.completion_tokens or 0,
    }


def stop_of(choice: Mapping[str, Json], has_calls: bool) -> tuple[str, str | None]:
    """Stop reason and stop sequence.

    Calls decide between ``tool_use`` and ``end_turn``, since servers finish a forced call with
    ``stop``. Which sequence matched is told by vLLM (``stop_reason``) and SGLang
    (``matched_stop``); a number there is a token, such as the end of the turn.
    """
    reason = STOP_REASONS.get(FinishReason.of(finish_of(choice)))
    if reason is not None:
        return reason, None
    if has_calls:
        return "tool_use", None
    sequence = as_str(choice.get("stop_reason")) or as_str(choice.get("matched_stop"))
    return ("end_turn", None) if sequence is None else ("stop_sequence", sequence)


def reasoning_of(message: Mapping[str, Json]) -> str:
    """The reasoning of a message or delta."""
    return (
        as_str(message.get("reasoning_content"))
        or as_str(message.get("reasoning"))
        or thinking_of(message.get("content"))
        or ""
    )


def said_by(message: Mapping[str, Json]) -> str:
    """The text of a message or delta; a refusal stands where the content is empty."""
    return text_of(message.get("content")) + (as_str(message.get("refusal")) or "")


def calls_of(message: Mapping[str, Json]) -> list[dict[str, Json]]:
    """The tool calls of a message or delta; the older ``function_call`` is one without an id."""
    calls = list(dicts(message.get("tool_calls")))
    if not calls and isinstance(message.get("function_call"), dict):
        calls = [{"function": message["function_call"]}]
    return calls


def arguments_of(call: Mapping[str, Json]) -> str:
    """The arguments as text. Some servers send the object itself."""
    arguments = as_dict(call.get("function")).get("arguments")
    return json.dumps(arguments) if isinstance(arguments, dict) else as_str(arguments) or ""


def tool_input(arguments: str) -> dict[str, Json]:
    """The input of a tool call: ``{}`` without arguments, ``{"raw": text}`` where they are no
    JSON object."""
    if not arguments.strip():
        return {}
    given = parsed_object(arguments)
    return {"raw": arguments} if given is None else given


def parsed_object(text: str) -> dict[str, Json] | None:
    """The JSON object that a text is, if it is one that any JSON parser reads (no NaN)."""
    try:
        value = decode(text.encode("utf-8", "replace"))
        json.dumps(value, allow_nan=False)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


def new_tool_id() -> str:
    """An id for a call that came without one."""
    return f"toolu_{uuid4().hex}"


def _tool_use(call: Mapping[str, Json]) -> dict[str, Json]:
    return {
        "type": "tool_use",
        "id": as_str(call.get("id")) or new_tool_id(),
        "name": as_str(as_dict(call.get("function")).get("name")) or "",
        "input": tool_input(arguments_of(call)),
    }
