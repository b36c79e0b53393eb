"""A Messages request as a chat completions request.

What changes the answer is translated or refused; what does not (caching, tiers, betas, fields of
newer clients) is dropped.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

from ....records import Json
from ..contract import as_dict, as_int, as_str
from .blocks import plain_text, read_blocks
from .messages import read_messages

LOW_BUDGET, MEDIUM_BUDGET = 4096, 16384
"""The largest thinking budgets, in tokens, that are a low and a medium effort. Claude Code's
"think" (4,000), "megathink" (10,000) and "ultrathink" (31,999) become low, medium and high."""
EFFORTS = {"low": "low", "medium": "medium", "high": "high", "xhigh": "high", "max": "high"}
"""``output_config.effort`` in the three words that every server knows."""
LONGEST_USER = 64
"""Characters of ``user`` that OpenAI takes. Claude Code's ids are longer."""


def to_chat(body: Mapping[str, Json]) -> dict[str, Json]:
    """The chat completions request of a Messages request.

    ``reasoning_effort`` is ``output_config.effort`` or, without one, ``thinking.budget_tokens``:
    up to 4,096 low, up to 16,384 medium, above it high. Adaptive thinking leaves the effort to the
    server, and so does disabled thinking (no word for it is understood everywhere). ``stream`` is
    passed on; the transport adds its ``stream_options``.

    Raises ValueError, one sentence that names the field, for what is malformed or cannot be
    carried: server tools, files, documents other than plain text.
    """
    chat: dict[str, Any] = {}
    if model := as_str(body.get("model")):
        chat["model"] = model
    system = body.get("system")
    leading = plain_text(read_blocks(system, "system"), "system") if system is not None else ""
    chat["messages"] = read_messages(body.get("messages"))
    if leading:
        chat["messages"].insert(0, {"role": "system", "content": leading})
    max_tokens = as_int(body.get("max_tokens"))
    if max_tokens is None or max_tokens < 1:
        raise ValueError("max_tokens: a whole number of at least 1 is required")
    chat["max_tokens"] = max_tokens
    return chat | _sampling(body) | _tools(body) | _reasoning(body) | _output_format(body)


def _sampling(body: Mapping[str, Json]) -> dict[str, Json]:
    chat: dict[str, Json] = {}
    for name in ("temperature", "top_p", "top_k"):
        value = body.get(name)
        if value is None:
            continue
        number = as_int(value) if name == "top_k" else _number(value)
        if number is None:
            raise ValueError(f"{name}: must be a {'whole ' if name == 'top_k' else ''}number")
        chat[name] = number
    stops = body.get("stop_sequences")
    if stops is not None:
        if not isinstance(stops, list) or not all(as_str(stop) for stop in stops):
            raise ValueError("stop_sequences: must be a list of texts that are not empty")
        if stops:
            chat["stop"] = stops
    stream = body.get("stream")
    if stream is not None:
        if not isinstance(stream, bool):
            raise ValueError("stream: must be true or false")
        chat["stream"] = stream
    if user := as_str(as_dict(body.get("metadata")).get("user_id")):
        chat["user"] = user if len(user) <= LONGEST_USER else _digest(user)
    return chat


def _number(value: Json) -> float | None:
    return value if isinstance(value, int | float) and not isinstance(value, bool) else None


def _digest(user: str) -> str:
    return hashlib.sha256(user.encode("utf-8", "replace")).hexdigest()


def _tools(body: Mapping[str, Json]) -> dict[str, Json]:
    tools = body.get("tools")
    if tools is not None and not isinstance(tools, list):
        raise ValueError("tools: must be a list")
    functions = [_tool(tool, f"tools.{position}") for position, tool in enumerate(tools or ())]
    choice = _tool_choice(body.get("tool_choice"), {tool["name"] for tool in functions})
    if not functions:
        return {}
    return {"tools": [{"type": "function", "function": tool} for tool in functions], **choice}


def _tool(tool: Any, where: str) -> dict[str, Any]:
    if not isinstance(tool, dict):
        raise ValueError(f"{where}: must be an object")
    if tool.get("type") not in (None, "custom"):
        raise ValueError(f"{where}.type: the server tool {tool['type']!r} is not supported")
    if not as_str(tool.get("name")):
        raise ValueError(f"{where}.name: a text is required")
    if not isinstance(tool.get("input_schema"), dict):
        raise ValueError(f"{where}.input_schema: a JSON schema is required")
    function = {"name": tool["name"]}
    if description := as_str(tool.get("description")):
        function["description"] = description
    function["parameters"] = tool["input_schema"]
    if isinstance(tool.get("strict"), bool):
        function["strict"] = tool["strict"]
    return function


def _tool_choice(choice: Json, names: set[str]) -> dict[str, Json]:
    if choice is None:
        return {}
    choice = as_dict(choice)
    kind = choice.get("type")
    if kind in ("any", "tool") and not names:
        raise ValueError(f"tool_choice: {kind!r} needs tools")
    chat: dict[str, Json]
    if kind in ("auto", "none"):
        chat = {"tool_choice": kind}
    elif kind == "any":
        chat = {"tool_choice": "required"}
    elif kind == "tool":
        name = choice.get("name")
        if name not in names:
            raise ValueError(f"tool_choice.name: no tool is called {name!r}")
        chat = {"tool_choice": {"type": "function", "function": {"name": name}}}
    else:
        raise ValueError("tool_choice.type: must be one of auto, any, tool, none")
    if choice.get("disable_parallel_tool_use") is True:
        chat["parallel_tool_calls"] = False
    return chat


def _reasoning(body: Mapping[str, Json]) -> dict[str, Json]:
    effort = as_dict(body.get("output_config")).get("effort")
    if effort is not None and effort not in EFFORTS:
        raise ValueError(f"output_config.effort: must be one of {', '.join(EFFORTS)}")
    budget_effort = _budget_effort(body.get("thinking"))
    if as_dict(body.get("thinking")).get("type") == "disabled":
        return {}
    chosen = EFFORTS[effort] if effort is not None else budget_effort
    return {} if chosen is None else {"reasoning_effort": chosen}


def _budget_effort(thinking: Any) -> str | None:
    if thinking is None:
        return None
    kind = as_dict(thinking).get("type")
    if kind in ("disabled", "adaptive", "between_tools"):
        return None
    if kind != "enabled":
        raise ValueError("thinking.type: must be one of enabled, adaptive, between_tools, disabled")
    budget = as_int(thinking.get("budget_tokens"))
    if budget is None or budget < 1:
        raise ValueError("thinking.budget_tokens: a whole number of at least 1 is required")
    if budget <= LOW_BUDGET:
        return "low"
    return "medium" if budget <= MEDIUM_BUDGET else "high"


def _output_format(body: Mapping[str, Json]) -> dict[str, Json]:
    # Top-level ``output_format`` is how the beta of structured outputs spelled it.
    wanted = as_dict(body.get("output_config")).get("format") or body.get("output_format")
    if wanted is None:
        return {}
    wanted = as_dict(wanted)
    if wanted.get("type") != "json_schema" or not isinstance(wanted.get("schema"), dict):
        raise ValueError("output_config.format: must be of type json_schema with a schema")
    schema = {"name": "output", "schema": wanted["schema"], "strict": True}
    return {"response_format": {"type": "json_schema", "json_schema": schema}}
