"""Self references: ``${.services.model.url}`` stands for another value of the same document.

They are resolved after composition and overrides, through references to references. A text that is
nothing but a reference may stand for a whole mapping or list; single values become text, and a
field that wants a number reads it from there.
"""

from __future__ import annotations

import re

from ..errors import ConfigError
from .tree import Node, step

_REFERENCE = re.compile(r"(?<!\$)\$\{\.([\w.\[\]-]+)\}")


def resolve_references(root: Node) -> Node:
    """The tree with every self reference resolved. Raises ConfigError for cycles and dead ends."""
    return _resolve(root, root, ())


def _resolve(node: Node, root: Node, seen: tuple[str, ...]) -> Node:
    value = node.value
    if isinstance(value, dict):
        children = {key: _resolve(child, root, seen) for key, child in value.items()}
        return Node(children, node.mark)
    if isinstance(value, list):
        return Node([_resolve(child, root, seen) for child in value], node.mark)
    if not isinstance(value, str) or "${." not in value:
        return node
    whole = _REFERENCE.fullmatch(value)
    if whole:
        target = _target(whole[1], node, root, seen)
        if isinstance(target.value, dict | list) or target.value is None:
            return Node(target.value, node.mark)
        return Node(_text(target), node.mark)

    def text(match: re.Match[str]) -> str:
        target = _target(match[1], node, root, seen)
        if isinstance(target.value, dict | list) or target.value is None:
            raise ConfigError(
                f"{match[0]} is not a single value, so it cannot be part of a text", where=node.mark
            )
        return _text(target)

    return Node(_REFERENCE.sub(text, value), node.mark)


def _target(path: str, node: Node, root: Node, seen: tuple[str, ...]) -> Node:
    if path in seen:
        chain = " → ".join(f"${{.{name}}}" for name in (*seen, path))
        raise ConfigError(f"circular reference: {chain}", where=node.mark)
    found: Node | None = root
    for part in re.findall(r"[^.\[\]]+", path):
        assert found is not None
        is_list = isinstance(found.value, list)
        found = step(found, int(part) if is_list and part.isdigit() else part)
        if found is None:
            raise ConfigError(
                f"${{.{path}}} refers to nothing",
                where=node.mark,
                hint=f"there is no {part!r}; write $${{ for a literal ${{",
            )
    assert found is not None
    return _resolve(found, root, (*seen, path))


def _text(node: Node) -> str:
    return str(node.value).lower() if isinstance(node.value, bool) else str(node.value)
