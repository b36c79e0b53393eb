"""YAML with line numbers: a document is plain data plus where each of its paths was written."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from ..errors import ConfigError

KeyPath = tuple[str | int, ...]
_Loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


@dataclass(slots=True)
class Document:
    """Data and, per path, ``file:line``."""

    data: Any
    marks: dict[KeyPath, str] = field(default_factory=dict)


def read_yaml(path: Path) -> Document:
    """Read one mapping. Raises ConfigError with file and line."""
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise ConfigError("there is no such file", where=str(path)) from None
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"cannot be read: {error}", where=str(path)) from None
    document = parse_yaml(text, str(path))
    if document.data is None:
        raise ConfigError("is empty", where=str(path), hint="it needs services and benchmarks")
    if not isinstance(document.data, dict):
        kind = type(document.data).__name__
        raise ConfigError(f"must be a mapping, not a {kind}", where=f"{path}:1")
    return document


def parse_yaml(text: str, name: str) -> Document:
    """Parse text. Duplicate keys are refused. Raises ConfigError with name and line."""
    try:
        loader = _Loader(text)
        try:
            node = loader.get_single_node()
            document = Document(None)
            document.data = _build(loader, node, (), document.marks, name)
        finally:
            loader.dispose()
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = f":{mark.line + 1}" if mark else ""
        problem = error.problem or error.context or "is not YAML"
        hint = "indent with spaces, not tabs" if "'\\t'" in problem else None
        raise ConfigError(problem, where=f"{name}{line}", hint=hint) from None
    except (yaml.YAMLError, ValueError) as error:
        raise ConfigError(f"is not YAML: {error}", where=name) from None
    return document


def _build(loader: Any, node: Any, path: KeyPath, marks: dict[KeyPath, str], name: str) -> Any:
    if node is None:
        return None
    marks.setdefault(path, f"{name}:{node.start_mark.line + 1}")
    if isinstance(node, yaml.MappingNode):
        loader.flatten_mapping(node) if hasattr(loader, "flatten_mapping") else None
        result: dict[Any, Any] = {}
        for key_node, value_node in node.value:
            key = loader.construct_object(key_node, deep=True)
            where = f"{name}:{key_node.start_mark.line + 1}"
            if not isinstance(key, str | int | float | bool):
                raise ConfigError(f"{key!r} cannot be a key", where=where)
            if key in result and key_node.start_mark.line >= node.start_mark.line:
                raise ConfigError(f"{key!r} stands twice", where=where, hint="remove one")
            marks[(*path, key)] = where
            result[key] = _build(loader, value_node, (*path, key), marks, name)
        return result
    if isinstance(node, yaml.SequenceNode):
        return [
            _build(loader, child, (*path, index), marks, name)
            for index, child in enumerate(node.value)
        ]
    return loader.construct_object(node, deep=True)
