"""``playbook:`` of a benchmark entry: a file of defaults for the entry, which wins over it.

The file is looked up beside the configuration, in the current folder, then among those of this
package. It is inlined before anything is checked: the snapshot of a run holds no reference to it.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from ..errors import ConfigError
from .tree import Node, merge
from .yaml_file import read_yaml

KEY = "playbook"
OURS = Path(__file__).parent / "defaults" / "playbooks"
MISSING = ("swebench_multilingual", "swebench_pro", "swebench_verified")
"""Playbooks that come with NVIDIA NeMo Evaluator, of benchmarks that this version does not have."""


def inline_playbooks(tree: Node, folders: Sequence[Path]) -> tuple[Node, tuple[str, ...]]:
    """The document with every playbook put under its entry, and the files read.

    Raises ConfigError.
    """
    benchmarks = tree.value.get("benchmarks") if isinstance(tree.value, dict) else None
    if benchmarks is None or not isinstance(benchmarks.value, list):
        return tree, ()
    files: list[str] = []
    entries = [_inlined(entry, folders, files) for entry in benchmarks.value]
    if not files:
        return tree, ()
    return Node({**tree.value, "benchmarks": Node(entries, benchmarks.mark)}, tree.mark), tuple(
        files
    )


def _inlined(entry: Node, folders: Sequence[Path], files: list[str]) -> Node:
    reference = entry.value.get(KEY) if isinstance(entry.value, dict) else None
    if reference is None or reference.value is None:
        return entry
    if not isinstance(reference.value, str) or not reference.value:
        raise ConfigError("playbook must be the name of a file", where=reference.mark)
    path = _find(reference.value, folders, reference.mark)
    playbook = read_yaml(path)
    if not isinstance(playbook.value, dict):
        raise ConfigError("a playbook is a mapping, like an entry of benchmarks", where=str(path))
    files.append(str(path))
    own = {key: child for key, child in entry.value.items() if key != KEY}
    return merge(playbook, Node(own, entry.mark))


def _find(name: str, folders: Sequence[Path], where: str) -> Path:
    for folder in (*folders, OURS):
        for candidate in (folder / name, folder / f"{name}.yaml", folder / f"{name}.yml"):
            if candidate.is_file():
                return candidate
    if name.removesuffix(".yaml").removesuffix(".yml") in MISSING:
        raise ConfigError(
            f"the playbook {name!r} is of a benchmark that this version does not have",
            where=where,
            hint="a playbook of your own is given as ./FILE.yaml",
        )
    looked = ", ".join(str(folder) for folder in folders)
    ours = ", ".join(sorted(path.stem for path in OURS.glob("*.yaml")))
    hint = f"looked in {looked}; this package has {ours}"
    raise ConfigError(f"there is no playbook {name!r}", where=where, hint=hint)
