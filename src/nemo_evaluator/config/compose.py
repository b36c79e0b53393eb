"""Composition: a configuration made of others by its `defaults` list.

Entries are merged left to right, later wins; ``_self_`` places the file's own body (last unless
said otherwise). ``group/name`` puts a fragment under ``group``; ``name`` merges a file at the root;
``{_base_: ref}`` inherits a whole configuration. Fragments may have `defaults` of their own. A null
deletes what was inherited. A file may be reached on several ways, but not from itself.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path

from ..errors import ConfigError
from .tree import Node, merge, plain
from .yaml_file import read_yaml

GROUP_KEYS = {"clusters": "cluster"}
"""Groups whose fragments hold the body of another top-level key."""
SELF = "_self_"
BASE = "_base_"


@dataclass(slots=True)
class _Search:
    folders: list[Path]
    """Where fragments are looked for."""
    found: list[Path] = field(default_factory=list)
    """Every file that was read, in the order of reading."""


def compose(path: Path) -> tuple[Node, tuple[str, ...]]:
    """The tree of a file with everything it builds on, and the files read. Raises ConfigError."""
    try:
        beside = path.resolve().parent / "conf"
    except (OSError, RuntimeError):
        raise ConfigError("is a loop of symbolic links", where=str(path)) from None
    search = _Search([beside, *_common_folders()])
    root = _compose(path, search, (), None)
    if not root.value:
        raise ConfigError("is empty", where=str(path), hint="it needs services and benchmarks")
    return root, tuple(dict.fromkeys(str(file) for file in search.found))


def _common_folders() -> list[Path]:
    own = Path(__file__).parent / "defaults"
    try:
        home = Path(os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config")
    except RuntimeError:  # a user without a home
        return [own]
    return [home / "nemo-evaluator" / "conf", own]


def _compose(path: Path, search: _Search, parents: tuple[Path, ...], group: str | None) -> Node:
    """The tree of one file at the root of the document; a fragment's body goes under its group."""
    own = read_yaml(path)
    search.found.append(path)
    body = dict(own.value or {})
    defaults = body.pop("defaults", None)
    own = Node({group: Node(body, own.mark)} if group else body, own.mark)
    if defaults is None or defaults.value is None:
        return own
    if not isinstance(defaults.value, list):
        raise ConfigError("defaults must be a list", where=defaults.mark)
    entries = defaults.value
    if not any(entry.value == SELF for entry in entries):
        entries = [*entries, Node(SELF, own.mark)]
    result = Node({}, own.mark)
    for entry in entries:
        if entry.value == SELF:
            layer = own
        else:
            layer = _layer(entry, path, search, (*parents, path.resolve()))
        result = merge(result, layer)
    return result


def _layer(entry: Node, path: Path, search: _Search, parents: tuple[Path, ...]) -> Node:
    value = plain(entry)
    if isinstance(value, dict) and list(value) == [BASE] and isinstance(value[BASE], str):
        file = _find(value[BASE], [path.resolve().parent, *search.folders], entry.mark)
        group = None
    elif isinstance(value, str) and value and value[0] not in "./":
        file = _find(value, search.folders, entry.mark)
        first, slash, _ = value.partition("/")
        group = GROUP_KEYS.get(first, first) if slash else None
    else:
        raise ConfigError(
            f"Invalid defaults entry {repr(value)[:80]}",
            where=entry.mark,
            hint="write group/name, name, {_base_: file} or _self_",
        )
    if file.resolve() in parents:
        chain = " → ".join(parent.name for parent in (*parents, file.resolve()))
        raise ConfigError(f"Circular config reference: {chain}", where=entry.mark)
    return _compose(file, search, parents, group)


def _find(name: str, folders: list[Path], where: str) -> Path:
    for folder in folders:
        for candidate in (folder / name, folder / f"{name}.yaml", folder / f"{name}.yml"):
            if candidate.is_file():
                return candidate
    looked = ", ".join(str(folder) for folder in dict.fromkeys(folders) if folder.is_dir())
    raise ConfigError(
        f"there is no config fragment {name!r}",
        where=where,
        hint=f"looked in {looked}" if looked else f"none of the folders exists: {folders[0]}, …",
    )
