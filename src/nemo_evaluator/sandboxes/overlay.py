"""What a container has changed of its image, read from the folders of the overlay file system.

It is what the engine itself could tell, in a hundredth of the time where that compares all files.
Only for who may read the engine's folders: root, on the engine's machine.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from .contract import Change


def changes(container: Mapping[str, Any]) -> list[Change] | None:
    """What is not as in the image of a container, as the engine describes it; None where that
    cannot be read here. Blocks."""
    driver = container.get("GraphDriver") or {}
    data = driver.get("Data") or {}
    upper, lower = data.get("UpperDir"), data.get("LowerDir")
    if driver.get("Name") != "overlay2" or not upper or not lower:
        return None
    layers = [Path(layer) for layer in str(lower).split(":")]
    if not all(os.access(layer, os.R_OK | os.X_OK) for layer in (upper, *layers)):
        return None
    return list(_changes(Path(upper), layers))


def _changes(upper: Path, layers: list[Path]) -> Iterator[Change]:
    for where, folders, files in os.walk(upper):
        for name in (*folders, *files):
            path = Path(where, name)
            below = path.relative_to(upper)
            added = not _is_whiteout(path) and not any(
                os.path.lexists(layer / below) for layer in layers
            )
            yield Change(path=f"/{below}", added=added)


def _is_whiteout(path: Path) -> bool:
    """Whether an entry stands for a file of the image that was removed."""
    found = path.lstat()
    return stat.S_ISCHR(found.st_mode) and found.st_rdev == 0
