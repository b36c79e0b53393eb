"""An exporter that keeps a ledger: a JSON file with the scores of each run."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from nemo_evaluator.config.base import ConfigRecord
from nemo_evaluator.results.view import RunView


class Ledger:
    """Adds a run to the ledger, or replaces it there."""

    class Options(ConfigRecord):
        """Where the ledger is."""

        path: str
        """The file."""

    def __init__(self, options: Options) -> None:
        self._path = Path(options.path)

    async def export(self, run: RunView) -> Sequence[str]:
        """Write the ledger."""
        known = json.loads(self._path.read_text()) if self._path.exists() else {}
        known[run.run_id] = {
            benchmark.name: benchmark.bundle.score and benchmark.bundle.score.value
            for benchmark in run.benchmarks()
        }
        self._path.write_text(json.dumps(known))
        return [str(self._path)]
