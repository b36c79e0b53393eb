"""Simulated tool calls: one of the offered tools, with arguments that fit its schema."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ...traffic.wire import encode

PLAIN: Mapping[str, object] = {
    "string": "simulated",
    "integer": 1,
    "number": 1.5,
    "boolean": True,
    "null": None,
}
MAX_DEPTH = 8
MAX_ITEMS = 16


def tool_call(tools: Sequence[Mapping[str, Any]], number: int) -> dict[str, Any]:
    """A call in chat form. Tools may be declared in chat form or in that of responses."""
    tool = tools[number % len(tools)]
    function = tool.get("function") or tool
    arguments = example(function.get("parameters") or {})
    return {
        "id": f"call_{number:016x}",
        "type": "function",
        "function": {
            "name": str(function.get("name") or "tool"),
            "arguments": encode(arguments if isinstance(arguments, dict) else {}).decode(),
        },
    }


def example(schema: object, depth: int = 0) -> object:
    """A value that fits a JSON schema: its first constant, else the simplest of its type.

    >>> example({"properties": {"n": {"type": "integer"}, "x": {}}, "required": ["n"]})
    {'n': 1}
    """
    if not isinstance(schema, dict) or depth > MAX_DEPTH:
        return None
    for name in ("const", "default"):
        if name in schema:
            return schema[name]
    for name in ("enum", "examples"):
        if values := _list_at(schema, name):
            return values[0]
    for name in ("anyOf", "oneOf", "allOf"):
        if schemas := _list_at(schema, name):
            return example(schemas[0], depth + 1)
    kind = schema.get("type")
    kind = kind[0] if isinstance(kind, list) and kind else kind
    if kind == "array":
        least = schema.get("minItems")
        item = example(schema.get("items"), depth + 1)
        return [item] * min(least, MAX_ITEMS) if isinstance(least, int) else []
    if kind == "object" or "properties" in schema:
        properties = schema.get("properties")
        known = properties if isinstance(properties, dict) else {}
        required = [name for name in _list_at(schema, "required") if isinstance(name, str)]
        return {name: example(known.get(name), depth + 1) for name in required}
    if kind in ("integer", "number") and isinstance(schema.get("minimum"), int | float):
        return schema["minimum"]
    return PLAIN.get(str(kind))


def _list_at(schema: Mapping[str, object], name: str) -> list[object]:
    value = schema.get(name)
    return value if isinstance(value, list) else []
