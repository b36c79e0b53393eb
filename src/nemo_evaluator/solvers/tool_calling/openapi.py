"""Tools in an OpenAPI document: one for each operation that is a POST. Pure functions.

Invariant: whatever the document holds (references that lead back to themselves, or nowhere), a
schema comes out, of bounded size.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from ...traffic.dialects.contract import as_dict, dicts
from ...types import Json, Record
from .contract import Tool, empty_schema

PROTOCOL = frozenset(
    (
        *("/", "/run", "/verify", "/seed_session", "/aggregate_metrics", "/health", "/mcp"),
        *("/openapi.json", "/docs", "/redoc", "/seed", "/seed_batch", "/verify_batch"),
        *("/dataset_size", "/server_instances", "/v1/responses", "/v1/chat/completions"),
    )
)
"""What gyms answer that is no tool."""
BODY = "body"
"""The argument that stands for a body that is a list or a single value."""
MOST_NODES = 20_000
PLACE = re.compile(r"\{(\w+)\}")


class Operation(Record, frozen=True, kw_only=True):
    """A tool, and how it is called."""

    tool: Tool
    path: str
    in_path: tuple[str, ...] = ()
    in_query: tuple[str, ...] = ()
    whole_body: bool = False
    """The body is the argument `BODY`."""


def operations(document: Mapping[str, Any]) -> Iterator[Operation]:
    """The tools of a document, by their paths: ``/files/read`` is ``files_read``."""
    paths = document.get("paths")
    for path, methods in paths.items() if isinstance(paths, dict) else ():
        about = methods.get("post") if isinstance(methods, dict) else None
        if isinstance(about, dict) and path.rstrip("/") not in PROTOCOL and path != "/":
            yield _operation(path, about, methods, document)


def _operation(
    path: str, about: Mapping[str, Any], shared: Mapping[str, Any], document: Mapping[str, Any]
) -> Operation:
    resolver = _Resolver(document)
    body, whole = _body(about, resolver)
    properties = dict(as_dict(body.get("properties")))
    required = _texts(body.get("required"))
    places: dict[str, list[str]] = {"path": [], "query": []}
    for given in (*dicts(shared.get("parameters")), *dicts(about.get("parameters"))):
        parameter = resolver.of(given)
        name, place = parameter.get("name"), parameter.get("in")
        if isinstance(place, str) and place in places and isinstance(name, str):
            places[place].append(name)
            properties[name] = as_dict(parameter.get("schema"))
            if place == "path" or parameter.get("required"):
                required.append(name)
    schema = {**body, "type": "object", "properties": properties}
    schema.pop("required", None)
    schema |= {"required": required} if required else {}
    if definitions := resolver.definitions():
        schema["$defs"] = definitions
    name = PLACE.sub(r"\1", path).strip("/").replace("/", "_")
    description = about.get("description") or about.get("summary") or name
    return Operation(
        tool=Tool(name=name, description=str(description), parameters=schema),
        path=path,
        in_path=tuple(places["path"]),
        in_query=tuple(places["query"]),
        whole_body=whole,
    )


def _body(about: Mapping[str, Any], resolver: _Resolver) -> tuple[dict[str, Any], bool]:
    """The schema of the body as one of an object, and whether the body itself is another value."""
    content = as_dict(resolver.of(about.get("requestBody")).get("content"))
    schema = as_dict(content.get("application/json")).get("schema")
    if not isinstance(schema, dict):
        return empty_schema(), False
    if schema.get("type", "object") == "object":
        return schema, False
    return {"properties": {BODY: schema}, "required": [BODY]}, True


def _texts(value: object) -> list[str]:
    return [item for item in value if isinstance(item, str)] if isinstance(value, list) else []


class _Resolver:
    """Puts what references refer to in their place."""

    def __init__(self, document: Mapping[str, Any]) -> None:
        self._document, self._nodes = document, 0
        self._recursive: dict[str, str] = {}

    def of(self, node: object) -> dict[str, Any]:
        """A schema without references, but for those that lead back to themselves."""
        found = self._walk(node, ())
        return found if isinstance(found, dict) else {}

    def definitions(self) -> dict[str, Json]:
        """What the references that are left refer to."""
        found: dict[str, Json] = {}
        while missing := {r: n for r, n in self._recursive.items() if n not in found}:
            for reference, name in missing.items():
                found[name] = self._walk(self._target(reference), (reference,))
        return found

    def _walk(self, node: Any, above: tuple[str, ...]) -> Any:
        self._nodes += 1
        if self._nodes > MOST_NODES:
            return {}
        if isinstance(node, list):
            return [self._walk(item, above) for item in node]
        if not isinstance(node, dict):
            return node
        reference = node.get("$ref")
        if isinstance(reference, str):
            beside = {name: value for name, value in node.items() if name != "$ref"}
            return {**self._referred(reference, above), **beside}
        return {
            name: self._walk(value, above)
            for name, value in node.items()
            if not (name == "title" and isinstance(value, str))
        }

    def _referred(self, reference: str, above: tuple[str, ...]) -> dict[str, Any]:
        if reference in above:
            name = re.sub(r"\W+", "_", reference.removeprefix("#/components/schemas/"))
            self._recursive[reference] = name
            return {"$ref": f"#/$defs/{name}"}
        found = self._walk(self._target(reference), (*above, reference))
        return found if isinstance(found, dict) else {}

    def _target(self, reference: str) -> Any:
        node: Any = self._document
        for part in reference.removeprefix("#/").split("/") if reference[:2] == "#/" else ["?"]:
            name = part.replace("~1", "/").replace("~0", "~")
            node = node.get(name) if isinstance(node, dict) else None
        return {} if node is None else node
