"""A file of whole lines that only grows: the journal, judgements, the traffic log, recordings.

A write is whole or not there: where the disk refuses the middle of it, the file is cut back. A torn
last line of an earlier process never runs into the next one. The file is the one that was opened:
``trouble`` tells when its name leads elsewhere, or when somebody else wrote into it.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

from .reading import check_regular

CHUNK = 1 << 20


class LineFile:
    """A file that lines are appended to. Raises OSError, and ConfigError for a path that is no
    regular file."""

    def __init__(
        self,
        path: Path,
        *,
        end: int | None = None,
        shared: bool = False,
        follow_links: bool = False,
    ) -> None:
        """Open, or make, a file.

        ``end`` is where its last whole line ends: what follows is moved to ``<name>.torn``. Without
        it a torn last line stays where it is and is ended. ``shared``: other processes append too.
        """
        self.path = path
        self._shared = shared
        flags = os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_NONBLOCK | os.O_CLOEXEC
        self._fd = os.open(path, flags | (0 if follow_links else os.O_NOFOLLOW), 0o644)
        try:
            check_regular(self._fd, path)
            self.size = os.fstat(self._fd).st_size
            if end is not None and end < self.size:
                self._set_tail_aside(end)
            self._end_torn_line()
        except BaseException:
            self.close()
            raise

    def append(self, lines: bytes) -> int:
        """Write whole lines; the offset of the first. Raises OSError, and then nothing of them is
        there (in a shared file perhaps a part of one line)."""
        start, view = self.size, memoryview(lines)
        try:
            while view:
                view = view[os.write(self._fd, view) :]
        except OSError:
            if not self._shared:
                with contextlib.suppress(OSError):
                    os.ftruncate(self._fd, start)
            raise
        self.size += len(lines)
        return start

    def sync(self) -> None:
        """Wait until everything is on disk. Raises OSError."""
        os.fsync(self._fd)

    def read_at(self, offset: int, length: int) -> bytes:
        """Bytes of the file, also of one whose name is gone."""
        return os.pread(self._fd, length, offset)

    def content(self) -> Iterator[bytes]:
        """Everything that was written, also of a file whose name is gone."""
        offset = 0
        while chunk := self.read_at(offset, min(CHUNK, self.size - offset)):
            yield chunk
            offset += len(chunk)

    @property
    def moved(self) -> bool:
        """The name leads to no file any more, or to another one."""
        own = os.fstat(self._fd)
        try:
            there = self.path.stat()
        except (FileNotFoundError, NotADirectoryError):
            return True
        except OSError:
            return False  # not known, for instance on a network file system that is away
        return (there.st_dev, there.st_ino) != (own.st_dev, own.st_ino)

    @property
    def tampered(self) -> bool:
        """Another program has cut the file or written into it."""
        return not self._shared and os.fstat(self._fd).st_size != self.size

    def close(self) -> None:
        """Safe to call twice."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def _set_tail_aside(self, end: int) -> None:
        with LineFile(self.path.with_suffix(".torn")) as torn:
            for offset in range(end, self.size, CHUNK):
                chunk = os.pread(self._fd, min(CHUNK, self.size - offset), offset)
                if chunk.strip(b"\0"):  # a power failure can leave a long tail of zeros
                    torn.append(chunk)
            torn.append(b"\n")
        os.ftruncate(self._fd, end)
        self.size = end

    def _end_torn_line(self) -> None:
        if self.size and os.pread(self._fd, 1, self.size - 1) != b"\n":
            self.append(b"\n")

    def __enter__(self) -> LineFile:
        return self

    def __exit__(self, *_exc: object) -> None:
        self.close()
