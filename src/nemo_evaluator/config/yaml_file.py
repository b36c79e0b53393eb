"""YAML to a tree with file and line.

Duplicate keys and keys that are not text are refused. Readings of YAML 1.1 that surprise are left
out: ``12:30:00``, ``2025-01-01``, ``=`` and ``<<`` stay text, and ``1e3`` is a number.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import yaml

from ..errors import ConfigError
from ..records import Json
from .text_file import read_text
from .tree import Node

Pairs = dict[str, tuple[Any, str]]
MAX_DEPTH = 100
MAX_NODES = 100_000
_Loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_PREFIX = "tag:yaml.org,2002:"
_EXPONENT = re.compile(r"[-+]?\d[\d_]*(\.\d*)?[eE][-+]?\d+")
_MERGE = _PREFIX + "merge"
_PLAIN = (_PREFIX + "map", _PREFIX + "seq")
_AS_TEXT = ("timestamp", "value", "merge")
"""Kinds that YAML 1.1 gives to dates, a lone ``=`` and a lone ``<<``."""


def read_yaml(path: Path) -> Node:
    """The tree of a file; its value is None where the file is empty. Raises ConfigError."""
    node = parse_yaml(read_text(path), str(path))
    if node.value is not None and not isinstance(node.value, dict):
        # Not which value: the file may be somebody else's, named by mistake.
        kind = "a list" if isinstance(node.value, list) else "a single value"
        raise ConfigError(f"must be a mapping, not {kind}", where=node.mark)
    return node


def parse_yaml(text: str, name: str) -> Node:
    """The tree of a text. Raises ConfigError with name and line."""
    loader = None
    try:
        _check_size(text, name)
        loader = _Loader(text)
        root = loader.get_single_node()
        return Node(None, name) if root is None else _Builder(loader, name).build(root, ())
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        where = f"{name}:{mark.line + 1}" if mark else name
        line = text.splitlines()[mark.line : mark.line + 1] if mark else []
        raise ConfigError(
            f"not valid YAML: {error.problem or error.context}",
            where=where,
            hint=_syntax_hint(error, "".join(line)),
        ) from None
    except yaml.reader.ReaderError as error:
        raise ConfigError(f"holds a character YAML forbids: {error.reason}", where=name) from None
    finally:
        if loader is not None:
            loader.dispose()


def _check_size(text: str, name: str) -> None:
    """Refuse what the parser, which is recursive, could not take."""
    depth = 0
    for event in yaml.parse(text, Loader=_Loader):
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1
        if depth > MAX_DEPTH:
            line = event.start_mark.line + 1 if event.start_mark else 1
            where = f"{name}:{line}"
            raise ConfigError(f"is nested more than {MAX_DEPTH} deep", where=where)


def scalar(text: str) -> object:
    """The value of an unquoted YAML scalar: number, true, null, or the text itself."""
    loader: Any = yaml.SafeLoader("")
    tag = loader.resolve(yaml.ScalarNode, text, (True, False))
    return _value(loader, yaml.ScalarNode(tag, text))


class _Builder:
    """Turns the nodes of one text into ours."""

    def __init__(self, loader: Json, name: str) -> None:
        self._loader, self._name = loader, name
        self._nodes = 0
        self._merged: dict[int, Pairs] = {}

    def build(self, node: Any, open_nodes: tuple[int, ...], mark: str | None = None) -> Node:
        mark = mark or self._mark(node)
        if id(node) in open_nodes:
            raise ConfigError("an anchor contains itself", where=mark)
        self._nodes += 1
        if self._nodes > MAX_NODES:
            hint = "aliases (*name) repeat what they stand for"
            raise ConfigError(f"holds more than {MAX_NODES:,} values", where=mark, hint=hint)
        if not isinstance(node, yaml.ScalarNode) and node.tag not in _PLAIN:
            tag = node.tag.removeprefix(_PREFIX)
            raise ConfigError(f"the tag {tag} is not supported", where=mark, hint="leave it out")
        inside = (*open_nodes, id(node))
        if isinstance(node, yaml.MappingNode):
            pairs = self._pairs(node, inside).items()
            return Node({key: self.build(child, inside, at) for key, (child, at) in pairs}, mark)
        if isinstance(node, yaml.SequenceNode):
            return Node([self.build(child, inside) for child in node.value], mark)
        return Node(_value(self._loader, node), mark)

    def _pairs(self, node: Any, inside: tuple[int, ...]) -> Pairs:
        """The nodes of a mapping by key, with their marks. Merged keys (``<<``) come first, so that
        a mapping's own keys win. A mapping is merged once, however often it is referred to."""
        if (known := self._merged.get(id(node))) is not None:
            return known
        own: Pairs = {}
        merged: Pairs = {}
        for key_node, child in node.value:
            if key_node.tag == _MERGE:
                for other in reversed(self._merges(child)):
                    if id(other) in inside:
                        raise ConfigError("an anchor contains itself", where=self._mark(key_node))
                    merged |= self._pairs(other, (*inside, id(other)))
                continue
            key = self._key(key_node)
            if key in own:
                raise ConfigError(
                    f"the key {key!r} appears twice", where=self._mark(key_node), hint="remove one"
                )
            own[key] = child, self._mark(key_node)
        self._merged[id(node)] = merged | own
        return self._merged[id(node)]

    def _merges(self, node: Json) -> list[Json]:
        """The mappings that are merged; of equal keys the first one's wins."""
        found = node.value if isinstance(node, yaml.SequenceNode) else [node]
        if not all(isinstance(other, yaml.MappingNode) for other in found):
            hint = "write <<: *name, or a list of such names"
            raise ConfigError("<< merges mappings only", where=self._mark(node), hint=hint)
        return list(found)

    def _key(self, node: object) -> str:
        key = _value(self._loader, node) if isinstance(node, yaml.ScalarNode) else None
        if not isinstance(key, str):
            shown = getattr(node, "value", "")
            hint = f'quote it: "{shown}"' if isinstance(shown, str) else "use text"
            raise ConfigError("keys must be text", where=self._mark(node), hint=hint)
        return key

    def _mark(self, node: Any) -> str:
        return f"{self._name}:{node.start_mark.line + 1}"


def _value(loader: Any, node: Any) -> Any:
    kind = node.tag.removeprefix(_PREFIX)
    if kind in _AS_TEXT or (kind in ("int", "float") and ":" in node.value):
        return node.value
    if kind == "str" and not node.style and _EXPONENT.fullmatch(node.value):
        return float(node.value.replace("_", ""))
    try:
        return loader.construct_object(node, deep=True)
    except ValueError:
        return node.value


def _syntax_hint(error: yaml.MarkedYAMLError, line: str) -> str | None:
    if "\t" in line[: len(line) - len(line.lstrip())]:
        return "indent with spaces, not tabs"
    if "could not determine a constructor" in (error.problem or ""):
        return "tags (!name) are not supported"
    if "${" in line and ("{" in line.replace("${", "") or "[" in line):
        return 'quote references inside { } and [ ]: "${NAME}"'
    return None
