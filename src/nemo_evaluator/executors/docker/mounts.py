"""What of this machine a run in a container sees: at the same paths, so that its files mean the
same inside and outside.

The results, the folder the command is given in and the user's own mounts can be written. What the
configuration names elsewhere is mounted read-only, a file with its folder, since a benchmark may
read what stands beside it.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from pathlib import Path, PurePosixPath

from ...config.mounts import Mount
from ...errors import ConfigError

_SYSTEM = [
    PurePosixPath("/", name)
    for name in (
        *("bin", "boot", "dev", "etc", "lib", "lib32", "lib64"),
        *("proc", "run", "sbin", "sys", "usr"),
    )
]
_WHOLE = [PurePosixPath("/", name) for name in ("", "home", "mnt", "opt", "srv", "tmp", "var")]
"""Folders of which a part may be mounted, and not all."""


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
        if path.is_dir() and _may_be_mounted(path) and not _covered(path, mounts):
            mounts.append(Mount(str(path), str(path)))
    for text in named:
        for path in _paths(text, folder):
            if not _covered(path, mounts):
                mounts.append(Mount(str(path), str(path), read_only=True))
    taken: dict[str, Mount] = {}
    for mount in mounts:
        taken.setdefault(mount.target, mount)  # the mounts of the user come first
    return tuple(sorted(taken.values(), key=lambda mount: mount.target.count("/")))


def _paths(text: str, folder: Path) -> Iterator[Path]:
    """What a text of a configuration names on this machine, if it does: ``FILE.py:NAME`` too."""
    if len(text) > 4096 or "\0" in text or "\n" in text or "/" not in text or "://" in text:
        return
    for name in dict.fromkeys((text, text.rpartition(":")[0])):
        path = Path(os.path.normpath(folder / name)) if name else None
        try:
            if path is None or not path.exists():
                continue
            where = path if path.is_dir() else path.parent
        except OSError:
            continue
        if _may_be_mounted(where):
            yield where
        elif not path.is_dir() and not _below_system(path):
            yield path
        return


def _may_be_mounted(path: Path) -> bool:
    return PurePosixPath(path) not in _WHOLE and not _below_system(path)


def _below_system(path: Path) -> bool:
    return any(PurePosixPath(path).is_relative_to(system) for system in _SYSTEM)


def _covered(path: Path, mounts: Iterable[Mount]) -> bool:
    return any(mount.covers(path) for mount in mounts)
