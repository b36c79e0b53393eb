"""Beside ``worker.py``: the index of the tasks that lm_eval comes with, kept on disk.

Making it reads 14,000 files and takes 5 seconds, for every benchmark, shard and listing again.
Invariant: what was kept counts for exactly these files (by name, size and time of change); where
nothing can be kept or read, the index is made.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
import tempfile
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

Theirs = Any
"""An object of lm_eval, whose types are not ours to know."""
Data = Any
"""What JSON can say."""
WAIT_SECONDS = 60.0
"""For another process that makes the index."""


def manager_of_all(include: str | None, metadata: Data) -> Theirs:
    """A TaskManager that knows lm_eval's tasks and those of a folder, which come first. Ask its
    ``task_index`` for names: ``all_tasks`` does not know of what was kept."""
    from lm_eval.tasks import TaskManager

    kept = _cached_index()
    found = TaskManager(include_path=include, include_defaults=False, metadata=metadata)
    index = found.task_index
    if kept is None or found.task_index is not index:
        return TaskManager(include_path=include, metadata=metadata)
    for name, entry in kept.items():
        index.setdefault(name, entry)
    return found


def _cached_index() -> Mapping[str, Theirs] | None:
    """Every task, group and tag of lm_eval by its name; None where it can be kept nowhere."""
    import lm_eval.tasks

    root = Path(lm_eval.tasks.__file__).parent
    try:
        path = _folder() / f"index-{hashlib.sha256(bytes(root)).hexdigest()[:16]}.json"
        files = _files(root)
        if (found := _read(path, files)) is not None:
            return found
        with _locked(path):  # of several that start together one makes it
            return _read(path, files) or _make_index(path, files)
    except (ImportError, OSError, RuntimeError):  # RuntimeError: a user without a home
        return None


def _folder() -> Path:
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    folder = cache / "nemo-evaluator" / "lm_eval"
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    return folder


def _files(root: Path) -> str:
    """A digest of what the index is made of: a YAML file may include files of any name."""
    import lm_eval

    digest = hashlib.sha256(str(lm_eval.__version__).encode())
    for folder, folders, names in os.walk(root):
        folders[:] = sorted(name for name in folders if name != "__pycache__")
        for name in sorted(name for name in names if not name.endswith((".py", ".md"))):
            found = Path(folder, name).stat()
            digest.update(f"{folder}/{name} {found.st_size} {found.st_mtime_ns}\n".encode())
    return digest.hexdigest()


def _read(path: Path, files: str) -> dict[str, Theirs] | None:
    """What was kept, if it is of these files."""
    from lm_eval.tasks._index import Entry, Kind

    try:
        kept = json.loads(path.read_bytes())
        if kept["files"] != files:
            return None
        kinds = {kind.name: kind for kind in Kind}
        return {
            name: Entry(name, kinds[kind], where and Path(where), tags=set(tags))
            for name, kind, where, tags in kept["entries"]
        }
    except (FileNotFoundError, ValueError, KeyError, TypeError):  # none, or a broken one
        return None


def _make_index(path: Path, files: str) -> Mapping[str, Theirs]:
    from lm_eval.tasks import TaskManager

    index: Mapping[str, Theirs] = TaskManager().task_index
    entries = [
        (name, entry.kind.name, entry.yaml_path and str(entry.yaml_path), sorted(entry.tags))
        for name, entry in index.items()
    ]
    with tempfile.NamedTemporaryFile("w", dir=path.parent, delete=False) as new:
        json.dump({"files": files, "entries": entries}, new)
    Path(new.name).replace(path)
    return index


@contextlib.contextmanager
def _locked(path: Path) -> Iterator[None]:
    """No other process makes the index meanwhile; the wait for one that was stopped ends."""
    with path.with_suffix(".lock").open("w") as lock:
        until = time.monotonic() + WAIT_SECONDS
        while time.monotonic() < until:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                time.sleep(0.1)
        yield
