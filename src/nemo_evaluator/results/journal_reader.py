"""Random access to the events of a scanned journal."""

from __future__ import annotations

import mmap
from pathlib import Path

from ..errors import ConfigError
from ..files.reading import UNREADABLE, open_regular
from .journal import Event, decode
from .sealed import stretches

READ_AT_ONCE = 256
"""Events after which the pages that were read are let go: they count as memory of this process."""


class JournalReader:
    """An open journal."""

    def __init__(self, path: Path, content: mmap.mmap | None = None) -> None:
        """``content``: what a scan has kept open; it is closed with the reader."""
        self._path = path
        self._map = content
        self._read = 0
        if content is not None:
            return
        with open_regular(path) as file:
            # Mapped, since offsets jump and a buffered file would read ahead in vain.
            empty = not file.seek(0, 2)
            self._map = None if empty else mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)

    def at(self, offset: int) -> Event:
        """The event that starts at an offset of the index. Raises ConfigError if it is gone."""
        if self._map is None:
            raise self._changed()
        self._read += 1
        if self._read % READ_AT_ONCE == 0:
            self._map.madvise(mmap.MADV_DONTNEED)
        end = self._map.find(b"\n", offset)
        line = self._map[offset : end if end >= 0 else None]
        # The scan that found the offset has compared the checksum.
        try:
            return decode(line)
        except UNREADABLE:  # another document follows on the same line
            whole = next((line[:end] for _, end, whole in stretches(line) if whole), None)
        if whole is None:
            raise self._changed()
        return decode(whole)

    def _changed(self) -> ConfigError:
        return ConfigError(
            "was changed while it was read", where=str(self._path), hint="repeat the command"
        )

    def close(self) -> None:
        """Close the file."""
        if self._map is not None:
            self._map.close()

    def __enter__(self) -> JournalReader:
        return self

    def __exit__(self, *_exc: object) -> None:
        self.close()
