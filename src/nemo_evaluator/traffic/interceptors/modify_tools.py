"""`modify_tools`: takes properties out of the parameter schemas of all tools, or puts some in.

Reads the tools of chat completions (``tools[*].function``) and of responses (flat). A tool without
``parameters.properties`` is left alone.
"""

from __future__ import annotations

from typing import Any

from pydantic import Field, model_validator

from ...config.base import ConfigRecord
from ..dialects.contract import as_dict
from ..types import Interceptor, ModelRequest


class ModifyTools(Interceptor):
    """First strips, then adds."""

    class Options(ConfigRecord):
        """At least one of the two."""

        strip_properties: list[str] = Field(default_factory=list)
        """Names of properties to remove, from ``required`` too."""
        add_properties: dict[str, dict[str, Any]] = Field(default_factory=dict)
        """Property name → JSON schema, added where a tool has none of that name; ``required`` stays
        as it is."""

        @model_validator(mode="after")
        def _does_something(self) -> ModifyTools.Options:
            if not self.strip_properties and not self.add_properties:
                raise ValueError("needs strip_properties or add_properties")
            return self

    def __init__(self, options: Options) -> None:
        self._strip = frozenset(options.strip_properties)
        self._add = options.add_properties

    def on_request(self, request: ModelRequest) -> None:
        """Change the tools."""
        tools = request.body.get("tools")
        if isinstance(tools, list) and tools:
            request.body["tools"] = [self._changed_tool(tool) for tool in tools]

    def _changed_tool(self, tool: Any) -> Any:
        function = as_dict(tool).get("function")
        if isinstance(function, dict):
            changed = self._changed(function)
            return tool if changed is function else {**tool, "function": changed}
        return self._changed(tool) if isinstance(tool, dict) else tool

    def _changed(self, function: dict[str, Any]) -> dict[str, Any]:
        parameters = as_dict(function.get("parameters"))
        properties = parameters.get("properties")
        if not isinstance(properties, dict):
            return function
        kept = {name: schema for name, schema in properties.items() if name not in self._strip}
        added = {name: schema for name, schema in self._add.items() if name not in kept}
        if not added and len(kept) == len(properties):
            return function
        changed = {**parameters, "properties": {**kept, **added}}
        required = parameters.get("required")
        if isinstance(required, list):
            changed["required"] = [name for name in required if name not in self._strip]
        return {**function, "parameters": changed}
