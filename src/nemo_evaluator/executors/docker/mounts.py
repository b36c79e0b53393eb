"""What of this machine a run in a container sees: at the same paths, so that its files mean the
same inside and outside.

The results, the folder the command is given in and the user's own mounts can be written. What the
configuration names elsewhere is mounted read-only, a file with its folder, since a benchmark may
read what stands beside it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

from ...config.mounts import Mount
from ...errors import ConfigError
from ..named_paths import may_be_shared, path_in


def mounts_of(
    *,
    output: Path,
    folder: Path,
    asked: Iterable[Mount],
    home: Path | None,
    named: Iterable[str],
) -> tuple[Mount, ...]:
    """All mounts of a run. ``asked``: the configuration's own; ``named``: every text of the
    document, of which some are paths. Raises ConfigError for a mount whose source is missing."""
    mounts = [Mount(str(output), str(output)), *asked]
    for mount in mounts[1:]:
        if not mount.is_volume and not Path(mount.source).exists():
            raise ConfigError(
                f"{mount.source} does not exist", where="cluster.container_mounts",
                hint="make it, or name what is there",
            )  # fmt: skip
    for path in filter(None, (home, folder)):
        if path.is_dir() and may_be_shared(path) and not _covered(path, mounts):
            mounts.append(Mount(str(path), str(path)))
    for text in named:
        named_path = path_in(text, folder)
        for path in _folders(named_path) if named_path is not None else ():
            if not _covered(path, mounts):
                mounts.append(Mount(str(path), str(path), read_only=True))
    taken: dict[str, Mount] = {}
    for mount in mounts:
        taken.setdefault(mount.target, mount)  # the mounts of the user come first
    return tuple(sorted(taken.values(), key=lambda mount: mount.target.count("/")))


def _folders(path: Path) -> Iterator[Path]:
    """What is mounted of a path: the folder it is in, or the file alone."""
    where = path if path.is_dir() else path.parent
    if may_be_shared(where):
        yield where
    elif not path.is_dir():
        yield path


def _covered(path: Path, mounts: Iterable[Mount]) -> bool:
    return any(mount.covers(path) for mount in mounts)
