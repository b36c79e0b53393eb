"""Which files of this machine a configuration names: a run elsewhere needs them at their paths."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

_SYSTEM = [
    PurePosixPath("/", name)
    for name in (
        *("bin", "boot", "dev", "etc", "lib", "lib32", "lib64"),
        *("proc", "run", "sbin", "sys", "usr"),
    )
]
_WHOLE = [PurePosixPath("/", name) for name in ("", "home", "mnt", "opt", "srv", "tmp", "var")]
"""Folders of which a part may be mounted, and not all."""
_LONGEST = 4096
_NO_PATH = re.compile(r"[\0\n]|^[^/.]*$")
"""A word without a slash or a dot is a name of something else."""


def texts_in(value: object) -> Iterator[str]:
    """Every text in plain data."""
    if isinstance(value, dict):
        for child in value.values():
            yield from texts_in(child)
    elif isinstance(value, list):
        for child in value:
            yield from texts_in(child)
    elif isinstance(value, str):
        yield value


def path_in(text: str, folder: Path) -> Path | None:
    """What a text names on this machine, absolute; None if it is no path, or one of the system's.
    ``FILE.py:NAME`` names the file."""
    if len(text) > _LONGEST or "://" in text or _NO_PATH.search(text):
        return None
    for name in dict.fromkeys((text, text.rpartition(":")[0])):
        path = Path(os.path.normpath(folder / name))
        try:
            if name and path.exists():
                return None if is_of_the_system(path) else path
        except OSError:
            continue
    return None


def may_be_shared(folder: Path) -> bool:
    """Whether a folder may stand in the place of another machine's at the same path."""
    return PurePosixPath(folder) not in _WHOLE and not is_of_the_system(folder)


def is_of_the_system(path: Path) -> bool:
    """Whether a path belongs to the system of a machine, or of an image."""
    return any(PurePosixPath(path).is_relative_to(system) for system in _SYSTEM)
