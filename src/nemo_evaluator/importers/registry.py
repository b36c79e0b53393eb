"""Opens importers by name, and finds the one that takes a path."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from ..config.plugins import Given
from ..errors import ConfigError
from ..kinds import IMPORTERS
from ..types import Json
from .contract import Importer


def open_importer(name: str, config: Given) -> Importer:
    """An importer with its options. Raises ConfigError."""
    importer = IMPORTERS.open(name, config)
    if not isinstance(importer, Importer):
        raise IMPORTERS.wrong(name, "it needs methods `takes(path)` and `read(path)`")
    return importer


def importer_for(path: Path) -> str:
    """The format of a path. Raises ConfigError for what none takes, or several."""
    if not path.exists():
        raise ConfigError("there is no such file or folder", where=str(path))
    none: Mapping[str, Json] = {}
    found = [name for name in IMPORTERS.names() if open_importer(name, none).takes(path)]
    if len(found) == 1:
        return found[0]
    formats = ", ".join(IMPORTERS.names())
    what = f"could be {' or '.join(found)}" if found else "holds results of no format that is known"
    raise ConfigError(what, where=str(path), hint=f"say which: --format {formats}")
