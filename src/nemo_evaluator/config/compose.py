"""Composition: a configuration made of others by its `defaults` list.

Entries are merged left to right, later wins; ``_self_`` places the file's own body (last unless
said otherwise). ``group/name`` puts a fragment under ``group``; ``{_base_: ref}`` inherits a whole
configuration. A null deletes what was inherited. Files may be reached twice, but not in a circle.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from ..errors import ConfigError
from .yaml_file import Document, KeyPath, read_yaml

SELF_REFERENCE = re.compile(r"\$\{\.([\w.-]+)\}")
GROUP_KEYS = {"clusters": "cluster"}


def compose(path: Path) -> Document:
    """The document of a file with everything it builds on. Raises ConfigError."""
    search = [path.resolve().parent / "conf", Path.home() / ".config/nemo-evaluator/conf"]
    document = _compose(path, search, ())
    document.data = _resolve_references(document)
    document.data = {
        key: value for key, value in document.data.items() if not str(key).startswith("_")
    }
    document.data = prune(document.data)
    return document


def merge(base: Any, overlay: Any) -> Any:
    """Mappings are merged key by key; anything else is replaced. Inputs are left alone."""
    if isinstance(base, dict) and isinstance(overlay, dict):
        merged = dict(base)
        for key, value in overlay.items():
            merged[key] = merge(base[key], value) if key in base else value
        return merged
    return overlay


def prune(data: Any) -> Any:
    """Without the null values of mappings; lists are left alone."""
    if isinstance(data, dict):
        return {key: prune(value) for key, value in data.items() if value is not None}
    return data


def _compose(path: Path, search: list[Path], parents: tuple[Path, ...]) -> Document:
    resolved = path.resolve()
    if resolved in parents:
        chain = " → ".join(str(parent) for parent in (*parents, resolved))
        raise ConfigError(f"Circular config reference: {chain}", where=str(path))
    own = read_yaml(path)
    if "defaults" not in own.data:
        return own
    entries = own.data.pop("defaults")
    where = own.marks.get(("defaults",), str(path))
    if not isinstance(entries, list):
        raise ConfigError("defaults must be a list", where=where)
    if "_self_" not in entries:
        entries = [*entries, "_self_"]
    result = Document({})
    for entry in entries:
        layer = own if entry == "_self_" else _layer(entry, path, search, parents, where)
        result.data = merge(result.data, layer.data)
        result.marks.update(layer.marks)
    return result


def _layer(
    entry: Any, path: Path, search: list[Path], parents: tuple[Path, ...], where: str
) -> Document:
    inner = (*parents, path.resolve())
    if isinstance(entry, dict) and list(entry) == ["_base_"]:
        found = _find(str(entry["_base_"]), [path.resolve().parent, *search], where)
        return _compose(found, search, inner)
    if not isinstance(entry, str):
        raise ConfigError(f"Invalid defaults entry {entry!r}", where=where)
    layer = _compose(_find(entry, search, where), search, inner)
    group, slash, _ = entry.partition("/")
    if not slash:
        return layer
    key = GROUP_KEYS.get(group, group)
    marks: dict[KeyPath, str] = {(key, *at): line for at, line in layer.marks.items()}
    return Document({key: layer.data}, marks)


def _find(name: str, folders: list[Path], where: str) -> Path:
    for folder in folders:
        for candidate in (folder / name, folder / f"{name}.yaml", folder / f"{name}.yml"):
            if candidate.is_file():
                return candidate
    looked = ", ".join(str(folder) for folder in folders)
    raise ConfigError(f"there is no fragment {name!r}", where=where, hint=f"looked in {looked}")


def _resolve_references(document: Document) -> Any:
    def look_up(path: str, seen: tuple[str, ...], where: str) -> str:
        if path in seen:
            raise ConfigError(f"${{.{path}}} refers to itself", where=where)
        value: Any = document.data
        for part in path.split("."):
            if not isinstance(value, dict) or part not in value:
                raise ConfigError(f"${{.{path}}} refers to nothing", where=where)
            value = value[part]
        if isinstance(value, dict | list):
            raise ConfigError(f"${{.{path}}} is not a single value", where=where)
        return replace(str(value), (*seen, path), where)

    def replace(text: str, seen: tuple[str, ...], where: str) -> str:
        return SELF_REFERENCE.sub(lambda match: look_up(match[1], seen, where), text)

    def walk(value: Any, path: KeyPath) -> Any:
        if isinstance(value, dict):
            return {key: walk(child, (*path, key)) for key, child in value.items()}
        if isinstance(value, list):
            return [walk(child, (*path, index)) for index, child in enumerate(value)]
        if isinstance(value, str) and "${." in value:
            return replace(value, (), document.marks.get(path, ""))
        return value

    return walk(document.data, ())
