"""Properties of tool schemas are stripped and added; what is shared is never changed in place."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from steps import configured, sent

from nemo_evaluator.errors import ConfigError
from nemo_evaluator.traffic.interceptors.opening import open_interceptors

WHY = {"type": "string", "description": "why"}


def schema(*names: str, required: list[str] | None = None) -> dict[str, Any]:
    found: dict[str, Any] = {"type": "object", "properties": {n: {"type": "string"} for n in names}}
    return found if required is None else {**found, "required": required}


def nested(parameters: Any) -> dict[str, Any]:
    return {"type": "function", "function": {"name": "f", "parameters": parameters}}


def flat(parameters: Any) -> dict[str, Any]:
    return {"type": "function", "name": "f", "parameters": parameters}


@pytest.mark.parametrize("shape", [nested, flat])
async def test_strips_and_adds(shape: Any) -> None:
    tool = shape(schema("a", "b", required=["a", "b"]))
    original = copy.deepcopy(tool)
    config = {"strip_properties": ["b"], "add_properties": {"a": WHY, "z": WHY, "c": WHY}}
    body = (await sent("modify_tools", config, {"tools": [tool]})).body
    expected = schema("a", required=["a"])
    expected["properties"] |= {"z": WHY, "c": WHY}
    assert body["tools"] == [shape(expected)]
    parameters = body["tools"][0].get("function", body["tools"][0])["parameters"]
    assert list(parameters["properties"]) == ["a", "z", "c"]
    assert tool == original


async def test_a_stripped_property_can_be_added_anew() -> None:
    config = {"strip_properties": ["a"], "add_properties": {"a": WHY}}
    body = (await sent("modify_tools", config, {"tools": [nested(schema("a"))]})).body
    assert body["tools"][0]["function"]["parameters"]["properties"] == {"a": WHY}


@pytest.mark.parametrize(
    "tool",
    [
        nested(schema("x", required=["x"])),
        nested({"type": "object"}),
        nested(None),
        {"type": "web_search"},
        "nonsense",
    ],
)
async def test_left_alone(tool: Any) -> None:
    tools = [tool]
    body = (await sent("modify_tools", {"strip_properties": ["a"]}, {"tools": tools})).body
    assert body["tools"][0] is tool


@pytest.mark.parametrize("body", [{}, {"tools": None}, {"tools": []}])
async def test_no_tools(body: dict[str, Any]) -> None:
    assert (await sent("modify_tools", {"add_properties": {"a": WHY}}, dict(body))).body == body


def test_without_anything_to_do_it_is_refused() -> None:
    with pytest.raises(ConfigError, match="needs strip_properties or add_properties"):
        open_interceptors([configured("modify_tools")])
