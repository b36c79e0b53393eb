"""No two modules import each other, not even in a function or for their types."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import nemo_evaluator

PACKAGE = Path(nemo_evaluator.__file__).parent
NAME = PACKAGE.name


def modules() -> dict[str, Path]:
    found = {}
    for path in PACKAGE.rglob("*.py"):
        parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


def imported(name: str, path: Path, known: dict[str, Path]) -> Iterator[str]:
    """The modules of ours that one imports, wherever in it the import stands."""
    package = name.split(".") if path.name == "__init__.py" else name.split(".")[:-1]
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if not isinstance(node, ast.ImportFrom):
            continue
        base = package[: len(package) - node.level + 1] if node.level else []
        target = ".".join([*base, *([node.module] if node.module else [])])
        children = [f"{target}.{alias.name}" for alias in node.names]
        yield from [child for child in children if child in known] or (
            [target] if target in known else []
        )


def graph() -> dict[str, set[str]]:
    known = modules()
    return {name: {*imported(name, path, known)} - {name} for name, path in known.items()}


def test_the_graph_of_modules_has_no_circle() -> None:
    found = graph()
    assert len(found) > 400 and sum(map(len, found.values())) > 1500, "imports were not found"
    try:
        TopologicalSorter(found).prepare()
    except CycleError as error:
        raise AssertionError(" → ".join(error.args[1])) from None
