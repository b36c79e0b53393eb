"""What it takes to go on with a run that is known by its directory: its own configuration.

The configuration holds no secrets, only the names of the variables they came from, so those must
be set again. Relative paths in it are relative to the folder the run was started in.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ..config.environment import environment
from ..config.load import Loaded, load
from ..config.quick import apply_flags
from ..engine.shards import shard_of
from ..errors import ConfigError
from ..files.reading import read_document
from ..results.layout import CONFIG
from ..results.run_directory import info_of, plan_of
from .options import Options

_SOURCE = re.compile(rb"^# source config: (.+)$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Resumption:
    """How a run is resumed."""

    loaded: Loaded
    options: Options
    folder: Path
    """The working directory."""


def resumption(directory: Path, overrides: Sequence[str] = ()) -> Resumption:
    """How the run in a directory goes on. Raises ConfigError."""
    lock = plan_of(directory)
    if lock is None:
        raise ConfigError("holds no run", where=str(directory))
    info = info_of(directory, lock)
    directory = directory.resolve()
    if info.rescored_from is not None or info.merged_from:
        made = "scored again" if info.rescored_from is not None else "merged"
        hint = "repeat the command that made it"
        raise ConfigError(f"holds a run that was {made}", where=str(directory), hint=hint)
    shards = {shard_of(plan) for plan in lock.benchmarks}
    shard = shards.pop() if len(shards) == 1 else None
    folder = Path(info.folder) if info.folder and Path(info.folder).is_dir() else Path.cwd()
    output = directory if shard is None else directory.parent
    with contextlib.chdir(folder):
        loaded = loaded_again(directory / CONFIG, overrides)
        loaded = apply_flags(loaded, output_dir=str(output))
    options = Options(resume=True, shard=shard, command=f"nel eval resume {directory}")
    return Resumption(loaded, options, folder)


def loaded_again(path: Path, overrides: Sequence[str] = ()) -> Loaded:
    """A configuration that a run kept, with the variables of now. The working directory must be the
    one of then. Raises ConfigError."""
    return load(path, overrides, environment(_env_folders(path)))


def _env_folders(path: Path) -> list[Path]:
    """Where `.env` files are looked for: as when the run was started."""
    try:
        header = read_document(path)
    except FileNotFoundError:
        raise ConfigError("is missing", where=str(path)) from None
    sources = (Path(name.decode(errors="replace")) for name in _SOURCE.findall(header))
    return list(dict.fromkeys([Path.cwd(), *(source.resolve().parent for source in sources)]))
