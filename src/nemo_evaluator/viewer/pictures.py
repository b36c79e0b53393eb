"""Images of questions that a run does not keep: read from the table that they came from.

Only of tables of VLMEvalKit, which are data alone: no code that a run names is executed. A table
that is not what was asked about any more shows nothing.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from pathlib import Path

from ..environments.vlmevalkit.environment import SCHEME, VlmTable, open_vlmevalkit
from ..errors import ConfigError
from ..traffic.images import sniff
from ..types import Image, Json
from .file_cache import FileCache
from .library import Run

LARGEST = 128 << 20
"""Bytes of a table; a larger one would take too much of the viewer's memory."""


class Pictures:
    """The images of tables; the table that was read last stays at hand."""

    def __init__(self) -> None:
        self._memory = FileCache(1)

    def has(self, run: Run, benchmark: str) -> bool:
        """Whether the images of a benchmark can be read, as far as its table's size tells."""
        return _state(_table(run, benchmark)) is not None

    def of(self, run: Run, benchmark: str, problem: int, number: int) -> tuple[bytes, str] | None:
        """An image of a problem, from 1, with its media type; None where there is none."""
        table = _table(run, benchmark)
        if table is None or (state := _state(table)) is None:
            return None
        try:
            read = self._memory.of((table.path, state), lambda: _read(table))
            if read.identity()["dataset_digest"] != _identity(run, benchmark).get(
                "environment.dataset_digest"
            ):
                return None
            images = asyncio.run(read.seed(problem)).images
            return _content(images[number - 1]) if number > 0 else None
        except (ConfigError, OSError, IndexError):
            return None


def _identity(run: Run, benchmark: str) -> Mapping[str, Json]:
    plan = run.plans.get(benchmark)
    return plan.identity if plan is not None else {}


def _table(run: Run, benchmark: str) -> VlmTable | None:
    where = _identity(run, benchmark).get("environment.dataset")
    if not isinstance(where, str) or not where.startswith(SCHEME):
        return None
    try:
        [table] = open_vlmevalkit(where, {})
    except ConfigError:
        return None
    return table


def _state(table: VlmTable | None) -> tuple[int, int] | None:
    if table is None:
        return None
    try:
        found = table.path.stat()
    except OSError:
        return None
    return (found.st_mtime_ns, found.st_size) if found.st_size <= LARGEST else None


def _read(table: VlmTable) -> VlmTable:
    asyncio.run(table.prepare())
    return table


def _content(image: Image) -> tuple[bytes, str] | None:
    data = image.data
    if data is None and image.path is not None:
        data = Path(image.path).read_bytes()
    kind = sniff(data) if data is not None else None
    return (data, kind) if data is not None and kind is not None else None
