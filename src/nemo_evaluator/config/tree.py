"""A document as a tree of values that remember where they were written.

Nodes are never changed: an edit returns a new tree that shares what it did not touch, so the trees
of two configurations may share fragments, anchors and references.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

KeyPath = tuple[str | int, ...]


@dataclass(frozen=True, slots=True)
class Node:
    """A scalar, a mapping of nodes or a list of nodes."""

    value: Any
    """A scalar, ``dict[str, Node]`` or ``list[Node]``."""
    mark: str = ""
    """Where it was written: ``file:line``, ``-O key=value``, a flag; empty if not known."""


def from_plain(value: object, mark: str = "") -> Node:
    """A tree of plain data, all of it written at one place."""
    if isinstance(value, Mapping):
        return Node({str(key): from_plain(child, mark) for key, child in value.items()}, mark)
    if isinstance(value, list | tuple):
        return Node([from_plain(child, mark) for child in value], mark)
    return Node(value, mark)


def plain(node: Node) -> Any:
    """The data without its marks."""
    if isinstance(node.value, dict):
        return {key: plain(child) for key, child in node.value.items()}
    if isinstance(node.value, list):
        return [plain(child) for child in node.value]
    return node.value


def merge(base: Node, overlay: Node) -> Node:
    """Mappings are merged key by key, the overlay wins; anything else is replaced.

    A null of the overlay stays in the result: it stands for the default of its field.
    """
    if not (isinstance(base.value, dict) and isinstance(overlay.value, dict)):
        return overlay
    merged = dict(base.value)
    for key, child in overlay.value.items():
        merged[key] = merge(merged[key], child) if key in merged else child
    return Node(merged, overlay.mark)


def locate(node: Node, path: KeyPath) -> str:
    """The mark of the deepest part of the path that was written."""
    mark = node.mark
    for part in path:
        child = step(node, part)
        if child is None:
            break
        node = child
        mark = node.mark or mark
    return mark


def step(node: Node, part: str | int) -> Node | None:
    """The child of that key or index, if there is one."""
    if isinstance(node.value, dict):
        return node.value.get(str(part))
    if isinstance(node.value, list) and isinstance(part, int) and 0 <= part < len(node.value):
        child: Node = node.value[part]
        return child
    return None


def set_at(node: Node, path: KeyPath, new: Node) -> Node:
    """The tree with one place replaced. Missing mappings are made.

    Raises LookupError, with a reason, where the path cannot be followed.
    """
    if not path:
        return new
    part, rest = path[0], path[1:]
    if isinstance(node.value, list):
        index = _index(part, len(node.value))
        items = list(node.value)
        items[index] = set_at(items[index], rest, new)
        return Node(items, node.mark)
    if isinstance(node.value, dict) or node.value is None:
        children = dict(node.value or {})
        children[str(part)] = set_at(children.get(str(part), Node(None, new.mark)), rest, new)
        return Node(children, node.mark or new.mark)
    raise LookupError(f"{part!r} cannot be set below a single value")


def _index(part: str | int, length: int) -> int:
    if not str(part).isdigit():
        raise LookupError(f"Cannot index list with {str(part)!r}")
    if int(part) >= length:
        raise LookupError(f"Cannot index list with '{part}': it has {length} entries")
    return int(part)
