"""What the programs of a server say: in a file from the first byte on, and its end in memory.

Invariant: no known secret is in either.
"""

from __future__ import annotations

import contextlib
from collections import deque
from pathlib import Path
from typing import IO

from ..config.scrubber import KNOWN
from ..errors import ConfigError
from ..files.lines import LineFile

TAIL = 20
"""Lines that an error shows."""
KEPT = 1000
"""Lines that are kept in memory."""


class ServerLog:
    """The log of one server; a server that is started again goes on with it."""

    def __init__(self, path: Path | None) -> None:
        self.path = path
        self._lines: deque[str] = deque(maxlen=KEPT)

    def lines(self) -> list[str]:
        """The last lines."""
        return [*self._lines]

    def read(self, stream: IO[bytes], role: str) -> None:
        """Take in everything a program says, until it says no more. ``role``: what its lines begin
        with, where a server has several programs."""
        with contextlib.ExitStack() as stack:
            file = None
            if self.path is not None:
                with contextlib.suppress(OSError, ConfigError):
                    file = stack.enter_context(LineFile(self.path, shared=True))
            for line in stream:
                shown = KNOWN(line.decode(errors="replace").rstrip("\r\n"))
                text = f"[{role}] {shown}" if role else shown
                self._lines.append(text)
                if file is not None:
                    with contextlib.suppress(OSError):  # a full disk stops no server
                        file.append(f"{text}\n".encode())

    def tail(self) -> str:
        """The last lines, for the end of an error."""
        lines = self.lines()[-TAIL:]
        where = f" ({self.path})" if self.path is not None else ""
        if not lines:
            return "; it said nothing"
        return f"; the end of its log{where}:\n" + "\n".join(f"  {line}" for line in lines)
