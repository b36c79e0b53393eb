"""The log of a run, in its directory: what its user was told, its progress, and how it ended.

What is said before the directory is open is kept until then. A disk that refuses the log does not
stop a run.
"""

from __future__ import annotations

import contextlib
import datetime
from collections.abc import Mapping
from pathlib import Path

from ..config.scrubber import KNOWN
from ..engine.progress import Tally
from ..errors import ConfigError
from ..files.lines import LineFile
from ..results.layout import LOG
from ..results.run_info import RunInfo
from .ending import Ending
from .observers import Observer
from .progress_display import Lines, LiveDisplay


class RunLog(Observer):
    """The observer of a run that writes its log."""

    def __init__(self, interval: float) -> None:
        """``interval``: seconds between lines of progress."""
        self._interval = interval
        self._kept: list[str] = []
        self._path: Path | None = None

    def said(self, text: str) -> None:
        """A line per line of the text, with the time."""
        now = datetime.datetime.now().astimezone().isoformat(sep=" ", timespec="seconds")
        self._kept += [f"{now} {line}" for line in KNOWN(text).splitlines()]
        self._flush()

    def opened(self, directory: Path, info: RunInfo) -> None:
        """Begin to write."""
        self._path = directory / LOG
        self.said(f"run {info.run_id}: {', '.join(info.benchmarks)}; {info.command}")

    def watching(
        self, tallies: Mapping[str, Tally]
    ) -> contextlib.AbstractAsyncContextManager[None]:
        """A line per running benchmark each time."""
        return LiveDisplay([*tallies.values()], Lines(self.said), self._interval)

    def ended(self, ending: Ending) -> None:
        """Log how the run ended."""
        for text in (*ending.messages, f"{ending.status}, exit code {int(ending.code)}"):
            self.said(text)

    def _flush(self) -> None:
        if self._path is None:
            return
        lines = "".join(f"{line}\n" for line in self._kept).encode(errors="replace")
        self._kept.clear()
        with contextlib.suppress(OSError, ConfigError), LineFile(self._path, shared=True) as file:
            file.append(lines)
