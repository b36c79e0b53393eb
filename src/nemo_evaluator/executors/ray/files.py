"""Copies a shard's files to the driver, where its node does not share the run's directory.

The node says what has changed since it was asked last: the new end of a file that grew, else the
whole file. Whoever applies all changes in order has the same files, but for what is locks or
leftovers of writing.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from ...files.reading import open_regular
from ...results.layout import STOP
from ...results.lock import LOCK

AT_ONCE = 8 << 20
"""Bytes that are sent in one message."""
LEFT_OUT = (LOCK, STOP)


@dataclass(frozen=True, slots=True)
class Change:
    """Bytes of a file of the shard."""

    name: str
    """Relative to the shard's directory."""
    offset: int
    data: bytes


@dataclass(slots=True)
class Sender:
    """What of a directory was sent already."""

    directory: Path
    _sent: dict[str, tuple[int, int, int]] = field(default_factory=dict)
    """Inode, time of the last change and bytes sent, by name."""

    def known(self) -> None:
        """What is there now is known at the other end."""
        self._sent = {name: (s.st_ino, s.st_mtime_ns, s.st_size) for name, s in self._files()}

    def changes(self) -> Iterator[Change]:
        """What is new, in pieces; what is written meanwhile comes the next time."""
        for name, now in list(self._files()):
            inode, changed, sent = self._sent.get(name, (-1, -1, 0))
            if (inode, changed, sent) == (now.st_ino, now.st_mtime_ns, now.st_size):
                continue
            start = sent if inode == now.st_ino and now.st_size > sent else 0
            try:
                file = open_regular(self.directory / name)
            except OSError:
                continue  # it was only there for a moment
            with file:
                file.seek(start)
                left = now.st_size - start
                while (data := file.read(min(AT_ONCE, left))) or start == left == 0:
                    yield Change(name, start, data)
                    start, left = start + len(data), left - len(data)
                    if not left:
                        break
            self._sent[name] = (now.st_ino, now.st_mtime_ns, start)

    def _files(self) -> Iterator[tuple[str, os.stat_result]]:
        for path in sorted(self.directory.rglob("*")):
            if path.name in LEFT_OUT or path.is_symlink() or not path.is_file():
                continue
            try:
                yield path.relative_to(self.directory).as_posix(), path.stat()
            except OSError:
                continue


def apply(directory: Path, change: Change) -> None:
    """Make a change in the copy. Raises OSError, and ValueError for a name that leads out of it."""
    name = PurePosixPath(change.name)
    if name.is_absolute() or ".." in name.parts:
        raise ValueError(f"{change.name!r} is no file of a shard")
    path = directory / name
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("r+b" if path.exists() else "xb") as file:
        file.truncate(change.offset)
        file.seek(change.offset)
        file.write(change.data)


def content(directory: Path) -> list[Change]:
    """All files of a directory, as changes of an empty one."""
    return list(Sender(directory).changes())
