"""Copies a shard's files to the driver, where its node does not share the run's directory.

The node says what has changed since it was asked last: the new end of a file that grew, else the
whole file. Whoever applies all changes in order has the same files, but for what is locks or
leftovers of writing.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import BinaryIO, NamedTuple

from ...errors import ConfigError
from ...files.reading import open_regular
from ...results.disk_reserve import NAME as RESERVE
from ...results.fencing_token import LOCK
from ...results.layout import STOP
from ...results.requests import PREFIX, SUFFIX

AT_ONCE = 8 << 20
"""Bytes that are sent in one message."""
END = 4096
LEFT_OUT = (LOCK, STOP, RESERVE, PREFIX)
"""Beginnings of the names of what belongs to the process that writes there."""


@dataclass(frozen=True, slots=True)
class Change:
    """Bytes of a file of the shard."""

    name: str
    """Relative to the shard's directory."""
    offset: int
    data: bytes


class _Sent(NamedTuple):
    """What was sent of a file."""

    inode: int
    changed: int
    """Time of its last change, in nanoseconds."""
    size: int
    end: bytes
    """Its last bytes: a file that was cut and grew again has others there."""


@dataclass(slots=True)
class Sender:
    """What of a directory was sent already."""

    directory: Path
    _sent: dict[str, _Sent] = field(default_factory=dict)

    def known(self) -> None:
        """Note that the other end knows what is there now."""
        for _ in self.changes():
            pass

    def changes(self) -> Iterator[Change]:
        """What is new, in pieces; what is written meanwhile comes the next time."""
        for name, now in list(self._files()):
            sent = self._sent.get(name)
            if sent is not None and sent[:3] == (now.st_ino, now.st_mtime_ns, now.st_size):
                continue
            try:
                file = open_regular(self.directory / name)
            except (OSError, ConfigError):
                continue  # it was only there for a moment
            with file:
                yield from self._changes_of(file, name, now)

    def _changes_of(self, file: BinaryIO, name: str, now: os.stat_result) -> Iterator[Change]:
        sent = self._sent.get(name)
        start, end = 0, b""
        if sent is not None and _grew(file, sent, now):
            start, end = sent.size, sent.end
        file.seek(start)
        new = sent is None or start == 0
        while data := file.read(min(AT_ONCE, now.st_size - start)):
            yield Change(name, start, data)
            start, end, new = start + len(data), (end + data)[-END:], False
        if new:
            yield Change(name, 0, b"")  # it is empty
        self._sent[name] = _Sent(now.st_ino, now.st_mtime_ns, start, end)

    def _files(self) -> Iterator[tuple[str, os.stat_result]]:
        own = self.directory / LOCK  # names the owner, which is told to whoever asks for the state
        for path in sorted(self.directory.rglob("*")):
            left_out = path.name.startswith(LEFT_OUT) and path != own
            if left_out or path.is_symlink() or not path.is_file():
                continue
            try:
                yield path.relative_to(self.directory).as_posix(), path.stat()
            except OSError:
                continue


def _grew(file: BinaryIO, sent: _Sent, now: os.stat_result) -> bool:
    """Whether a file is what was sent, with more behind it."""
    if now.st_ino != sent.inode or now.st_size < sent.size:
        return False
    file.seek(sent.size - len(sent.end))
    return file.read(len(sent.end)) == sent.end


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
    """All files of a directory, as changes of an empty one that belongs to no process."""
    return [change for change in Sender(directory).changes() if change.name != LOCK]


def requests(directory: Path) -> Iterator[Change]:
    """What is asked of the shard whose copy a directory is; taken away, since it is passed on."""
    for path in (directory / STOP, *directory.glob(f"{PREFIX}*{SUFFIX}")):
        with contextlib.suppress(OSError):
            change = Change(path.name, 0, path.read_bytes())
            path.unlink()
            yield change
