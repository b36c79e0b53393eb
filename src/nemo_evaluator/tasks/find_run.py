"""Finds the directory of a run by its id: below the working directory, in ``./eval_results``, and
where the known system notes its runs."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

import msgspec

from ..errors import ConfigError
from ..files.reading import read_json
from ..results.layout import RUN_INFO

NOTES = "nel_run.json"
"""What the known system writes beside a run, and once more in its store."""
DEPTH = 3
"""Folders below the working directory that are looked into."""
SHORTEST = 6
"""Characters of an id that may stand for it where only one run begins with them."""


class _Note(msgspec.Struct):
    run_id: str = ""
    output_dir: str | None = None


def run_directory(run_id: str) -> Path:
    """The run's directory. Raises ConfigError where there is none, or more than one."""
    found = {path: name for path, name in known_runs().items() if _matches(name, run_id)}
    exact = [path for path, name in found.items() if name == run_id]
    chosen = exact or list(found)
    if len(chosen) == 1:
        return shown(chosen[0])
    if not chosen:
        hint = f"runs are looked for below {Path().resolve()}; give the directory instead"
        raise ConfigError(f"there is no run {run_id!r}", where="--run-id", hint=hint)
    names = ", ".join(str(shown(path)) for path in chosen)
    raise ConfigError(f"{run_id!r} may be {names}", where="--run-id", hint="give the directory")


def known_runs() -> dict[Path, str]:
    """Directory → run id of every run that can be found."""
    found: dict[Path, str] = {}
    for path in _notes(Path()):
        note = _read(path)
        if note is None or not note.run_id:
            continue
        directory = path.parent
        if path.name == NOTES and note.output_dir:
            noted = Path(note.output_dir)
            # What the known system writes beside a run may name a folder that has moved.
            if noted.is_dir() or path.is_relative_to(store()):
                directory = noted
        found.setdefault(directory.resolve(), note.run_id)
    return found


def store() -> Path:
    """Where runs are noted, a folder for each."""
    data = Path(os.environ.get("XDG_DATA_HOME") or "~/.local/share")
    with contextlib.suppress(RuntimeError):  # a user without a home; then there is no such folder
        data = data.expanduser()
    return data / "nel" / "runs"


def _notes(top: Path) -> Iterator[Path]:
    yield from _below(top, DEPTH)
    yield from sorted(store().glob(f"*/{NOTES}"))


def _below(folder: Path, depth: int) -> Iterator[Path]:
    yield from (path for name in (RUN_INFO, NOTES) if (path := folder / name).is_file())
    if depth:
        try:
            children = sorted(folder.iterdir())
        except OSError:
            return
        for child in children:
            if not child.name.startswith(".") and child.is_dir() and not child.is_symlink():
                yield from _below(child, depth - 1)


def _read(path: Path) -> _Note | None:
    try:
        return read_json(path, _Note)
    except (ConfigError, OSError):
        return None  # not a run, or not one of ours to read


def _matches(known: str, asked: str) -> bool:
    return known == asked or (len(asked) >= SHORTEST and known.startswith(asked))


def shown(path: Path) -> Path:
    """A path as a user writes it: relative to the working directory where it is below."""
    here = Path().resolve()
    return path.relative_to(here) if path.is_relative_to(here) else path
