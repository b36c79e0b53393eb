"""Mounts of containers as a configuration writes them: ``SOURCE:TARGET[:ro]``."""

from __future__ import annotations

import os
from pathlib import Path

from ..types import Record


class Mount(Record, frozen=True):
    """One folder, file or volume inside a container."""

    source: str
    """A path of the host, or the name of a volume."""
    target: str
    read_only: bool = False

    @property
    def is_volume(self) -> bool:
        """Whether the engine keeps it, under a name."""
        return not self.source.startswith("/")

    def covers(self, path: Path) -> bool:
        """Whether a path of the host is seen at its place by this mount."""
        same = self.source == self.target and not self.is_volume
        return same and path.is_relative_to(self.source)

    def __str__(self) -> str:
        return f"{self.source}:{self.target}{':ro' if self.read_only else ''}"


def parse_mount(text: str, folder: Path) -> Mount:
    """``SOURCE:TARGET[:ro|:rw]`` or ``PATH``, as ``docker run -v`` has it; a relative source is in
    ``folder``. Raises ValueError.

    >>> str(parse_mount("./data:/data:ro", Path("/home/me")))
    '/home/me/data:/data:ro'
    """
    source, *rest = text.split(":")
    mode = rest.pop() if rest and rest[-1] in ("ro", "rw") else "rw"
    if not source or len(rest) > 1:
        raise ValueError(f"{text!r} is not SOURCE:TARGET or SOURCE:TARGET:ro")
    if source.startswith(("/", ".", "~")):
        source = os.path.normpath(folder / Path(source).expanduser())
    target = rest[0] if rest else source
    if not target.startswith("/"):
        raise ValueError(f"{text!r}: the target {target!r} is not an absolute path")
    return Mount(source, target, mode == "ro")
