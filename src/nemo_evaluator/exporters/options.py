"""Options that every exporter which writes files has."""

from __future__ import annotations

from pathlib import Path

from ..config.base import ConfigRecord
from ..results.layout import EXPORTS
from ..results.view import RunView


class FileOptions(ConfigRecord):
    """Where files are written."""

    output_dir: str | None = None
    """Folder of the files; null: the folder `exports` of the run."""

    def folder(self, run: RunView) -> Path:
        """The folder for a run's files, which is made. Raises OSError."""
        chosen = run.directory / EXPORTS if self.output_dir is None else Path(self.output_dir)
        chosen.mkdir(parents=True, exist_ok=True)
        return chosen
