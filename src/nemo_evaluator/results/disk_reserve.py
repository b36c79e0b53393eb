"""Disk space that is reserved for the case that the disk is full.

A block of a few megabytes is allocated beside the journal when it is opened. When the disk refuses
a write it is released, and what is in flight (answers that are paid for) still fits.
"""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

NAME = ".reserve"
BYTES = 4 << 20
SHARE = 20
"""At most this part of what is free: a reserve must not be what fills the disk."""


class DiskReserve:
    """The block. Where it cannot be had, there is none."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / NAME
        self._fd = -1
        try:
            flags = os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK
            self._fd = os.open(self._path, flags, 0o600)
            space = os.statvfs(folder)
            size = min(BYTES, space.f_bavail * space.f_frsize // SHARE)
            if size > 0:
                os.posix_fallocate(self._fd, 0, size)
        except OSError:
            self.give_up()

    def give_up(self) -> None:
        """Free the room (and the descriptor). Safe to call twice."""
        if self._fd >= 0:
            with contextlib.suppress(OSError):
                os.ftruncate(self._fd, 0)
            with contextlib.suppress(OSError):
                self._path.unlink()
            os.close(self._fd)
            self._fd = -1
