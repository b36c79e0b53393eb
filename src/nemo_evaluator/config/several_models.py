"""``models: [a, b]``: every benchmark is asked of each of them, in entries of their own.

It is written out before anything is checked: the snapshot of a run holds the entries. An entry
whose solver names its service, or asks no model, stays as it is.
"""

from __future__ import annotations

from ..errors import ConfigError, suggest
from .tree import Node, from_plain, plain, set_at

KEY = "models"
NO_MODEL = ("oracle", "nop")
"""Solvers that ask no model."""
BETWEEN = "@"
"""Stands between the benchmark and the model in a label: ``gsm8k@large``."""


def with_models(tree: Node) -> Node:
    """The document with an entry for each benchmark and model. Raises ConfigError."""
    if not isinstance(tree.value, dict) or KEY not in tree.value:
        return tree
    listed = tree.value[KEY]
    rest = Node({key: child for key, child in tree.value.items() if key != KEY}, tree.mark)
    if listed.value is None or listed.value == []:
        return rest
    names = _names(listed, rest)
    benchmarks = rest.value.get("benchmarks")
    if benchmarks is None or not isinstance(benchmarks.value, list):
        return rest
    shared = rest.value.get("solver")
    entries = [new for entry in benchmarks.value for new in _entries(entry, names, shared)]
    whole = {**rest.value, "benchmarks": Node(entries, benchmarks.mark)}
    if shared is not None and not _is_complete(plain(shared)):
        del whole["solver"]  # it lacks the service that each entry has now
    return Node(whole, rest.mark)


def _is_complete(solver: object) -> bool:
    """Whether a solver needs no service of this list."""
    if not isinstance(solver, dict):
        return False
    return bool(solver.get("service")) or solver.get("type") in NO_MODEL


def _names(listed: Node, tree: Node) -> list[str]:
    names = plain(listed)
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise ConfigError("models is a list of names of services", where=listed.mark or KEY)
    services = tree.value.get("services")
    known = services.value if services is not None and isinstance(services.value, dict) else {}
    for name, node in zip(names, listed.value, strict=True):
        if name not in known:
            what = f"models: there is no service {name!r}"
            raise ConfigError(what, where=node.mark or KEY, hint=suggest(name, known))
        if names.count(name) > 1:
            raise ConfigError(f"models: {name!r} is listed twice", where=node.mark or KEY)
    return names


def _entries(entry: Node, names: list[str], shared: Node | None) -> list[Node]:
    if not isinstance(entry.value, dict):
        return [entry]
    solver = entry.value.get("solver")
    if solver is None or solver.value is None:
        solver = shared
    own_solver = plain(solver) if solver is not None else None
    if _is_complete(own_solver):
        return [entry]
    base = entry.value.get("label") or entry.value.get("name")
    found = []
    for name in names:
        own = solver if isinstance(own_solver, dict) else from_plain({"type": "simple"}, entry.mark)
        assert own is not None
        new = set_at(entry, ("solver",), set_at(own, ("service",), from_plain(name, entry.mark)))
        if base is not None and isinstance(base.value, str):
            label = _label(base.value, name)
            new = set_at(new, ("label",), from_plain(label, base.mark))
        found.append(new)
    return found


def _label(benchmark: str, model: str) -> str:
    if "://" not in benchmark:  # of a file its name
        benchmark = benchmark.rpartition("/")[2].replace(".py:", ":").removesuffix(".py")
    return f"{benchmark}{BETWEEN}{model}"
