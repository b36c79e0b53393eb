"""Self references: ``${.services.model.url}`` stands for another value of the same document.

They are resolved after composition and overrides, through references to references. A text that is
nothing but a reference may stand for a whole mapping or list; single values become text, and a
field that wants a number reads it from there.
"""

from __future__ import annotations

import re

from ..errors import ConfigError
from .tree import Node, step

MAX_NODES = 200_000
MAX_CHARACTERS = 4 << 20
MAX_CHAIN = 50
_REFERENCE = re.compile(r"(?<!\$)\$\{\.([\w.\[\]-]+)\}")


def resolve_references(root: Node) -> Node:
    """The tree with every self reference resolved. Raises ConfigError for cycles and dead ends, and
    for a tree that references make too large."""
    return _Resolver(root).resolve(root, ())


class _Resolver:
    """Resolves one tree; references to references may multiply, so what they make is counted."""

    def __init__(self, root: Node) -> None:
        self._root = root
        self._nodes = self._characters = 0

    def resolve(self, node: Node, seen: tuple[str, ...]) -> Node:
        """A node without self references. ``seen``: those on the way here."""
        self._count(node)
        value = node.value
        if isinstance(value, dict):
            children = {key: self.resolve(child, seen) for key, child in value.items()}
            return Node(children, node.mark)
        if isinstance(value, list):
            return Node([self.resolve(child, seen) for child in value], node.mark)
        if not isinstance(value, str) or "${." not in value:
            return node
        whole = _REFERENCE.fullmatch(value)
        if whole:
            target = self._target(whole[1], node, seen)
            if isinstance(target.value, dict | list) or target.value is None:
                return Node(target.value, node.mark)
            return Node(_text(target), node.mark)

        def text(match: re.Match[str]) -> str:
            target = self._target(match[1], node, seen)
            if isinstance(target.value, dict | list) or target.value is None:
                what = f"{match[0]} is not a single value, so it cannot be part of a text"
                raise ConfigError(what, where=node.mark)
            found = _text(target)
            self._characters += len(found)
            return found

        return Node(_REFERENCE.sub(text, value), node.mark)

    def _target(self, path: str, node: Node, seen: tuple[str, ...]) -> Node:
        if path in seen:
            chain = " → ".join(f"${{.{name}}}" for name in (*seen, path))
            raise ConfigError(f"circular reference: {chain}", where=node.mark)
        if len(seen) > MAX_CHAIN:
            what = f"more than {MAX_CHAIN} references lead to one another"
            raise ConfigError(what, where=node.mark)
        found: Node | None = self._root
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
        return self.resolve(found, (*seen, path))

    def _count(self, node: Node) -> None:
        self._nodes += 1
        if self._nodes > MAX_NODES or self._characters > MAX_CHARACTERS:
            raise ConfigError(
                "self references (${.name}) make the configuration too large",
                where=node.mark,
                hint=f"at most {MAX_NODES:,} values and {MAX_CHARACTERS:,} characters",
            )


def _text(node: Node) -> str:
    return str(node.value).lower() if isinstance(node.value, bool) else str(node.value)
