"""`payload_modifier`: removes, then renames, then adds parameters and headers of a request.

Parameters are removed and renamed at every depth, but never inside what the user wrote: contents of
messages, inputs and prompts, and JSON schemas (of tools, of structured output) stay as they are.
There ``seed`` may be the parameter of a tool, and a changed schema is another problem. (NEL 0.4
changed those too.)
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import Field, field_validator, model_validator

from ...config.base import ConfigRecord
from ..types import Interceptor, ModelRequest

MERGED = frozenset(
    (
        "chat_template_kwargs",
        "extra_body",
        "metadata",
        "mm_processor_kwargs",
        "nvext",
        "stream_options",
    )
)
"""Collections of independent options: what is added joins what is there, one level deep. Any other
mapping is one value (half of a ``response_format`` and half of another make none)."""
WRITTEN = frozenset(
    ("content", "arguments", "output", "input_schema", "json_schema", "schema", "guided_json")
)
"""What stands under these names belongs to the user, wherever it is."""
TOOLS = ("tools", "functions")
IN_TOOLS = WRITTEN | {"parameters"}
HOP_HEADERS = frozenset(("host", "content-length", "connection", "transfer-encoding"))


class PayloadModifier(Interceptor):
    """Changes the body at every depth and the headers by name."""

    class Options(ConfigRecord):
        """At least one of them."""

        params_to_remove: list[str] = Field(default_factory=list)
        """Fields to remove, at every depth."""
        params_to_rename: dict[str, str] = Field(default_factory=dict)
        """Old name → new name, at every depth. Where the new name is taken, what it holds wins."""
        params_to_add: Mapping[str, Any] = Field(default_factory=dict)
        """Top-level fields to set, null included. They replace what is there, but for mappings of
        options (``chat_template_kwargs``, ``extra_body``, ``metadata``, ``mm_processor_kwargs``,
        ``nvext``, ``stream_options``), which are merged one level deep. ``stream: true`` asks the
        endpoint for a stream."""
        headers_to_remove: list[str] = Field(default_factory=list)
        """Headers that came with the request, to remove (no matter the case). Those of the service
        itself are set in the service."""
        headers_to_rename: dict[str, str] = Field(default_factory=dict)
        """Old name → new name. Where the new name is taken, what it holds wins."""
        headers_to_add: dict[str, str] = Field(default_factory=dict)
        """Headers to set; they win over those of the request and of the service."""

        @field_validator("params_to_remove", "params_to_rename")
        @classmethod
        def _can_go(cls, names: Any) -> Any:
            if "stream_options" in names:
                raise ValueError("stream_options cannot go, it is how a stream tells its usage")
            return names

        @field_validator("headers_to_rename", "headers_to_add")
        @classmethod
        def _are_headers(cls, headers: dict[str, str], info: Any) -> dict[str, str]:
            names = headers.values() if info.field_name == "headers_to_rename" else headers
            for name in names:
                if name.lower() in HOP_HEADERS:
                    raise ValueError(f"{name!r} belongs to the connection and cannot be set")
                if not name or not name.isascii() or any(c.isspace() or c in ":," for c in name):
                    raise ValueError(f"{name!r} is not the name of a header")
            if any(ord(char) < 32 or ord(char) == 127 for v in headers.values() for char in v):
                raise ValueError("a header cannot hold a line break or control character")
            return headers

        @model_validator(mode="after")
        def _does_something(self) -> PayloadModifier.Options:
            if not any(self.__dict__.values()):
                raise ValueError(f"needs one of {', '.join(type(self).model_fields)}")
            return self

    def __init__(self, options: Options) -> None:
        self._removed = frozenset(options.params_to_remove)
        self._renamed = options.params_to_rename
        self._touched = self._removed | self._renamed.keys()
        self._added = dict(options.params_to_add)
        self._headers_removed = [name.lower() for name in options.headers_to_remove]
        renamed = options.headers_to_rename
        self._headers_renamed = {old.lower(): new.lower() for old, new in renamed.items()}
        added = options.headers_to_add
        self._headers_added = {name.lower(): value for name, value in added.items()}
        self._stream = self._added.pop("stream") if "stream" in self._added else None
        if "stream" in self._touched and self._stream is None:
            self._stream = False

    def on_request(self, request: ModelRequest) -> None:
        """Change body and headers."""
        body = request.body
        if self._touched and (changed := self._walk_body(body)) is not body:
            body.clear()
            body.update(changed)
        for name, value in self._added.items():
            there = body.get(name)
            if name in MERGED and isinstance(value, Mapping) and isinstance(there, dict):
                body[name] = {**there, **value}
            else:
                body[name] = value
        if self._stream is not None:
            request.stream = bool(self._stream)
            body.pop("stream", None)
            if not request.stream:
                body.pop("stream_options", None)
        self._change_headers(request.headers)

    def _walk_body(self, body: dict[str, object]) -> dict[str, object]:
        """The body, itself if there is nothing to change."""
        changed = {
            name: self._walk(value, IN_TOOLS if name in TOOLS else WRITTEN)
            for name, value in body.items()
            if isinstance(value, dict | list) and name not in WRITTEN
        }
        changed = {name: value for name, value in changed.items() if value is not body[name]}
        return self._renamed_keys({**body, **changed} if changed else body)

    def _walk(self, value: Any, written: frozenset[str]) -> Any:
        """The value with all that is below it changed, itself if there is nothing to change."""
        if isinstance(value, list):
            items = [self._walk(i, written) if isinstance(i, dict | list) else i for i in value]
            same = all(new is old for new, old in zip(items, value, strict=True))
            return value if same else items
        changed = {}
        for name, child in value.items():
            if isinstance(child, dict | list) and name not in written:
                new = self._walk(child, written)
                if new is not child:
                    changed[name] = new
        return self._renamed_keys({**value, **changed} if changed else value)

    def _renamed_keys(self, value: dict[str, Any]) -> dict[str, Any]:
        if self._touched.isdisjoint(value):
            return value
        kept = {name: child for name, child in value.items() if name not in self._removed}
        return _renamed(kept, self._renamed)

    def _change_headers(self, headers: dict[str, str]) -> None:
        for name in self._headers_removed:
            headers.pop(name, None)
        if not self._headers_renamed.keys().isdisjoint(headers):
            changed = _renamed(headers, self._headers_renamed)
            headers.clear()
            headers.update(changed)
        headers.update(self._headers_added)


def _renamed(values: dict[str, Any], names: dict[str, str]) -> dict[str, Any]:
    """The fields under new names, in the same order; a name that is taken is not taken over."""
    stay = values.keys() - names.keys()
    result: dict[str, Any] = {}
    for name, value in values.items():
        new = names.get(name, name)
        if name == new or (new not in stay and new not in result):
            result[new] = value
    return result
