"""Answers in the form of a JSON schema, as endpoints with structured output give them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from random import Random
from typing import Any

from .prose import filler

MOST_DEPTH = 8


def schema_of(body: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """The schema a request asks for: ``response_format`` of chat, ``text.format`` of responses."""
    wanted = body.get("response_format")
    if wanted is None and isinstance(body.get("text"), dict):
        wanted = body["text"].get("format")
    if not isinstance(wanted, dict) or wanted.get("type") != "json_schema":
        return None
    inner = wanted.get("json_schema", wanted)
    schema = inner.get("schema") if isinstance(inner, dict) else None
    return schema if isinstance(schema, dict) else None


def structured(schema: Mapping[str, object], key: bytes) -> str:
    """A document that fits the schema, the same for the same key."""
    return json.dumps(_instance(schema, Random(key), 0), ensure_ascii=False)


def _instance(schema: Mapping[str, Any], rng: Random, depth: int) -> Any:
    if "const" in schema:
        return schema["const"]
    if choices := schema.get("enum"):
        return rng.choice(choices)
    kind = schema.get("type")
    if isinstance(kind, list):
        kind = kind[0] if kind else None
    if kind in ("number", "integer"):
        low = int(schema.get("minimum", 0))
        return rng.randint(low, max(low, int(schema.get("maximum", low + 10))))
    if kind == "boolean":
        return rng.random() < 0.5
    if kind == "string":
        return filler(rng.getrandbits(64), 60)
    if kind == "array":
        items = schema.get("items")
        if isinstance(items, dict) and depth < MOST_DEPTH:
            return [_instance(items, rng, depth + 1)]
        return []
    if kind == "object" and depth < MOST_DEPTH:
        return {
            name: _instance(child, rng, depth + 1)
            for name, child in schema.get("properties", {}).items()
            if isinstance(child, dict)
        }
    return None
